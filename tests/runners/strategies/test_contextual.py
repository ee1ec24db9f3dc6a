"""Contextual diversity: the divergence by hand, the greedy sequence by brute force."""

from __future__ import annotations

import math

import numpy as np
import torch

from runners.strategies.contextual import farthest_predictions, symmetric_divergence


def test_divergence_by_hand() -> None:
    a, b = torch.tensor([[0.8, 0.2], [0.5, 0.5]]), torch.tensor([[0.4, 0.6]])
    # 1/2 sum (a - b) log(a / b)
    hand = [0.5 * (0.4 * math.log(2) - 0.4 * math.log(1 / 3)), 0.5 * (0.1 * math.log(1.25) - 0.1 * math.log(5 / 6))]
    torch.testing.assert_close(symmetric_divergence(a, b)[:, 0], torch.tensor(hand, dtype=torch.float64))


def test_certain_predictions_have_a_finite_divergence_and_zero_to_themselves() -> None:
    certain = torch.eye(3)
    found = symmetric_divergence(certain, certain)
    assert found.isfinite().all()
    assert found.diagonal().abs().max() < 1e-12
    assert found[0, 1] > 10


def test_first_at_random_then_the_farthest_from_labelled_and_chosen() -> None:
    rng = np.random.default_rng(2)
    pool, labelled = rng.dirichlet(np.ones(4), 50), rng.dirichlet(np.ones(4), 6)

    def divergence(p: np.ndarray, q: np.ndarray) -> float:
        return float(((p - q) * np.log(p / q)).sum() / 2)

    found = farthest_predictions(torch.tensor(pool), torch.tensor(labelled), 12, np.random.default_rng(7))
    chosen = [int(np.random.default_rng(7).integers(50))]
    while len(chosen) < 12:
        centres = [*labelled, *pool[chosen]]
        chosen.append(int(np.argmax([min(divergence(p, c) for c in centres) for p in pool])))
    assert found.tolist() == chosen
    assert (
        len({int(farthest_predictions(torch.tensor(pool), torch.tensor(labelled), 1, np.random.default_rng(s))[0]) for s in range(30)}) > 10
    )

"""Closed forms worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from runners.guard.errors import StrategyError
from runners.strategies import STRATEGIES, View, top
from runners.strategies.uncertainty import Entropy, LeastConfidence, Margin

P = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.4, 0.4, 0.2]])


def test_least_confidence_by_hand() -> None:
    torch.testing.assert_close(LeastConfidence.score(P), torch.tensor([0.5, 0.0, 0.6]))


def test_margin_by_hand() -> None:
    torch.testing.assert_close(Margin.score(P), torch.tensor([-0.2, -1.0, 0.0]))


def test_entropy_by_hand_and_zero_for_certainty() -> None:
    hand = [
        -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)),
        0.0,
        -(0.8 * math.log(0.4) + 0.2 * math.log(0.2)),
    ]
    torch.testing.assert_close(Entropy.score(P), torch.tensor(hand))


@pytest.mark.parametrize(
    ("name", "expected"), [("least-confidence", [12, 10, 11]), ("margin", [12, 10, 11]), ("entropy", [12, 10, 11])]
)
def test_the_most_uncertain_is_bought_first_and_the_certain_last(name: str, expected: list[int]) -> None:
    view = View(np.array([10, 11, 12]), np.array([1]), np.array([0]), 3, 0, {"probabilities": P})
    assert STRATEGIES[name]().select(view, 3, np.random.default_rng(0)).tolist() == expected


def test_ties_are_broken_at_random() -> None:
    view = View(np.arange(50), np.arange(0), np.arange(0), 2, 0)
    firsts = {int(top(view, torch.zeros(50), 1, np.random.default_rng(s))[0]) for s in range(40)}
    assert len(firsts) > 15


def test_scores_that_are_not_finite_are_refused() -> None:
    view = View(np.arange(3), np.arange(0), np.arange(0), 2, 0)
    with pytest.raises(StrategyError, match="1 not finite"):
        top(view, torch.tensor([0.0, torch.nan, 1.0]), 1, np.random.default_rng(0))

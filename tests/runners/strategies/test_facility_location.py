"""Facility location and MaxHerding: greedy by brute force, the greedy bound by exhaustion, kernels by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.errors import InputError
from runners.strategies import View, facility_location
from runners.strategies.facility_location import FacilityLocation, MaxHerding, lazy_greedy
from runners.strategies.view import Feature, Need


def unit(rows: int, seed: int, width: int = 3) -> torch.Tensor:
    return F.normalize(
        torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1
    )


def value(similarity: np.ndarray, chosen: list[int], owned: np.ndarray) -> float:
    return float(np.max([owned, *similarity[chosen]], axis=0).sum())


def test_kernels_by_hand() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    torch.testing.assert_close(FacilityLocation().kernel(a, b), torch.tensor([[1.0, 0.8, 0.0]]))
    # squared distances 0, 0.8, 4
    hand = torch.tensor([[1.0, math.exp(-0.8 / 4), math.exp(-1.0)]])
    torch.testing.assert_close(MaxHerding(sigma=2.0).kernel(a, b), hand)


@pytest.mark.parametrize("strategy", [FacilityLocation(), MaxHerding(0.5)])
@pytest.mark.parametrize("cells", [1, 700, 2**24])
def test_every_pick_is_the_best_of_all_whatever_the_chunk(
    strategy: FacilityLocation, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facility_location, "CELLS", cells)
    points, centres = unit(90, 1), unit(5, 2)
    similarity = strategy.kernel(points, points).numpy()
    owned = strategy.kernel(centres, points).numpy().max(0)
    picks = lazy_greedy(points, centres, 25, strategy.kernel).tolist()
    assert len(set(picks)) == 25
    for place, pick in enumerate(picks):
        before = picks[:place]
        others = [value(similarity, [*before, i], owned) for i in range(90) if i not in before]
        assert abs(value(similarity, [*before, pick], owned) - max(others)) < 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_greedy_reaches_its_bound(seed: int) -> None:
    points, owned = unit(11, seed, width=2), np.zeros(11)
    similarity = MaxHerding(0.7).kernel(points, points).numpy()
    greedy = value(similarity, lazy_greedy(points, points[:0], 3, MaxHerding(0.7).kernel).tolist(), owned)
    best = max(value(similarity, list(s), owned) for s in itertools.combinations(range(11), 3))
    assert (1 - 1 / math.e) * best <= greedy <= best + 1e-9


def test_what_is_labelled_counts_as_covered() -> None:
    points = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.99, 0.0], [0.0, 1.0]])
    features: dict[Need, Feature] = {"embeddings": points, "labelled_embeddings": torch.tensor([[2.0, 0.0]])}
    view = View(np.array([4, 5, 6, 7]), np.array([1]), np.array([0]), 2, 0, features)
    assert MaxHerding().select(view, 1, np.random.default_rng(0)).tolist() == [7]
    alone = View(
        np.array([4, 5, 6, 7]),
        np.array([], np.int64),
        np.array([], np.int64),
        2,
        0,
        {**features, "labelled_embeddings": points[:0]},
    )
    assert MaxHerding().select(alone, 1, np.random.default_rng(0)).tolist() != [7]


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_a_width_that_is_none_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match="a number > 0"):
        MaxHerding(sigma)

"""k-center greedy: the lazy search gives the sequence of a full scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from runners.strategies import core_set
from runners.strategies.core_set import k_center_greedy


def test_k_center_greedy_by_hand() -> None:
    # centre at 0; points at 1, 10, 6, 3: the farthest is 10
    # then 6 (4 from 10) ties nothing: 3 is 3 from 0, 6 is 4 from 10; then 3
    points = torch.tensor([[1.0], [10.0], [6.0], [3.0]])
    assert k_center_greedy(points, torch.tensor([[0.0]]), 3, np.random.default_rng(0)).tolist() == [1, 2, 3]


def test_k_center_greedy_equals_brute_force() -> None:
    rng = np.random.default_rng(3)
    points, centres = rng.normal(size=(120, 5)), rng.normal(size=(9, 5))
    chosen: list[int] = []
    for _ in range(30):
        all_centres = np.vstack([centres, points[chosen]])
        distance = np.linalg.norm(points[:, None] - all_centres[None], axis=2).min(1)
        chosen.append(int(distance.argmax()))
    ours = k_center_greedy(torch.tensor(points), torch.tensor(centres), 30, rng)
    assert ours.tolist() == chosen


def brute(points: np.ndarray, centres: np.ndarray, n: int) -> list[int]:
    nearest = np.min([((points - c) ** 2).sum(1) for c in centres], axis=0)
    chosen: list[int] = []
    for _ in range(n):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
        nearest[chosen[-1]] = -1
    return chosen


def cloud(kind: str, count: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "clusters":  # every pick empties a cluster: old bounds are of little use
        return rng.normal(size=(150, width))[rng.integers(150, size=count)] + 0.01 * rng.normal(size=(count, width))
    if kind == "grid":  # most distances occur many times
        return rng.integers(0, 3, size=(count, width)).astype(float)
    return rng.normal(size=(count, width)) + (5000 if kind == "far" else 0)


@pytest.mark.parametrize("kind", ["normal", "clusters", "grid", "far"])
def test_the_lazy_sequence_is_the_exact_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_set, "_FIRST", 4)
    monkeypatch.setattr(core_set, "_FRONT", 16)
    monkeypatch.setattr(core_set, "_CENTRES", 7)
    monkeypatch.setattr(core_set, "_ROWS", 100)
    points = cloud(kind, 460, 5, 1).astype(np.float32)
    ours = k_center_greedy(torch.tensor(points[:430]), torch.tensor(points[430:]), 200, np.random.default_rng(0))
    assert ours.tolist() == brute(points[:430].astype(float), points[430:].astype(float), 200)


def test_the_whole_pool_and_equal_points_and_a_cold_start() -> None:
    same = torch.ones(40, 3)
    assert k_center_greedy(same, same[:2], 40, np.random.default_rng(0)).tolist() == list(range(40))
    cold = k_center_greedy(
        torch.tensor(cloud("normal", 60, 4, 2)), torch.empty(0, 4), 60, np.random.default_rng(3)
    ).tolist()
    assert sorted(cold) == list(range(60))
    assert (
        cold
        != k_center_greedy(
            torch.tensor(cloud("normal", 60, 4, 2)), torch.empty(0, 4), 60, np.random.default_rng(4)
        ).tolist()
    )
    points = cloud("normal", 60, 4, 2)
    assert cold[1:] == brute(points, points[cold[:1]], 59)


def test_the_sequence_is_the_one_of_scikit_activeml() -> None:
    pool = pytest.importorskip("skactiveml.pool", reason="peer group not installed: uv sync --group peers")
    points = cloud("clusters", 700, 16, 5).astype(np.float32)
    y = np.full(700, np.nan)
    y[:50] = 0
    theirs = pool.CoreSet(random_state=0).query(points, y, batch_size=120)
    ours = k_center_greedy(torch.tensor(points[50:]), torch.tensor(points[:50]), 120, np.random.default_rng(0))
    assert (ours + 50).tolist() == theirs.tolist()


def test_the_order_of_the_pool_does_not_matter() -> None:
    points = torch.tensor(cloud("normal", 300, 6, 7))
    shuffled = np.random.default_rng(1).permutation(280)
    straight = k_center_greedy(points[:280], points[280:], 50, np.random.default_rng(0))
    mixed = k_center_greedy(points[torch.from_numpy(shuffled)], points[280:], 50, np.random.default_rng(0))
    assert shuffled[mixed].tolist() == straight.tolist()

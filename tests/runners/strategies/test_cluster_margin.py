"""Cluster-Margin: clusters by brute force, turns by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from runners.strategies import View
from runners.strategies.cluster_margin import ClusterMargin, average_linkage, round_robin


def brute_force_linkage(points: np.ndarray, clusters: int) -> set[frozenset[int]]:
    """Merge the two groups with the smallest mean distance between members until enough are left."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    groups = [[i] for i in range(len(points))]
    while len(groups) > clusters:
        pairs = [
            (distance[np.ix_(a, b)].mean(), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j
        ]
        _, i, j = min(pairs)
        groups[i] += groups.pop(j)
    return {frozenset(g) for g in groups}


@pytest.mark.parametrize("clusters", [1, 4, 9, 40])
def test_average_linkage_equals_brute_force(clusters: int) -> None:
    points = np.random.default_rng(4).normal(size=(40, 3))
    found = average_linkage(torch.tensor(points), clusters)
    assert {frozenset(np.flatnonzero(found == c).tolist()) for c in set(found.tolist())} == brute_force_linkage(
        points, clusters
    )


def test_turns_start_at_the_smallest_cluster_and_skip_the_exhausted() -> None:
    clusters = np.array([7, 7, 7, 7, 3, 5, 5])
    for seed in range(20):
        chosen = clusters[round_robin(clusters, 6, np.random.default_rng(seed))]
        assert chosen.tolist() == [3, 5, 7, 5, 7, 7]


def test_members_of_a_cluster_are_taken_at_random_and_once() -> None:
    clusters = np.zeros(5, np.int64)
    firsts = {int(round_robin(clusters, 1, np.random.default_rng(seed))[0]) for seed in range(60)}
    assert firsts == set(range(5))
    assert sorted(round_robin(clusters, 5, np.random.default_rng(0)).tolist()) == list(range(5))


def test_buys_uncertain_images_only_and_from_every_blob() -> None:
    rng = np.random.default_rng(1)
    blob = np.repeat([0, 1, 2], [40, 12, 8])
    points = np.array([[0.0, 0], [50, 0], [0, 50]])[blob] + rng.normal(size=(60, 2))
    sure = np.arange(60) % 2 == 0
    top_probability = np.where(sure, 0.9, 0.5 + 0.001 * rng.random(60))
    probabilities = torch.tensor(np.stack([top_probability, 1 - top_probability], 1), dtype=torch.float32)
    view = View(
        np.arange(60),
        np.array([99]),
        np.array([0]),
        2,
        0,
        {"probabilities": probabilities, "embeddings": torch.tensor(points)},
    )
    chosen = ClusterMargin(factor=5).select(view, 6, rng)
    assert not sure[chosen].any()
    assert blob[chosen].tolist() == [2, 1, 0, 2, 1, 0]


def test_the_candidates_are_bounded() -> None:
    sizes: list[int] = []

    class Spy(torch.Tensor):
        def __getitem__(self, key: object) -> torch.Tensor:
            sizes.append(len(key))  # type: ignore[arg-type]
            return torch.Tensor.__getitem__(self.as_subclass(torch.Tensor), key)  # type: ignore[index]

    points = torch.rand(300, 2, generator=torch.Generator().manual_seed(0)).as_subclass(Spy)
    view = View(
        np.arange(300),
        np.array([999]),
        np.array([0]),
        2,
        0,
        {"probabilities": torch.full((300, 2), 0.5), "embeddings": points},
    )
    assert len(set(ClusterMargin(most=50).select(view, 20, np.random.default_rng(0)).tolist())) == 20
    assert sizes == [50]


def test_all_wrong_arguments_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        ClusterMargin(factor=0, size=0, most=0)
    assert len(caught.value.faults) == 3

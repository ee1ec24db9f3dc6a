"""TypiClust by hand and against scikit-activeml; ProbCover is greedy-optimal at every pick."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from runners.strategies import View, probcover
from runners.strategies.probcover import ProbCover, max_cover, radius
from runners.strategies.support.k_means import k_means
from runners.strategies.typiclust import TypiClust, spread, typical
from runners.strategies.view import Feature, Need


def test_spread_by_hand() -> None:
    # five points, so the two nearest count; means of distances, not of squares
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0], [12.0]])
    torch.testing.assert_close(spread(points), torch.tensor([2.0, 1.5, 2.5, 4.5, 7.0]))


def test_the_largest_cluster_without_labels_comes_first_and_small_ones_last() -> None:
    clusters = np.repeat([0, 1, 2, 3], [9, 12, 4, 8])
    points = torch.tensor(np.random.default_rng(0).normal(size=(33, 3)))
    chosen = typical(points, clusters, np.array([1, 1, 0]), 8)
    assert clusters[chosen].tolist() == [3, 0, 1, 3, 0, 1, 3, 0]
    everything = typical(points, clusters, np.array([1, 1, 0]), 33)
    assert sorted(everything.tolist()) == list(range(33))
    assert clusters[everything[-4:]].tolist() == [2, 2, 2, 2]


class Injected:
    """Clusters for scikit-activeml, which wants an algorithm."""

    numbers: np.ndarray

    def __init__(self, n_clusters: int = 1) -> None:
        self.n_clusters = n_clusters

    def fit_predict(self, x: np.ndarray) -> np.ndarray:
        return self.numbers


def test_picks_are_those_of_scikit_activeml_with_the_same_clusters() -> None:
    pool = pytest.importorskip("skactiveml.pool", reason="peer group not installed: uv sync --group peers")
    rng = np.random.default_rng(3)
    sizes = [90, 75, 60, 48, 42]
    clusters = rng.permutation(np.repeat(np.arange(5), sizes))
    points = rng.normal(size=(sum(sizes), 4)).astype(np.float32)
    y = np.full(len(points), np.nan)
    Injected.numbers = clusters
    theirs = pool.TypiClust(cluster_algo=Injected, k=20, random_state=0).query(points, y, batch_size=5)
    assert typical(torch.tensor(points), clusters, np.empty(0, np.int64), 5).tolist() == theirs.tolist()


def test_typiclust_finds_one_image_of_each_blob() -> None:
    rng = np.random.default_rng(1)
    blob = rng.permutation(np.repeat(np.arange(4), [30, 25, 20, 15]))
    points = torch.tensor(np.eye(4)[blob] * 50 + rng.normal(size=(90, 4)), dtype=torch.float32)
    view = View(
        np.arange(86),
        np.arange(86, 90),
        np.zeros(4, np.int64),
        4,
        0,
        {"embeddings": points[:86], "labelled_embeddings": points[:0]},
    )
    cold = View(np.arange(86), np.empty(0, np.int64), np.empty(0, np.int64), 4, 0, view.features)
    assert sorted(blob[TypiClust().select(cold, 4, rng)]) == [0, 1, 2, 3]


def greedy(x: np.ndarray, owned: np.ndarray, n: int, delta: float) -> list[int]:
    near = np.linalg.norm(x[:, None] - x[None], axis=2) < delta
    open_ = ~(np.linalg.norm(x[:, None] - owned[None], axis=2) < delta).any(1)
    chosen: list[int] = []
    for _ in range(n):
        gains = (near & open_).sum(1)
        if not gains.max():
            break
        chosen.append(int(gains.argmax()))
        open_ &= ~near[chosen[-1]]
    return chosen


@pytest.mark.parametrize("delta", [0.8, 1.5, 2.2])
@pytest.mark.parametrize("dimensions", [2, 48])
def test_every_pick_covers_the_most(delta: float, dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probcover, "_DIMENSIONS", dimensions)
    monkeypatch.setattr(probcover, "_ROWS", 5)
    monkeypatch.setattr(probcover, "_BLOCK", 3000)
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 6)) * np.array([2.0, 1.5, 1.0, 0.5, 0.3, 0.2]) + 20
    ours = max_cover(torch.tensor(x[:290]), torch.tensor(x[290:]), 60, delta).tolist()
    assert ours == greedy(x[:290], x[290:], 60, delta)
    assert len(ours) > 5


def test_what_is_covered_is_left_to_chance_but_complete() -> None:
    rng = np.random.default_rng(0)
    points = torch.tensor(rng.normal(size=(20, 2)))
    view = View(
        np.arange(20), np.array([30]), np.array([0]), 2, 0, {"embeddings": points, "labelled_embeddings": points[:1]}
    )
    assert sorted(ProbCover(delta=100.0).select(view, 20, rng).tolist()) == list(range(20))


def test_the_radius_keeps_the_share_of_pure_balls() -> None:
    rng = np.random.default_rng(2)
    blob = np.repeat([0, 1], 200)
    x = np.stack([blob * 10 + rng.normal(size=400), rng.normal(size=400)], 1)
    found = radius(torch.tensor(x), 2, 0.9, rng)
    nearest_other = np.linalg.norm(x[:, None] - x[None], axis=2)[blob == 0][:, blob == 1]
    other = np.concatenate([nearest_other.min(1), nearest_other.min(0)])
    assert found == pytest.approx(np.quantile(other, 0.1), rel=1e-3)
    assert radius(torch.ones(30, 2), 3, 0.9, rng) == 0.0


def test_impossible_arguments_are_refused_together() -> None:
    with pytest.raises(InputError) as caught:
        ProbCover(delta=-1.0, purity=1.0)
    assert len(caught.value.faults) == 2


def test_many_clusters_are_seeded_in_every_blob_and_fewer_points_than_clusters_do() -> None:
    rng = np.random.default_rng(5)
    blob = rng.permutation(np.repeat(np.arange(60), 6))
    points = torch.tensor(rng.normal(size=(60, 8))[blob] * 100 + rng.normal(size=(360, 8)) / 100, dtype=torch.float32)
    found = k_means(points, 60, np.random.default_rng(0))
    assert (found == k_means(points, 60, np.random.default_rng(0))).all()
    together = {(int(b), int(c)) for b, c in zip(blob, found, strict=True)}
    assert len(together) == 60  # one cluster a blob, one blob a cluster
    assert len(np.unique(k_means(points[:1].repeat(70, 1), 60, np.random.default_rng(0)))) == 1


@pytest.mark.parametrize("strategy", [TypiClust, ProbCover])
def test_normalized_the_length_of_an_embedding_does_not_count(strategy: type[TypiClust] | type[ProbCover]) -> None:
    rng = np.random.default_rng(4)
    points = torch.tensor(rng.normal(size=(120, 5)) + np.repeat(np.eye(5)[:4] * 6, 30, axis=0), dtype=torch.float32)
    lengths = torch.tensor(2.0 ** rng.integers(-2, 3, size=(120, 1)), dtype=torch.float32)

    def bought(x: torch.Tensor, normalize: bool) -> list[int]:
        features: dict[Need, Feature] = {"embeddings": x[:110], "labelled_embeddings": x[110:]}
        view = View(np.arange(110), np.arange(110, 120), np.zeros(10, np.int64), 4, 0, features)
        selected: list[int] = strategy(normalize=normalize).select(view, 12, np.random.default_rng(0)).tolist()
        return selected

    assert bought(points, True) == bought(points * lengths, True)
    assert bought(points, False) != bought(points * lengths, False)

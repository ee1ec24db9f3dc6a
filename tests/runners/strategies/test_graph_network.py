"""Graph strategies: adjacency on a small graph, the loss by hand, and what the scores lead to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.errors import InputError
from runners.strategies import View
from runners.strategies.graph_network import CoreGCN, Graph, Trained, UncertainGCN, labelling_loss, train
from runners.strategies.view import Feature, Need


def test_adjacency_equals_the_dense_one_of_the_paper() -> None:
    x = F.normalize(torch.rand(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=1)
    similarity = x @ x.T - torch.eye(7, dtype=torch.float64)
    dense = similarity @ torch.diag(1 / similarity.sum(0)) + torch.eye(7, dtype=torch.float64)
    torch.testing.assert_close(Graph(3 * x)(torch.eye(7, dtype=torch.float64)), dense)


def test_adjacency_by_hand() -> None:
    # unit vectors at 0 and 60 degrees, twice each: similarities 1 within, 1/2 across; row sums 1 + 1/2 + 1/2 = 2
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.5, math.sqrt(3) / 2], [1.0, math.sqrt(3)]])
    hand = torch.tensor([[1, 0.5, 0.25, 0.25], [0.5, 1, 0.25, 0.25], [0.25, 0.25, 1, 0.5], [0.25, 0.25, 0.5, 1]])
    torch.testing.assert_close(Graph(x)(torch.eye(4)), hand)


def test_loss_by_hand() -> None:
    scores = torch.tensor([0.2, 0.6, 0.9])  # two unlabelled, one labelled
    hand = -math.log(0.9) - 1.2 * (math.log(0.8) + math.log(0.4)) / 2
    assert math.isclose(float(labelling_loss(scores.logit(), 1, 1.2)), hand, rel_tol=1e-5)


def test_training_tells_labelled_from_unlabelled_regions() -> None:
    noise = torch.rand(60, 8, generator=torch.Generator().manual_seed(0)) * 0.1
    noise[:30, :2] += 1
    noise[30:, 5:] += 1
    trained = train(noise[:45], noise[45:], 16, 1.2, 200, seed=3)
    assert trained.scores[30:45].mean() > trained.scores[:30].mean() + 0.05
    again = train(noise[:45], noise[45:], 16, 1.2, 200, seed=3)
    assert torch.equal(trained.scores, again.scores)
    assert not torch.equal(trained.scores, train(noise[:45], noise[45:], 16, 1.2, 200, seed=4).scores)


def test_uncertain_gcn_buys_scores_nearest_the_margin() -> None:
    view = View(np.array([4, 5, 6, 7]), np.array([1]), np.array([0]), 2, 0)
    trained = Trained(torch.tensor([0.45, 0.02, 0.16, 0.9]), torch.zeros(4, 2), torch.zeros(1, 2))
    assert UncertainGCN().choose(view, trained, 3, np.random.default_rng(0)).tolist() == [6, 5, 4]
    assert UncertainGCN(margin=0.8).choose(view, trained, 2, np.random.default_rng(0)).tolist() == [7, 4]


def test_core_gcn_covers_the_hidden_features() -> None:
    view = View(np.array([4, 5, 6]), np.array([1]), np.array([0]), 2, 0)
    trained = Trained(torch.zeros(3), torch.tensor([[1.0], [10.0], [6.0]]), torch.tensor([[0.0]]))
    assert CoreGCN().choose(view, trained, 2, np.random.default_rng(0)).tolist() == [5, 6]


def test_only_nodes_of_the_graph_are_bought() -> None:
    generator = torch.Generator().manual_seed(0)
    features: dict[Need, Feature] = {
        "embeddings": torch.rand(50, 4, generator=generator),
        "labelled_embeddings": torch.rand(5, 4, generator=generator),
    }
    view = View(np.arange(50), np.arange(90, 95), np.zeros(5, np.int64), 2, 0, features)
    chosen = CoreGCN(nodes=10, hidden=4).select(view, 10, np.random.default_rng(8))
    assert sorted(chosen.tolist()) == sorted(np.random.default_rng(8).choice(50, 10, replace=False).tolist())


def test_wrong_arguments_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        UncertainGCN(nodes=0, hidden=0, weight=0, margin=1.5, epochs=0)
    assert len(caught.value.faults) == 5

"""What strategies are shown: computed without touching the classifier, by hand where it can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.draws.splits import make_split
from protocol.errors import InputError
from protocol.oracle.oracle import Oracle
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from runners.data import load
from runners.features.classification import gradient_factors, mc_samples
from runners.features.round import Round
from runners.features.view_of_round import build_view, ensemble, prepare
from runners.guard.errors import StrategyError
from runners.loop import rounds, select
from runners.models import Net, weights_digest
from runners.models.resident import Scaling
from runners.regimes import FitInputs, Learner, Predictions, Resident, fit
from runners.session import Session
from runners.strategies import Context, Estimation, Strategy, View
from runners.strategies.view import NEEDS
from runners.tasks import TASKS


class Greedy(Strategy):
    """Needs everything that there is of classification; chooses the first."""

    needs = tuple(
        need for need in NEEDS if need in TASKS["classification"].offers and need != "pool_labels"
    )  # told to the upper line alone
    estimation = Estimation(samples=3, dropout=0.25, members=2)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Any:
        return view.unlabelled[:n]


@pytest.fixture
def trained(toy_protocol: Protocol) -> Round:
    return round_of(toy_protocol)


def undisclosed() -> Any:
    pytest.fail("asked for labels that were not bought")


def round_of(protocol: Protocol) -> Round:
    images, labels = load(Data(name="digits"), None)
    owned = np.array([3, 900, 17, 44, 256, 1001, 12, 77, 500, 1200])
    pool = np.setdiff1d(np.arange(600), owned)
    none = np.empty(0, np.int64)
    inputs = FitInputs(images, owned, labels.for_oracle()[owned], none, none, pool)
    resident = Resident.of(images, torch.device("cpu"))
    return Round(protocol, 0, 1, inputs, fit(protocol, inputs, 0, 1, resident), resident)


def test_every_need_has_its_shape_and_the_classifier_stays_as_it_was(trained: Round) -> None:
    before, state = weights_digest(trained.fitted.learner.net), torch.random.get_rng_state()
    strategy = Greedy()
    members = ensemble(trained, strategy)
    view = build_view(trained, strategy, members, undisclosed)
    prepare(trained, strategy, view)
    assert weights_digest(trained.fitted.learner.net) == before
    assert torch.equal(torch.random.get_rng_state(), state)
    u, d = 600 - 7, view.embeddings.shape[1]  # three of the owned lie outside the first 600
    assert view.probabilities.shape == (u, 10)
    assert view.labelled_embeddings.shape == (10, d)
    assert view.labelled_probabilities.shape == (10, 10)
    assert view.mc_samples.shape == (u, 3, 10)
    assert view.members.shape == (u, 2, 10)
    assert view.images.shape == (u, 8, 8, 1)
    assert view.images.dtype == torch.uint8
    np.testing.assert_array_equal(view.labelled_images[1].numpy(), trained.inputs.images.pixels[900])
    for p in (view.probabilities, view.mc_samples, view.members):
        torch.testing.assert_close(p.sum(-1), torch.ones(p.shape[:-1]))
    head = view.classifier_head
    torch.testing.assert_close((view.embeddings @ head.weights.T + head.bias).softmax(1), view.probabilities)


def test_only_what_is_declared_is_computed(trained: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    real = Learner.predict
    monkeypatch.setattr(Learner, "predict", lambda self, indices: passes.append(len(indices)) or real(self, indices))

    class Two(Greedy):
        needs = ("probabilities", "embeddings", "gradient_factors", "mc_samples")

    strategy = Two()
    assert ensemble(trained, strategy) == [trained.fitted.learner]
    view = build_view(trained, strategy, [trained.fitted.learner], undisclosed)
    assert set(view.features) == set(Two.needs)
    assert passes == [593]


def test_members_are_other_networks_trained_by_the_same_recipe(trained: Round) -> None:
    first, second = ensemble(trained, Greedy())
    assert first is trained.fitted.learner
    assert weights_digest(second.net) != weights_digest(first.net)
    again = ensemble(trained, Greedy())[1]
    assert weights_digest(second.net) == weights_digest(again.net)


def test_gradient_factors_by_hand() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    factors = gradient_factors(Predictions(p, torch.tensor([[1.0], [2.0]])))
    torch.testing.assert_close(factors.residuals, torch.tensor([[-0.5, 0.3, 0.2], [-0.6, 0.4, 0.2]]))
    torch.testing.assert_close(factors.embeddings, torch.tensor([[1.0], [2.0]]))


def learner_of(body: nn.Module, dropout: float) -> Learner:
    torch.manual_seed(0)
    net = Net(body, 64, 3, dropout)
    pixels = torch.randint(0, 256, (30, 8, 8, 1), dtype=torch.uint8)
    return Learner(
        net, Resident(pixels), Scaling(torch.full((1, 1, 1, 1), 100.0), torch.full((1, 1, 1, 1), 50.0)), "float32"
    )


@pytest.mark.parametrize(("own", "expected"), [(0.0, 0.25), (0.75, 0.75)])
def test_dropout_samples_are_the_heads_with_masked_columns(own: float, expected: float) -> None:
    learner = learner_of(nn.Flatten(), own)
    indices = np.arange(30)
    predictions = learner.predict(indices)
    how = Estimation(samples=400, dropout=0.25)
    samples = mc_samples(learner, indices, lambda: predictions, how, 7)
    generator = torch.Generator().manual_seed(7)
    masks = (torch.rand(400, 1, 64, generator=generator) >= expected).float()[:, 0] / (1 - expected)
    assert abs(float((masks == 0).float().mean()) - expected) < 0.02
    by_hand = torch.stack([learner.net.head(predictions.embeddings * mask).softmax(1) for mask in masks], 1)
    torch.testing.assert_close(samples, by_hand.detach())


def test_dropout_inside_the_body_is_sampled_with_one_mask_for_all_images(trained: Round) -> None:
    learner = learner_of(nn.Sequential(nn.Dropout2d(0.5), nn.Flatten(), nn.Dropout(0.5)), 0.0)
    twins = np.array([4, 9, 4, 4])
    samples = mc_samples(learner, twins, lambda: learner.predict(twins), Estimation(samples=12), 3)
    assert samples.shape == (4, 12, 3)
    assert torch.equal(samples[0], samples[2])
    assert len({tuple(row) for row in samples[1].tolist()}) > 3
    blank = learner.net.head.bias.detach().softmax(0)  # the one channel is dropped about every other time
    assert 1 <= sum(torch.allclose(row, blank) for row in samples[1]) <= 11
    torch.testing.assert_close(learner.predict(twins).probabilities, learner.predict(twins).probabilities)
    assert not torch.allclose(learner.predict(twins).probabilities[1], samples[1].mean(0), atol=1e-4)
    again = mc_samples(learner, twins, lambda: learner.predict(twins), Estimation(samples=12), 3)
    assert torch.equal(samples, again)


class Wrecker(Greedy):
    """Trains and breaks its copy of the network, and draws from the global generator."""

    needs = ("images",)
    drawn: float = 0.0

    def prepare(self, context: Context, generator: torch.Generator) -> None:
        network = context.network()
        assert not network.training
        x = context.scaled(context.view.images[:5])
        assert abs(float(x.mean())) < 1
        torch.autograd.backward(network(x).sum())
        for parameter in network.parameters():
            assert parameter.grad is not None
            parameter.data.zero_()
        self.drawn = float(torch.rand(1)) + float(torch.rand(1, generator=generator))


def test_a_strategy_can_break_only_its_copy_and_its_randomness_repeats(trained: Round) -> None:
    before, state = weights_digest(trained.fitted.learner.net), torch.random.get_rng_state()
    one, two = Wrecker(), Wrecker()
    prepare(trained, one, build_view(trained, one, [trained.fitted.learner], undisclosed))
    torch.rand(3)
    prepare(trained, two, build_view(trained, two, [trained.fitted.learner], undisclosed))
    assert one.drawn == two.drawn
    assert weights_digest(trained.fitted.learner.net) == before
    torch.random.set_rng_state(state)


def test_curves_do_not_depend_on_what_a_strategy_needs(toy_protocol: Protocol) -> None:
    class Plain(Greedy):
        needs = ()

    images, labels = load(toy_protocol.data, None)
    split = make_split(toy_protocol, 0, images.train_size, images.test_size)
    resident = Resident.of(images, torch.device("cpu"))
    curves = []
    for strategy in (Plain(), Greedy(), Wrecker()):
        oracle = Oracle(toy_protocol, 0, split, labels.for_oracle(), lambda *_: None)
        oracle.start()
        outcomes = list(rounds(Session(toy_protocol, "x", 0, images, split, oracle, resident), strategy, 0))
        curves.append([(o.metrics, o.examined.sidecar["prediction"].tolist(), o.query.tolist()) for o in outcomes])
        assert {"members_s", "features_s", "prepare_s", "query_s"} <= set(outcomes[0].cost)
    assert curves[0] == curves[1] == curves[2]


def test_an_unknown_need_is_told_with_the_known_ones(trained: Round) -> None:
    class Odd(Greedy):
        needs = ("embedings",)  # type: ignore[assignment]

    with pytest.raises(StrategyError, match="embeddings"):
        build_view(trained, Odd(), [trained.fitted.learner], undisclosed)


def test_without_labels_only_a_strategy_that_can_start_cold_is_asked() -> None:
    view = View(np.arange(3), np.empty(0, np.int64), np.empty(0, np.int64), 2, 0)
    with pytest.raises(StrategyError, match="at least one labelled unit"):
        select(Greedy(), "greedy", view, 1, np.random.default_rng(0))


def test_a_failing_preparation_is_the_strategys_fault(toy_protocol: Protocol, trained: Round) -> None:
    class Broken(Greedy):
        needs = ()

        def prepare(self, context: Context, generator: torch.Generator) -> None:
            raise ZeroDivisionError("mine")

    images, labels = load(toy_protocol.data, None)
    split = make_split(toy_protocol, 0, images.train_size, images.test_size)
    oracle = Oracle(toy_protocol, 0, split, labels.for_oracle(), lambda *_: None)
    oracle.start()
    with pytest.raises(StrategyError, match="ZeroDivisionError: mine"):
        next(rounds(Session(toy_protocol, "broken", 0, images, split, oracle, trained.resident), Broken(), 0))


def test_impossible_estimations_are_refused_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Estimation(samples=0, dropout=1.0, members=0)
    assert len(caught.value.faults) == 3


def test_the_networks_own_dropout_is_what_is_sampled(toy_protocol: Protocol) -> None:
    trained = round_of(
        toy_protocol.model_copy(update={"model": toy_protocol.model.model_copy(update={"dropout": 0.5})})
    )
    strategy = Greedy()
    view = build_view(trained, strategy, ensemble(trained, strategy), undisclosed)
    assert trained.fitted.learner.net.dropout.p == 0.5
    assert float(view.mc_samples.std(1).max()) > 0

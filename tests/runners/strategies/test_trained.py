"""Learning loss and VAAL: losses by hand, fixed scores, and that training learns what it should."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from protocol.errors import InputError
from runners.guard.errors import StrategyError
from runners.models.small_cnn import body
from runners.strategies import Context, View
from runners.strategies.learning_loss import LearningLoss, Levels, LossModule, fresh, ranking_loss
from runners.strategies.vaal import VAAL, Autoencoder, discriminator_loss, fooling_loss, reconstruction_loss


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(3)
        inner, size = body(1, 8, 8, 4)
        return nn.Sequential(inner, nn.Linear(size, 2)).eval()


def context_of(images: Tensor, labelled: int, make: Callable[[], nn.Module] = network) -> Context:
    count = len(images) - labelled
    view = View(
        np.arange(count),
        np.arange(count, len(images)),
        np.arange(labelled) % 2,
        2,
        0,
        {"images": images[:count], "labelled_images": images[count:]},
    )
    return Context(
        view,
        torch.device("cpu"),
        make,
        lambda x: x.permute(0, 3, 1, 2).float() / 255 - 0.5,
        lambda *_: lambda _: torch.empty(0),
    )


S = TypeVar("S", LearningLoss, VAAL)


def prepared(strategy: S, context: Context, seed: int = 0) -> S:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        strategy.prepare(context, torch.Generator().manual_seed(seed))
    return strategy


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_ranking_loss_by_hand() -> None:
    # pairs (0, 3) and (1, 2)
    # losses 2 > 1: wants predicted_0 - predicted_3 >= 1, is 0.3: 0.7; 0.5 < 4: is -1.5, wanted <= -1: 0
    predicted, losses = torch.tensor([0.5, 0.5, 2.0, 0.2]), torch.tensor([2.0, 0.5, 4.0, 1.0])
    assert math.isclose(float(ranking_loss(predicted, losses)), 0.35, rel_tol=1e-6)
    assert math.isclose(float(ranking_loss(-predicted, losses)), (1.3 + 2.5) / 2, rel_tol=1e-6)


def test_levels_are_the_last_maps_of_every_resolution() -> None:
    levels = Levels(network(), torch.zeros(2, 1, 8, 8))
    assert levels.channels == [4, 8]
    logits, maps = levels(torch.ones(3, 1, 8, 8))
    assert logits.shape == (3, 2)
    assert [tuple(m.shape) for m in maps] == [(3, 4, 8, 8), (3, 8, 4, 4)]
    assert all((m >= 0).all() for m in maps)


def test_fresh_weights_differ_and_the_original_stays() -> None:
    original = network()
    before = {name: value.clone() for name, value in original.state_dict().items()}
    twin = fresh(network())
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items())
    assert not torch.equal(twin[1].weight, original[1].weight)  # type: ignore[index]


def test_the_loss_module_learns_an_order() -> None:
    maps = [torch.rand(64, 5, 2, 2, generator=torch.Generator().manual_seed(0))]
    losses = maps[0].mean((2, 3))[:, 1]
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        module = LossModule([5], 16)
    update = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(150):
        update.zero_grad()
        ranking_loss(module(maps), losses).backward()
        update.step()
    predicted = module(maps).detach()
    assert np.corrcoef(predicted.argsort().argsort().numpy(), losses.argsort().argsort().numpy())[0, 1] > 0.9


def test_after_the_stop_the_loss_module_leaves_the_network_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients: list[bool] = []
    forward = LossModule.forward
    monkeypatch.setattr(
        LossModule, "forward", lambda self, maps: gradients.append(maps[0].requires_grad) or forward(self, maps)
    )
    prepared(LearningLoss(steps=10, batch=8), context_of(noise(30), 10))
    assert gradients[:10] == [True] * 6 + [False] * 4


def test_learning_loss_buys_the_highest_predictions_and_repeats() -> None:
    context = context_of(noise(40), 12)
    first, again = (prepared(LearningLoss(steps=8, batch=8), context) for _ in range(2))
    assert torch.equal(first._predicted, again._predicted)
    chosen = first.select(context.view, 5, np.random.default_rng(0))
    assert chosen.tolist() == first._predicted.argsort(descending=True)[:5].tolist()


def test_learning_loss_needs_a_pair() -> None:
    with pytest.raises(StrategyError, match="2 labelled images"):
        prepared(LearningLoss(steps=1), context_of(noise(10), 1))


def test_reconstruction_loss_by_hand() -> None:
    x, rebuilt = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[0.0, 4.0]]]])
    mean, spread = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, math.log(2)]])
    # 1/2 (1 + 4); KL = 1/2 (9 + 1 - 1 - 0) + 1/2 (0 + 2 - 1 - log 2)
    hand = 2.5 + 0.5 * (4.5 + 0.5 * (1 - math.log(2)))
    assert math.isclose(float(reconstruction_loss(rebuilt, x, mean, spread, 0.5)), hand, rel_tol=1e-6)


def test_adversarial_losses_by_hand() -> None:
    labelled, unlabelled = torch.tensor([0.9, 0.6]).logit(), torch.tensor([0.3]).logit()
    seen = -(math.log(0.9) + math.log(0.6)) / 2
    assert math.isclose(float(fooling_loss(labelled, unlabelled)), seen - math.log(0.3), rel_tol=1e-5)
    assert math.isclose(float(discriminator_loss(labelled, unlabelled)), seen - math.log(0.7), rel_tol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (33, 20, 3), (3, 5, 3)])
def test_the_autoencoder_gives_back_the_shape(shape: tuple[int, int, int]) -> None:
    coder = Autoencoder(shape, latent=6, first=2).eval()
    x = torch.zeros(2, shape[2], shape[0], shape[1])
    mean, spread = coder.encode(x)
    assert mean.shape == spread.shape == (2, 6)
    assert coder.decode(mean).shape == x.shape


def test_vaal_buys_what_a_fixed_discriminator_scores_lowest() -> None:
    strategy = VAAL()
    strategy._labelled = torch.tensor([0.3, -2.0, 1.0, -0.5])
    view = View(np.array([4, 5, 6, 7]), np.array([1]), np.array([0]), 2, 0)
    assert strategy.select(view, 3, np.random.default_rng(0)).tolist() == [5, 7, 4]


def test_vaal_finds_the_kind_of_image_that_is_not_labelled_yet() -> None:
    dark, bright = noise(40) // 4, 255 - noise(40, seed=1) // 4
    images = torch.cat([dark[:20], bright, dark[20:]])  # the labelled come last: all dark
    context = context_of(images, 20)
    strategy = prepared(VAAL(steps=60, batch=16, latent=4, width=4), context)
    chosen = strategy.select(context.view, 15, np.random.default_rng(0))
    assert (chosen >= 20).all()
    again = prepared(VAAL(steps=60, batch=16, latent=4, width=4), context)
    assert torch.equal(strategy._labelled, again._labelled)


def test_wrong_arguments_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        VAAL(steps=0, batch=0, latent=0, width=0, beta=-1, adversary=-1)
    assert len(caught.value.faults) == 6
    with pytest.raises(InputError) as caught:
        LearningLoss(steps=0, batch=1, rate=0, width=0)
    assert len(caught.value.faults) == 4

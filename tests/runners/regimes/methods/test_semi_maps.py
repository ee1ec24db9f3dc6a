"""Learning from the pool's images on segmentation: mean teacher with CutMix, s4GAN, UniMatch."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from protocol.draws.splits import make_split
from protocol.errors import InputError
from protocol.metrics import VOID
from protocol.oracle.oracle import Oracle
from protocol.spec.protocol import Model, Protocol
from protocol.spec.recipe import Discriminator
from protocol.spec.toml_files import load_preset, parse
from runners.data import load
from runners.datasets import Images
from runners.loop import rounds
from runners.models.segmentation import build
from runners.regimes import FitInputs, Resident, fit, refuse_unknown_method, semi_maps
from runners.regimes.methods import pool_maps, s4gan, unimatch
from runners.regimes.training import Round
from runners.session import Session
from runners.strategies import STRATEGIES


def test_boxes_cover_half_of_each_image_and_lie_anywhere() -> None:
    inside = pool_maps.boxes(400, 24, 32, torch.Generator().manual_seed(0))
    shares = inside.flatten(1).float().mean(1)
    assert (shares - 0.5).abs().max() < 0.04  # sides are whole pixels
    for box in inside:
        rows, columns = box.any(1), box.any(0)
        assert torch.equal(box, rows[:, None] & columns[None])
    assert len({tuple(b.flatten().tolist()) for b in inside}) > 100  # each image its own
    assert inside.any(0).all()


def test_pixels_below_the_threshold_or_outside_the_image_are_void() -> None:
    p = torch.tensor([[[0.95, 0.2, 0.6], [0.9, 0.5, 0.01]], [[0.05, 0.8, 0.4], [0.1, 0.5, 0.99]]])[None]
    known = torch.tensor([[[True, True, True], [False, True, True]]])
    assert pool_maps.pseudo_labels(p.log(), 0.7, known).tolist() == [[[0, 1, VOID], [VOID, VOID, 1]]]


def test_images_and_maps_are_mixed_in_the_same_places() -> None:
    maps = torch.randint(0, 5, (6, 8, 9), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    x = maps[:, None].repeat(1, 3, 1, 1).float()  # an image that shows its own map, so that any misalignment shows
    inside = pool_maps.boxes(6, 8, 9, torch.Generator().manual_seed(2))
    u, taught = pool_maps.mix_boxes(x, maps, inside)
    torch.testing.assert_close(u, taught[:, None].repeat(1, 3, 1, 1).float())
    assert not torch.equal(taught, maps)
    assert torch.equal(taught[5][inside[5]], maps[0][inside[5]])
    assert torch.equal(taught[0][~inside[0]], maps[0][~inside[0]])


def protocol(method: str = "cutmix", **changes: Any) -> Protocol:
    table = load_preset(f"digit-scenes-{method}").model_dump(mode="json") | {
        "name": "toy",
        "provenance": {},
        "budgets": [4, 6],
    }
    table["model"]["width"] = 2
    table["regime"] |= {"steps": 4, "batch_size": 4}
    table["regime"]["semi"] |= {"unlabelled_batch": 3, "ramp_steps": 0, "threshold": 0.2}
    if method == "s4gan":
        table["regime"]["semi"]["discriminator"] |= {"width": 4}
    table["regime"] |= changes
    return parse(Protocol, table, "toy")


@pytest.mark.parametrize("method", semi_maps.METHODS)
def test_poisoned_masks_of_images_never_bought_change_nothing(method: str) -> None:
    p = protocol(method)
    images, hidden = load(p.data, None)
    labels = np.array(hidden.for_oracle())
    split = make_split(p, 0, images.train_size, images.test_size)

    def run(truth: np.ndarray) -> tuple[list[Any], np.ndarray]:
        oracle = Oracle(p, 0, split, truth, lambda *_: None, classes=len(images.classes))
        oracle.start()
        done = list(
            rounds(
                Session(p, "random", 0, images, split, oracle, Resident.of(images, torch.device("cpu"))),
                STRATEGIES["random"](),
                0,
            )
        )
        return [(o.examined.sidecar["confusion"].tolist(), o.fit.extra) for o in done], oracle.labelled

    honest, owned = run(labels)
    assert 0 < honest[0][1]["mask_ratio"] <= 1
    poisoned = labels.copy()
    never = np.setdiff1d(split.pool, owned)
    poisoned[never] = np.where(labels[never] == VOID, VOID, (labels[never] + 1) % 4)
    assert run(poisoned)[0] == honest
    poisoned[owned] = np.where(labels[owned] == VOID, VOID, (labels[owned] + 1) % 4)
    assert run(poisoned)[0] != honest


def fitted(p: Protocol, round_: int = 0) -> Any:
    """A round on the first six masks, from the pool's first forty images."""
    images, hidden = load(p.data, None)
    truth, none = hidden.for_oracle(), np.empty(0, np.int64)
    inputs = FitInputs(images, np.arange(6), truth[:6], none, none, np.arange(6, 40))
    return fit(p, inputs, 0, round_, Resident.of(images, torch.device("cpu")))


@pytest.mark.parametrize("method", semi_maps.METHODS)
def test_a_round_repeats_byte_for_byte(method: str) -> None:
    first, second = fitted(protocol(method)), fitted(protocol(method))
    assert first.extra == second.extra
    for a, b in zip(first.learner.net.state_dict().values(), second.learner.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_self_training_takes_whole_maps_that_the_critic_takes_for_masks() -> None:
    logits = torch.tensor(
        [[[[2.0, 0.0]], [[0.0, 1.0]]], [[[3.0, 0.5]], [[1.0, 0.0]]], [[[0.0, 4.0]], [[0.0, 0.0]]]], requires_grad=True
    )
    known = torch.tensor([[[True, True]], [[True, True]], [[False, True]]])
    loss, learned = s4gan.self_training(logits, torch.tensor([0.75, 0.5, 0.625]), 0.625, known)
    assert learned.tolist() == [True, False, True]
    wanted = [
        math.log(1 + math.exp(-2)),
        math.log(1 + math.exp(-1)),
        math.log(1 + math.exp(-4)),
    ]  # three pixels, each by its margin
    assert loss.item() == pytest.approx(sum(wanted) / 3)
    loss.backward()
    assert (logits.grad[1] == 0).all()  # type: ignore[index]
    assert logits.grad[0, 0, 0, 0] == pytest.approx((1 / (1 + math.exp(-2)) - 1) / 3)  # type: ignore[index]
    nothing, none = s4gan.self_training(logits, torch.tensor([0.1, 0.2, 0.3]), 0.625, known)
    assert (nothing.item(), none.any().item()) == (0.0, False)


def test_features_are_matched_by_their_batch_means() -> None:
    masks, maps = torch.tensor([[1.0, 5.0], [3.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 2.0], [5.0, 6.0]])
    assert float(s4gan.feature_matching(masks, maps)) == pytest.approx((abs(2 - 2) + abs(3 - 3)) / 2)
    assert float(s4gan.feature_matching(masks, maps + torch.tensor([1.0, -3.0]))) == pytest.approx((1 + 3) / 2)


def test_the_critic_learns_masks_from_maps() -> None:
    real, false = s4gan.critic_loss(torch.tensor([0.0, 2.0]), torch.tensor([-1.0]))
    assert float(real) == pytest.approx((math.log(2) + math.log(1 + math.exp(-2))) / 2)
    assert float(false) == pytest.approx(math.log(1 + math.exp(-1)))


def test_masks_are_shown_as_zeros_and_ones_and_void_as_zeros() -> None:
    shown = s4gan.one_hot_masks(torch.tensor([[[0, 2], [VOID, 1]]], dtype=torch.uint8), 3)
    assert shown.tolist() == [[[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [0, 0]]]]


def objective(p: Protocol, kind: type[Any]) -> tuple[Any, Round]:
    images, hidden = load(p.data, None)
    truth, none = hidden.for_oracle(), np.empty(0, np.int64)
    resident = Resident.of(images, torch.device("cpu"))
    inputs = FitInputs(images, np.arange(6), truth[:6], none, none, np.arange(6, 40))
    net = build(p.model, images, 0)
    now = Round(
        p,
        inputs,
        0,
        0,
        resident,
        resident.scaling(inputs.pool),
        net,
        torch.arange(6),
        torch.from_numpy(truth[:6].copy()),
        4,
    )
    assert p.regime.semi is not None
    return kind(now, p.regime.semi), now


def test_s4gans_loss_is_the_sum_of_its_three_by_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s4gan, "pixel_cross_entropy", lambda *_: torch.tensor(0.7))
    monkeypatch.setattr(s4gan, "feature_matching", lambda *_: torch.tensor(3.0))
    monkeypatch.setattr(s4gan, "self_training", lambda _l, scores, *_: (torch.tensor(0.5), scores > 2))
    table = protocol("s4gan").model_dump(mode="json")
    table["regime"]["semi"] |= {"weight": 1.5, "ramp_steps": 4}
    method, _ = objective(parse(Protocol, table, "toy"), s4gan.S4Gan)
    torch.manual_seed(0)
    for step in (0, 1, 4):
        grown = step / 4
        assert float(method.loss(step, torch.arange(4))) == pytest.approx(0.7 + grown * (0.1 * 3.0 + 1.5 * 0.5))


def test_the_critic_moves_after_the_network_and_begins_every_round_anew() -> None:
    p = protocol("s4gan")
    torch.manual_seed(0)
    method, now = objective(p, s4gan.S4Gan)
    fresh = [w.clone() for w in method.critic.parameters()]
    method.loss(0, torch.arange(4)).backward()
    assert all(w.grad is None for w in method.critic.parameters())  # the network's loss is none of its business
    assert any(w.grad is not None and w.grad.abs().sum() > 0 for w in now.net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(fresh, method.critic.parameters(), strict=True))
    before = [w.clone() for w in now.net.parameters()]
    method.after_step(0.5)
    assert all(torch.equal(a, b) for a, b in zip(before, now.net.parameters(), strict=True))
    moved = max((a - b).abs().max().item() for a, b in zip(fresh, method.critic.parameters(), strict=True))
    assert moved == pytest.approx(0.5 * 0.001, rel=1e-3)  # Adam's first step is the rate
    again, _ = objective(p, s4gan.S4Gan)
    assert all(torch.equal(a, b) for a, b in zip(fresh, again.critic.parameters(), strict=True))


def test_a_critic_tells_masks_from_noise_of_any_size() -> None:
    torch.manual_seed(0)
    critic = s4gan.Critic(3, Discriminator(width=4, dropout=0.0))
    for height, width in ((3, 40), (20, 20), (33, 17)):
        logits, features = critic(torch.rand(5, 3, height, width))
        assert (logits.shape, features.shape) == ((5,), (5, 32))


def test_what_the_record_says_of_s4gan() -> None:
    told = fitted(protocol("s4gan")).extra
    assert {"mask_ratio", "feature_matching", "discriminator_loss_masks", "discriminator_loss_maps"} <= set(told)
    assert told["mask_ratio"] == 1.0  # a new critic's scores are near one half, and the threshold is 0.2
    assert told["discriminator_loss_masks"] == pytest.approx(math.log(2), abs=0.1)


def test_unimatchs_loss_weighs_its_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([8.0, 4.0, 2.0])  # perturbed, first strong, second strong
    monkeypatch.setattr(unimatch, "consistency", lambda *_: torch.tensor(next(told)))
    monkeypatch.setattr(unimatch, "pixel_cross_entropy", lambda *_: torch.tensor(3.0))
    method, _ = objective(protocol("unimatch"), unimatch.UniMatch)
    torch.manual_seed(0)
    assert float(method.loss(0, torch.arange(4))) == pytest.approx((3.0 + 4.0 / 4 + 2.0 / 4 + 8.0 / 2) / 2)


def test_unsure_pixels_count_nothing_and_keep_the_mean_down() -> None:
    logits = torch.tensor([[[[2.0, 0.0, 1.0]], [[0.0, 1.0, 5.0]]]])
    labels, known = torch.tensor([[[0, VOID, VOID]]]), torch.tensor([[[True, True, False]]])
    assert float(unimatch.consistency(logits, labels, known)) == pytest.approx(math.log(1 + math.exp(-2)) / 2)


@pytest.mark.parametrize("colour", [0.0, 0.5])
def test_strong_views_show_what_their_labels_say(colour: float) -> None:
    table = protocol("unimatch").model_dump(mode="json")
    table["regime"]["semi"]["strong"]["colour"] = colour
    method, now = objective(parse(Protocol, table, "toy"), unimatch.UniMatch)
    labels = torch.randint(0, 5, (6, 20, 20), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    known = torch.ones_like(labels, dtype=torch.bool)
    known[:, :3] = False
    u = now.scaling(40.0 * labels[:, None]) * known[:, None]  # images that show their own maps
    (one, told, seen), (other, _, _) = method._strong(u, labels, known), method._strong(u, labels, known)
    assert not torch.equal(told, labels)
    assert torch.equal(seen, known)
    assert not torch.equal(one, other)  # at least the boxes differ
    if not colour:
        torch.testing.assert_close(one, now.scaling(40.0 * told[:, None]) * known[:, None], atol=1e-5, rtol=1e-5)
    else:
        assert (one[:, 0][~seen] == 0).all()
        assert (one - now.scaling(40.0 * told[:, None])).abs()[:, 0][seen].mean() > 0.05


@pytest.mark.parametrize("name", ["unet-small", "lraspp-mobilenet"])
def test_dropped_features_leave_the_clean_answer_alone(name: str) -> None:
    images = Images("noise", np.zeros((1, 64, 64, 3), np.uint8), 1, 0, ("a", "b", "c"), "0" * 64)
    net = build(Model(name=name), images, 0).eval()
    x = torch.rand((5, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    with torch.no_grad():
        clean, perturbed = net.perturbed(x, 2, 0.5)
        torch.testing.assert_close(clean, net(x))
        assert perturbed.shape == (3, 3, 64, 64)
        assert not torch.allclose(perturbed, clean[2:])
        torch.testing.assert_close(net.perturbed(x, 2, 0.0)[1], clean[2:])


def test_recipes_that_cannot_be_are_refused() -> None:
    table = protocol("s4gan").model_dump(mode="json")
    table["regime"]["semi"]["discriminator"] = None
    with pytest.raises(InputError, match=r"s4gan: semi\.discriminator is needed"):
        parse(Protocol, table, "toy")
    table = protocol("unimatch").model_dump(mode="json")
    table["regime"]["semi"]["strong"] |= {"flip": True}
    with pytest.raises(InputError, match="changes only colours"):
        parse(Protocol, table, "toy")
    table = protocol("cutmix").model_dump(mode="json")
    table["regime"]["semi"]["discriminator"] = {}
    with pytest.raises(InputError, match=r"cutmix: semi\.discriminator is not used"):
        parse(Protocol, table, "toy")


def test_the_critics_settings_are_part_of_the_comparison() -> None:
    table = protocol("s4gan").model_dump(mode="json")
    prints = {parse(Protocol, table, "toy").fingerprint}
    for change in ({"lr": 0.002}, {"width": 5}, {"dropout": 0.1}, {"feature_weight": 0.2}):
        other = copy.deepcopy(table)
        other["regime"]["semi"]["discriminator"] |= change
        prints.add(parse(Protocol, other, "toy").fingerprint)
    assert len(prints) == 5


def test_it_needs_its_teacher_and_maps() -> None:
    with pytest.raises(InputError, match="cutmix needs ema_decay"):
        protocol(ema_decay=None)
    classes = load_preset("digits-mean-teacher").model_dump(mode="json") | {"provenance": {}}
    classes["regime"] |= {"method": "cutmix"}
    with pytest.raises(InputError, match="for classification"):
        refuse_unknown_method(parse(Protocol, classes, "toy"))

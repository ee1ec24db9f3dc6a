"""Semi-supervised methods: losses by hand, what they may see, and what reaches the record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from protocol.draws.splits import make_split
from protocol.errors import InputError
from protocol.oracle.oracle import Oracle
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets import Images
from runners.loop import rounds
from runners.models import weights_digest
from runners.regimes import Fit, FitInputs, Resident, fit, semi, training
from runners.session import Session
from runners.strategies import STRATEGIES

STRONG = {"shift": 1, "cutout": 3}
TWO_VIEWS = {"unlabelled_batch": 24, "strong": STRONG}
METHODS: dict[str, dict[str, Any]] = {
    "pseudo-label": {"semi": {"unlabelled_batch": 24, "ramp_steps": 3}},
    "mean-teacher": {"semi": {"unlabelled_batch": 24, "ramp_steps": 3, "weight": 20.0}, "ema_decay": 0.9},
    "uda": {"semi": {**TWO_VIEWS, "threshold": 0.1, "temperature": 0.4, "tsa": "linear"}},
    "fixmatch": {"semi": {**TWO_VIEWS, "threshold": 0.15}, "ema_decay": 0.9},
    "flexmatch": {"semi": {**TWO_VIEWS, "threshold": 0.15}},
}


def table(method: str, /, **changes: Any) -> dict[str, Any]:
    regime: dict[str, Any] = {
        "name": method,
        "method": method,
        "steps": 6,
        "batch_size": 16,
        "optimizer": {"name": "sgd", "lr": 0.05},
    }
    regime |= {"augmentation": {"shift": 1}, **METHODS[method]}
    for key, value in changes.items():
        regime[key] = {**regime.get(key, {}), **value} if isinstance(value, dict) else value
    return regime


def protocol(method: str, /, **changes: Any) -> Protocol:
    model = {"name": "small-cnn", "width": 4}
    head = {"name": "t", "data": {"name": "digits"}, "splits": {"test_size": 500}, "budgets": [40, 60], "model": model}
    return parse(Protocol, head | {"regime": table(method, **changes)}, "t")


@pytest.fixture(scope="module")
def digits() -> tuple[Images, np.ndarray]:
    images, labels = load(Data(name="digits"), None)
    return images, labels.for_oracle()


def train(digits: tuple[Images, np.ndarray], p: Protocol, pixels: np.ndarray | None = None, first: int = 0) -> Fit:
    images, labels = digits
    labelled, pool, none = (
        np.arange(first, first + 40),
        np.setdiff1d(np.arange(300), np.arange(first, first + 40)),
        np.empty(0, np.int64),
    )
    resident = Resident(torch.from_numpy((images.pixels if pixels is None else pixels).copy()))
    return fit(p, FitInputs(images, labelled, labels[labelled], none, none, pool), 0, 0, resident)


def logits(*rows: list[float]) -> torch.Tensor:
    """Logits of given probabilities, moved by constants that must not matter."""
    return (torch.tensor(rows).log() + torch.arange(len(rows))[:, None]).requires_grad_()


def test_annealing_thresholds_by_hand() -> None:
    assert semi.annealing_threshold("linear", 3, 12, 4) == pytest.approx(0.25 * 0.75 + 0.25)
    assert semi.annealing_threshold("exp", 3, 12, 4) == pytest.approx(math.exp(-3.75) * 0.75 + 0.25)
    assert semi.annealing_threshold("log", 3, 12, 4) == pytest.approx((1 - math.exp(-1.25)) * 0.75 + 0.25)


def test_annealing_looks_at_the_true_class_and_averages_over_what_is_left() -> None:
    p = logits([0.9, 0.06, 0.04], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2])
    targets = torch.tensor([0, 1, 0])  # the second is confidently wrong and must stay
    loss = semi.annealed_cross_entropy(p, targets, 0.6, 0.0)
    assert loss.item() == pytest.approx((-math.log(0.2) - math.log(0.5)) / 2, rel=1e-5)
    loss.backward()
    assert p.grad is not None
    assert p.grad[0].abs().max() == 0
    nothing = semi.annealed_cross_entropy(logits([0.9, 0.1]), torch.tensor([0]), 0.5, 0.0)
    assert nothing.item() == 0


def test_uda_sharpens_the_target_but_not_the_confidence() -> None:
    weak, strong = logits([0.8, 0.2], [0.65, 0.35]), logits([0.3, 0.7], [0.4, 0.6])
    loss, mask = semi.soft_consistency(weak, strong, 0.7, 0.5)
    assert mask.tolist() == [True, False]  # sharpened, 0.65 would be 0.775
    t = [0.64 / 0.68, 0.04 / 0.68]
    assert loss.item() == pytest.approx((t[0] * math.log(t[0] / 0.3) + t[1] * math.log(t[1] / 0.7)) / 2, rel=1e-5)
    loss.backward()
    assert weak.grad is None
    assert strong.grad is not None
    torch.testing.assert_close(strong.grad[0], (torch.tensor([0.3, 0.7]) - torch.tensor(t)) / 2)
    assert strong.grad[1].abs().max() == 0


def test_fixmatch_learns_hard_targets_of_confident_views_only() -> None:
    weak, strong = logits([0.2, 0.8], [0.6, 0.4], [0.97, 0.03]), logits([0.3, 0.7], [0.4, 0.6], [0.1, 0.9])
    loss, mask = semi.hard_consistency(weak, strong, 0.7)
    assert mask.tolist() == [True, False, True]
    assert loss.item() == pytest.approx((-math.log(0.7) - math.log(0.1)) / 3, rel=1e-5)
    loss.backward()
    assert weak.grad is None
    _, each = semi.hard_consistency(weak, strong, torch.tensor([0.85, 0.55, 0.98]))
    assert each.tolist() == [False, True, False]


def test_flexmatch_lowers_the_thresholds_of_classes_it_has_not_learned() -> None:
    curriculum = semi.Curriculum(7, 3, 0.9, torch.device("cpu"))
    assert curriculum.thresholds().tolist() == [0, 0, 0]
    confident = logits([0.95, 0.03, 0.02], [0.03, 0.92, 0.05], [0.96, 0.02, 0.02], [0.5, 0.3, 0.2], [0.01, 0.98, 0.01])
    curriculum.learn(torch.tensor([0, 1, 2, 3, 6]), confident)
    unseen = 7 - 4  # more than any class has: the denominator of the warm-up
    share = 2 / unseen
    assert curriculum.thresholds().tolist() == pytest.approx([0.9 * share / (2 - share)] * 2 + [0])
    curriculum.learn(torch.tensor([6, 5, 4]), logits([0.95, 0.03, 0.02], [0.95, 0.03, 0.02], [0.95, 0.03, 0.02]))
    assert curriculum.thresholds().tolist() == pytest.approx([0.9, 0.9 * (1 / 5) / (2 - 1 / 5), 0])


@pytest.mark.parametrize("method", METHODS)
def test_equal_calls_give_equal_bytes_and_the_pools_images_are_used(digits, method: str) -> None:  # type: ignore[no-untyped-def]
    p = protocol(method)
    one, two = train(digits, p), train(digits, p)
    assert weights_digest(one.learner.net) == weights_digest(two.learner.net)
    assert one.extra == two.extra
    pixels = digits[0].pixels.copy()
    order = np.random.default_rng(0).permutation(np.arange(40, 300))
    pixels[40:300] = pixels[order]  # the same images, seen in another order: the scaling stays
    assert weights_digest(train(digits, p, pixels).learner.net) != weights_digest(one.learner.net)
    pixels = digits[0].pixels.copy()
    pixels[300:] = 0  # neither pool nor labelled
    assert weights_digest(train(digits, p, pixels).learner.net) == weights_digest(one.learner.net)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("uda", {"semi": {"temperature": 1.0}}),
        ("uda", {"semi": {"tsa": "none"}}),
        ("uda", {"semi": {"threshold": 0.99}}),
        ("uda", {"semi": {"weight": 2.0}}),
        ("fixmatch", {"semi": {"threshold": 0.99}}),
        ("fixmatch", {"semi": {"strong": {"shift": 1, "cutout": 5}}}),
        ("fixmatch", {"semi": {"unlabelled_batch": 25}}),
        ("fixmatch", {"label_smoothing": 0.2}),
        ("fixmatch", {"ema_decay": 0.5}),
        ("pseudo-label", {"semi": {"ramp_steps": 0}}),
        ("mean-teacher", {"semi": {"ramp_steps": 0}}),
    ],
)
def test_every_setting_reaches_training(digits, method: str, changes: dict[str, Any]) -> None:  # type: ignore[no-untyped-def]
    before, after = train(digits, protocol(method)), train(digits, protocol(method, **changes))
    assert before.initial_weights == after.initial_weights
    assert before.recipe != after.recipe
    assert weights_digest(before.learner.net) != weights_digest(after.learner.net)


def test_the_record_says_how_much_was_learned_from_and_how_right_it_was(digits) -> None:  # type: ignore[no-untyped-def]
    everything = train(digits, protocol("fixmatch", semi={"threshold": 0.0}))
    assert everything.extra["mask_ratio"] == 1
    nothing = train(digits, protocol("fixmatch", semi={"threshold": 0.9999}))
    assert nothing.extra["mask_ratio"] == 0
    assert "pseudo_label_accuracy" not in nothing.extra
    assert 0 <= everything.extra["pseudo_label_accuracy"] <= 1


def test_pseudo_labels_are_judged_on_owned_labels_alone() -> None:
    method = semi.FixMatch.__new__(semi.FixMatch)
    method._counts = torch.zeros(4, dtype=torch.int64)
    known = torch.tensor([0, 1, -1, 1, -1])
    predicted = torch.eye(3)[torch.tensor([0, 2, 0, 1, 1])]
    method._count(known, predicted, torch.tensor([True, True, True, False, True]))
    assert method.extra() == {"mask_ratio": 4 / 5, "pseudo_label_accuracy": 1 / 2}


def test_weights_of_the_pools_loss_ramp_up_by_hand(digits) -> None:  # type: ignore[no-untyped-def]
    seen: dict[str, list[float]] = {}
    for method in ("pseudo-label", "mean-teacher"):
        kind: Any = semi.METHODS[method]
        objective = kind.__new__(kind)
        objective._semi = protocol(method, semi={"ramp_steps": 4, "weight": 3.0}).regime.semi
        seen[method] = [objective._weight(step) for step in (0, 1, 4, 9)]
    assert seen["pseudo-label"] == pytest.approx([0, 0.75, 3, 3])
    assert seen["mean-teacher"] == pytest.approx([3 * math.exp(-5), 3 * math.exp(-5 * 0.75**2), 3, 3])


@pytest.mark.parametrize("method", ["fixmatch", "mean-teacher"])
def test_poisoned_labels_of_images_never_bought_change_nothing(digits, method: str) -> None:  # type: ignore[no-untyped-def]
    images, labels = digits
    p = protocol(method)
    split = make_split(p, 0, images.train_size, images.test_size)

    def run(truth: np.ndarray) -> tuple[list[Any], np.ndarray]:
        oracle = Oracle(p, 0, split, truth, lambda *_: None)
        oracle.start()
        random = STRATEGIES["random"]()
        done = list(
            rounds(
                Session(p, "random", 0, images, split, oracle, Resident(torch.from_numpy(images.pixels.copy()))),
                random,
                0,
            )
        )
        assert "log_probability" in done[0].examined.sidecar
        return [
            (o.examined.sidecar["prediction"].tolist(), o.examined.sidecar["log_probability"].tobytes(), o.fit.extra)
            for o in done
        ], oracle.labelled

    honest, owned = run(labels)
    poisoned = labels.copy()
    never = np.setdiff1d(split.pool, owned)
    poisoned[never] = (labels[never] + 3) % 10
    assert run(poisoned)[0] == honest
    poisoned[owned] = (labels[owned] + 3) % 10
    assert run(poisoned)[0] != honest


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        ("fixmatch", {"semi": {"strong": None}}, "semi.strong is needed"),
        ("fixmatch", {"semi": {"temperature": 0.5}}, "belong to uda"),
        ("pseudo-label", {"semi": {"strong": STRONG}}, "not used"),
        ("mean-teacher", {"ema_decay": None}, "needs ema_decay"),
        ("mean-teacher", {"semi": {"threshold": 0.5}}, "no semi.threshold"),
        ("fixmatch", {"semi": None}, "do not fit: supervised has none"),
        ("fixmatch", {"method": "supervised"}, "do not fit: supervised has none"),
        ("fixmatch", {"swa": {"start": 0.5, "lr": 0.1, "every": 1}}, "excludes ema_decay"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(method: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        protocol(method, **changes)


def test_views_too_small_for_the_strong_augmentation_are_refused(digits) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="shift"):
        train(digits, protocol("fixmatch", semi={"strong": {"shift": 8}}))


def test_all_methods_are_tested() -> None:
    assert set(METHODS) == set(semi.METHODS)
    assert issubclass(semi.FixMatch, training.Objective)

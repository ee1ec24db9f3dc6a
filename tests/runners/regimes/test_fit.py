"""The promises of a round: reset, repeatable, unaugmented predictions, the best weights really the best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets import Images
from runners.models import build, weights_digest
from runners.regimes import Diverged, Fit, FitInputs, Learner, Resident, fit, training
from runners.regimes.augment.images import training_batch
from runners.regimes.training import Best


def protocol(**regime: Any) -> Protocol:
    optimizer = {"name": "sgd", "lr": 0.05, "momentum": 0.9}
    table = {"name": "plain", "steps": 12, "batch_size": 16, "optimizer": optimizer} | regime
    splits = {"test_size": 200, "validation_size": 30, "validation_counted": False}
    model = {"name": "small-cnn", "width": 4, "dropout": 0.3}
    return parse(
        Protocol,
        {"name": "t", "data": {"name": "digits"}, "splits": splits, "budgets": [20], "model": model, "regime": table},
        "t",
    )


@pytest.fixture(scope="module")
def digits() -> tuple[Images, np.ndarray]:
    images, labels = load(Data(name="digits"), None)
    return images, labels.for_oracle()


@pytest.fixture(scope="module")
def resident(digits: tuple[Images, np.ndarray]) -> Resident:
    return Resident.of(digits[0], torch.device("cpu"))


def inputs(digits: tuple[Images, np.ndarray], n: int = 40) -> FitInputs:
    images, labels = digits
    order = np.random.default_rng(0).permutation(1500).astype(np.int64)
    labelled, validation, unlabelled = np.split(order, [n, n + 60])
    return FitInputs(images, labelled, labels[labelled], validation, labels[validation], unlabelled)


def classifier(fitted: Fit) -> Learner:
    """Return the trained classifier of whole images."""
    assert isinstance(fitted.learner, Learner)
    return fitted.learner


def weights(fitted: Fit) -> str:
    return weights_digest(fitted.learner.net)


def test_every_round_starts_from_the_seeds_own_weights(digits, resident) -> None:  # type: ignore[no-untyped-def]
    p = protocol()
    rounds = [fit(p, inputs(digits, n), 3, k, resident) for k, n in enumerate((20, 40, 60))]
    assert len({r.initial_weights for r in rounds}) == 1
    assert len({weights(r) for r in rounds}) == 3
    assert all(weights(r) != r.initial_weights for r in rounds)
    assert fit(p, inputs(digits), 4, 0, resident).initial_weights != rounds[0].initial_weights


def test_equal_calls_give_equal_bytes_whatever_the_global_generator_does(digits, resident) -> None:  # type: ignore[no-untyped-def]
    p = protocol(augmentation={"shift": 1, "flip": True, "cutout": 2, "rand_augment": {"ops": 1, "magnitude": 3.0}})
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit(p, inputs(digits), 0, 1, resident)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = fit(p, inputs(digits), 0, 1, Resident.of(digits[0], torch.device("cpu")))
    assert weights(first) == weights(second)
    asked = np.arange(1500, 1600)
    assert torch.equal(classifier(first).predict(asked).probabilities, classifier(second).predict(asked).probabilities)
    assert weights(fit(p, inputs(digits), 0, 2, resident)) != weights(first)  # another round, another order


def test_every_round_has_its_own_batches(digits, resident) -> None:  # type: ignore[no-untyped-def]
    p = protocol()
    plain = p.model_copy(
        update={"model": p.model.model_copy(update={"dropout": 0.0})}
    )  # the order is all that is random
    assert len({weights(fit(plain, inputs(digits), 0, round_, resident)) for round_ in (0, 1, 1, 2)}) == 3


def test_predictions_repeat_and_fit_together(digits, resident) -> None:  # type: ignore[no-untyped-def]
    learner = classifier(fit(protocol(), inputs(digits), 0, 0, resident))
    asked = np.asarray([1700, 3, 1501, 3])
    first, second = learner.predict(asked), learner.predict(asked)
    assert torch.equal(first.probabilities, second.probabilities)
    assert torch.equal(first.embeddings, second.embeddings)
    assert first.probabilities.dtype == first.embeddings.dtype == torch.float32
    assert first.probabilities.shape == (4, 10)
    torch.testing.assert_close(first.probabilities.sum(1), torch.ones(4))
    torch.testing.assert_close(learner.net.head(first.embeddings).softmax(1), first.probabilities)
    assert learner.labels(asked).tolist() == first.probabilities.argmax(1).tolist()
    assert learner.labels(np.empty(0, np.int64)).shape == (0,)
    everything = np.arange(1797)
    torch.testing.assert_close(learner.predict(everything).probabilities[asked], first.probabilities, atol=1e-5, rtol=0)


def test_the_examined_table_is_what_predicting_gives(digits, resident, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    learner = classifier(fit(protocol(), inputs(digits), 0, 0, resident))
    asked = np.arange(1500, 1797)
    predicted, table = learner.classes_and_log_probabilities(asked)
    assert predicted.tolist() == learner.labels(asked).tolist()
    assert table is not None
    assert table.dtype == np.float16
    np.testing.assert_allclose(
        np.exp(table.astype(np.float64)), learner.predict(asked).probabilities.numpy(), rtol=0.01
    )
    assert (table[np.arange(len(table)), predicted] == table.max(1)).all()
    monkeypatch.setattr("runners.models.learner.LARGEST_TABLE", 2969)
    assert learner.classes_and_log_probabilities(asked)[1] is None  # 297 images, 10 classes


def test_predicting_never_augments_drops_out_or_moves_statistics(digits, resident, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    calls = []

    def counted(*args: Any) -> torch.Tensor:
        calls.append(len(args[1]))
        return training_batch(*args)

    monkeypatch.setattr(training, "training_batch", counted)
    fitted = fit(protocol(augmentation={"shift": 2, "cutout": 4}), inputs(digits), 0, 0, resident)
    assert sum(calls) == 16 * 12
    before = weights(fitted)
    fitted.learner.net.train()  # whoever left it so
    asked = np.arange(100)
    predicted = classifier(fitted).predict(asked).probabilities
    assert sum(calls) == 16 * 12
    assert weights(fitted) == before
    net = fitted.learner.net.eval()
    x = (
        resident.pixels[:100].permute(0, 3, 1, 2).float() - fitted.learner.scaling.mean
    ) / fitted.learner.scaling.deviation
    torch.testing.assert_close(predicted, net(x).softmax(1).detach())


def test_augmentation_reaches_training(digits, resident) -> None:  # type: ignore[no-untyped-def]
    plain = fit(protocol(), inputs(digits), 0, 0, resident)
    shifted = fit(protocol(augmentation={"shift": 1}), inputs(digits), 0, 0, resident)
    assert plain.initial_weights == shifted.initial_weights
    assert weights(plain) != weights(shifted)
    assert plain.recipe != shifted.recipe


def test_scaling_knows_the_pool_alone(digits) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    pool = np.arange(0, 900, 3)
    pixels = images.pixels.copy()
    pixels[1000:] = 255  # what lies outside the pool
    scaling = Resident(torch.from_numpy(pixels)).scaling(pool)
    assert scaling.mean.item() == pytest.approx(images.pixels[pool].mean())
    assert scaling.deviation.item() == pytest.approx(images.pixels[pool].std())
    resident = Resident.of(images, torch.device("cpu"))
    assert resident.scaling(pool) is resident.scaling(pool[::-1])
    assert resident.scaling(pool[:100]).mean != scaling.mean
    blank = Resident(torch.full((3, 8, 8, 1), 7, dtype=torch.uint8)).scaling(np.arange(3))
    assert blank.deviation.item() == 1.0


class Scripted(Learner):
    """Answers validation with the accuracies it was given."""

    def __init__(self, net: Any, hits: list[int], truth: np.ndarray) -> None:
        self.net, self._hits, self._truth = net, iter(hits), truth

    def labels(self, indices: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(self._truth)) < next(self._hits), self._truth, (self._truth + 1) % 10)


def test_the_best_weights_are_kept_as_a_copy(digits) -> None:  # type: ignore[no-untyped-def]
    given = inputs(digits)
    net = build(protocol().model, digits[0], 1)
    best = Best(Scripted(net, [30, 50, 40, 50, 10], given.validation_labels), given, "accuracy")
    states = []
    for step in range(1, 6):
        with torch.no_grad():
            for tensor in net.state_dict().values():
                tensor += 1  # in place, as an optimizer does
        states.append(weights_digest(net))
        best.consider(step)
    best.restore()
    assert best.step == 4  # of equals the latest
    assert weights_digest(net) == states[3]


def test_selection_on_validation_beats_or_equals_every_look(digits, resident, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    seen = []
    consider = Best.consider

    def watched(self: Best, step: int) -> None:
        consider(self, step)
        seen.append((step, training.validate(self.learner, self.inputs)["accuracy"]))

    monkeypatch.setattr(Best, "consider", watched)
    rates = {"name": "sgd", "lr": 1.5}  # so large that accuracy goes up and down
    fitted = fit(
        protocol(selection="best-validation", validate_every=2, steps=15, optimizer=rates),
        inputs(digits),
        0,
        0,
        resident,
    )
    assert [step for step, _ in seen] == [2, 4, 6, 8, 10, 12, 14, 15]
    assert fitted.validation["accuracy"] == max(value for _, value in seen)
    assert dict(seen)[int(fitted.extra["selected_step"])] == fitted.validation["accuracy"]
    assert min(value for _, value in seen) < fitted.validation["accuracy"]


def test_without_selection_the_last_weights_are_used_and_validated(digits, resident) -> None:  # type: ignore[no-untyped-def]
    fitted = fit(protocol(), inputs(digits), 0, 0, resident)
    assert fitted.extra["selected_step"] == fitted.steps == 12
    truth = inputs(digits).validation_labels
    assert fitted.validation["accuracy"] == (classifier(fitted).labels(inputs(digits).validation) == truth).mean()
    assert 0 < fitted.extra["final_loss"] < 5


def test_labels_that_are_not_owned_cannot_matter(digits, resident) -> None:  # type: ignore[no-untyped-def]
    given = inputs(digits)
    assert not hasattr(given.images, "labels")
    poisoned = FitInputs(
        given.images,
        given.labelled,
        given.labels,
        given.validation,
        (given.validation_labels + 1) % 10,
        given.unlabelled[::-1],
    )
    assert weights(fit(protocol(), given, 0, 0, resident)) == weights(fit(protocol(), poisoned, 0, 0, resident))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_learning_happens(digits, resident, name: str) -> None:  # type: ignore[no-untyped-def]
    optimizer = {"name": name, "lr": 0.01 if name != "sgd" else 0.05, "schedule": "cosine", "warmup_steps": 5}
    fitted = fit(protocol(steps=60, label_smoothing=0.1, optimizer=optimizer), inputs(digits, 150), 0, 0, resident)
    test = np.arange(1500, 1797)
    assert (classifier(fitted).labels(test) == digits[1][test]).mean() > 0.7


def test_bfloat16_learns_the_same_to_its_precision(digits, resident) -> None:  # type: ignore[no-untyped-def]
    fitted = fit(protocol(steps=60, precision="bfloat16"), inputs(digits, 150), 0, 0, resident)
    test = np.arange(1500, 1797)
    assert (classifier(fitted).labels(test) == digits[1][test]).mean() > 0.7
    predictions = classifier(fitted).predict(test)
    assert predictions.probabilities.dtype == predictions.embeddings.dtype == torch.float32


def test_a_round_ends_when_its_images_are_learned(digits, resident) -> None:  # type: ignore[no-untyped-def]
    recipe: dict[str, Any] = {"steps": None, "epochs": 200, "optimizer": {"name": "adam", "lr": 0.01}}
    fitted = fit(protocol(**recipe, stop_at=0.9), inputs(digits), 0, 0, resident)
    assert fitted.steps == fitted.extra["selected_step"]
    assert fitted.steps % 3 == 0  # whole epochs of 40 images in batches of 16
    assert 3 < fitted.steps < 600
    sooner = fit(protocol(**recipe, stop_at=0.5), inputs(digits), 0, 0, resident)
    assert sooner.steps < fitted.steps
    never = fit(protocol(**recipe | {"epochs": 2}, stop_at=1.0), inputs(digits), 0, 0, resident)
    assert never.steps == 6
    asked = fit(
        protocol(**recipe, stop_at=0.5, selection="best-validation", validate_every=1000),
        inputs(digits),
        0,
        0,
        resident,
    )
    assert asked.extra["selected_step"] == sooner.steps  # the last step is looked at, though no pass was due


def test_rare_classes_are_learned_when_the_recipe_cares_for_them(digits, resident) -> None:  # type: ignore[no-untyped-def]
    images, labels = digits
    train = np.arange(1500)
    of = [train[labels[:1500] == k] for k in range(10)]
    labelled = np.concatenate([of[k][: 140 if k < 2 else 3] for k in range(10)])
    given = FitInputs(images, labelled, labels[labelled], train[:0], labels[:0], np.setdiff1d(train, labelled))
    test = np.arange(1500, 1797)
    recall = {}
    for kind in ("none", "balanced-batches", "weighted-loss"):
        predicted = classifier(fit(protocol(steps=40, imbalance=kind), given, 0, 0, resident)).labels(test)
        recall[kind] = np.mean([(predicted[labels[test] == k] == k).mean() for k in range(2, 10)])
    assert recall["balanced-batches"] > recall["none"] + 0.05
    assert recall["weighted-loss"] > recall["none"] + 0.05
    assert recall["balanced-batches"] != recall["weighted-loss"]


@pytest.mark.parametrize("method", ["supervised", "fixmatch"])
def test_streamed_images_train_and_predict_byte_for_byte_as_resident_ones(
    digits: tuple[Images, np.ndarray], resident: Resident, tmp_path: Path, method: str
) -> None:
    np.save(tmp_path / "digits.npy", digits[0].pixels)
    mapped = replace(digits[0], pixels=np.load(tmp_path / "digits.npy", mmap_mode="r"))
    streamed = Resident.of(mapped, torch.device("cpu"), streamed=True)
    semi = {
        "unlabelled_batch": 24,
        "threshold": 0.5,
        "strong": {"cutout": 3, "rand_augment": {"ops": 1, "magnitude": 3.0}},
    }
    augmentation = {"shift": 1, "flip": True, "cutout": 2}
    p = protocol(method=method, augmentation=augmentation, **({"semi": semi} if method != "supervised" else {}))
    here, there = (fit(p, inputs(digits), 0, 0, r) for r in (resident, streamed))
    assert weights(here) == weights(there)
    asked = np.arange(1400, 1797)[::-1]
    one, other = (classifier(f).predict(asked) for f in (here, there))
    assert torch.equal(one.probabilities, other.probabilities)
    assert torch.equal(one.embeddings, other.embeddings)
    np.testing.assert_array_equal(classifier(here).labels(asked), classifier(there).labels(asked))


def test_images_are_streamed_where_they_would_fill_over_half_of_the_memory(digits, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    size = digits[0].pixels.nbytes
    monkeypatch.setattr("runners.models.resident._room", lambda _: 2 * size - 2)
    assert np.shares_memory(Resident.of(digits[0], torch.device("cpu")).pixels.numpy(), digits[0].pixels)
    monkeypatch.setattr("runners.models.resident._room", lambda _: 2 * size)
    assert not np.shares_memory(Resident.of(digits[0], torch.device("cpu")).pixels.numpy(), digits[0].pixels)


def test_labels_outside_the_task_cost_steps_and_teach_nothing(digits, resident) -> None:  # type: ignore[no-untyped-def]
    images, labels = digits
    order = np.random.default_rng(0).permutation(1500).astype(np.int64)
    bought, rest = order[:50], order[50:]
    told = np.where(labels[bought] >= 7, -1, labels[bought])
    none = (order[:0], labels[:0])
    given = FitInputs.of(
        images, (bought, told), (rest[:9], np.where(np.arange(9) < 4, -1, labels[rest[:9]])), rest[9:], "here"
    )
    assert given.labelled.tolist() == bought[told >= 0].tolist()
    assert given.useless.tolist() == bought[told < 0].tolist()
    assert given.validation.tolist() == rest[4:9].tolist()
    assert set(given.pool) == set(bought) | set(rest[9:])
    fitted = fit(protocol(steps=None, epochs=2), given, 0, 0, resident)
    assert fitted.steps == 8  # 50 bought, in batches of 16
    with pytest.raises(InputError, match="none among 50 bought"):
        FitInputs.of(images, (bought, np.full(50, -1)), none, rest, "here")


def test_failures_are_said(digits, resident) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Diverged, match="finite weights"):
        fit(protocol(optimizer={"name": "sgd", "lr": 1e38}), inputs(digits), 0, 0, resident)
    with pytest.raises(InputError, match="shift"):
        fit(protocol(augmentation={"shift": 9}), inputs(digits), 0, 0, resident)

"""EVL: the metrics follow from the predictions, and can be computed again."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.shown_maps import draw_shown_maps, maps_digest
from protocol.errors import Fault
from protocol.metrics import calibration_metrics, classification_metrics, segmentation_metrics
from protocol.record.events import RoundEvent
from protocol.record.layout import predictions_digest
from protocol.rules.evidence import RunEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, broken, run_rule, unverifiable

_TOLERANCE = 1e-12
"""Ratios of counts, and sums over exactly the sidecar's numbers: equal except for the last bits."""
_MOST_CLASSES = 2**20
_LARGEST = {"brier": 2.0, "nll": math.inf}
"""Metrics that may exceed 1."""


def _test_results(run: RunEvidence, round_: int) -> NDArray[np.int64] | Fault:
    """Return a round's predicted classes (n_test,), or its confusion matrices for segmentation.

    They come from the round's sidecar.
    """
    return run.confusion(round_) if run.protocol.task == "segmentation" else run.predictions(round_)


@run_rule(
    "EVL-01",
    "the metrics are those of the predictions",
    why="a number that cannot be computed again is only a claim",
    evidence="predictions/round-<n>.npz and the test labels in splits/<digest>.npz",
    fix="restore the files from a copy, or run it again in a new folder",
    reads={"predictions", "split"},
)
def wrong_metrics(run: RunEvidence) -> Observations:
    targets, rounds = run.split.targets, run.of(RoundEvent)
    masks = run.protocol.task == "segmentation"  # then targets are pixels per class of every test image
    usable = targets is not None and len(targets) > 0 and targets.min() >= 0
    if targets is None or not usable or (not masks and targets.max() >= _MOST_CLASSES):
        if rounds:
            what = "the number of pixels of each class in the test images" if masks else "the test labels of the split"
            yield unverifiable(run.path, what, "no usable test labels in the split's sidecar")
        return
    for where, event in rounds:
        results = _test_results(run, event.round)
        if isinstance(results, Fault):
            yield unverifiable(results)
            continue
        metrics = _of_counts(where, results, targets) if masks else _of_classes(run, where, event, results, targets)
        if isinstance(metrics, Observation):
            yield metrics
        else:
            yield from _differing(where, metrics, event.metrics)


def _of_counts(where: str, counts: NDArray[np.int64], targets: NDArray[np.int64]) -> dict[str, float] | Observation:
    """Return the metrics of confusion matrices.

    Their rows must count the pixels that the test images have.
    """
    expected = "as many pixels of each class as the test images have"
    images, classes = counts.shape[:2]
    if images * classes != len(targets):
        found = f"{images} images of {classes} classes, {len(targets)} numbers of pixels in the split's sidecar"
        return broken(where, expected, found)
    counted, pixels = counts.sum(2), targets.reshape(images, classes)
    wrong = np.argwhere(counted != pixels)
    if len(wrong):
        i, c = wrong[0]
        found = f"test image {i}, class {c}: {counted[i, c]} pixels counted, {pixels[i, c]} in the image"
        return broken(where, expected, found + (f"; {len(wrong) - 1} more differences" if len(wrong) > 1 else ""))
    return segmentation_metrics(counts)


def _of_classes(
    run: RunEvidence, where: str, event: RoundEvent, predicted: NDArray[np.int64], targets: NDArray[np.int64]
) -> dict[str, float] | Observation:
    """Return the metrics of predicted classes, and of probabilities if the round recorded them."""
    if predicted.shape != targets.shape:
        return broken(where, f"{len(targets)} predictions, one per test image", len(predicted))
    metrics = classification_metrics(predicted, targets)
    if not event.probabilities:
        return metrics
    table = run.log_probabilities(event.round)
    if isinstance(table, Fault):
        return unverifiable(table)
    if not (_fits(table, predicted) and _fits(table, targets)):
        return broken(where, f"probabilities of {len(targets)} images over all classes", f"a table of {table.shape}")
    return metrics | calibration_metrics(table, predicted, targets)


def _fits(table: NDArray[np.float16], classes: NDArray[np.int64]) -> bool:
    """Return whether the table has one row per image and a column for every class."""
    return len(table) == len(classes) > 0 and bool(classes.min() >= 0) and bool(classes.max() < table.shape[1])


def _differing(where: str, computed: dict[str, float], recorded: dict[str, float]) -> Observations:
    for name, value in recorded.items():
        if name not in computed:
            yield unverifiable(where, f"metrics that follow from predictions: {', '.join(computed)}", name)
        elif not abs(value - computed[name]) <= _TOLERANCE * max(1.0, abs(computed[name])):
            yield broken(where, f"{name} = {computed[name]!r}, computed from the predictions", repr(value))


@run_rule(
    "EVL-02",
    "the predictions are the recorded ones",
    why="predictions exchanged after the fact would fit any number",
    evidence="digests of predictions, probabilities and maps of every round and predictions/round-<n>.npz",
    fix="restore the files from a copy, or run it again in a new folder",
    reads={"predictions"},
)
def exchanged_predictions(run: RunEvidence) -> Observations:
    also_kept = _exchanged_maps if run.protocol.task == "segmentation" else _exchanged_probabilities
    for where, event in run.of(RoundEvent):
        results = _test_results(run, event.round)
        if isinstance(results, Fault):
            yield unverifiable(results)
        elif (digest := predictions_digest(results)) != event.predictions:
            yield broken(where, f"the digest of the predictions file, {digest[:16]}", event.predictions[:16])
        else:
            yield from also_kept(run, where, event, results)


def _exchanged_maps(run: RunEvidence, where: str, event: RoundEvent, counts: NDArray[np.int64]) -> Observations:
    """Check that kept maps are of the images that the seed draws, with the pixels that the matrices count."""
    if not event.maps:
        return
    kept = run.maps(event.round)
    if isinstance(kept, Fault):
        yield unverifiable(kept)
        return
    places, maps = kept
    drawn = draw_shown_maps(run.protocol, run.key.seed, len(counts), *maps.shape[1:])
    if (digest := maps_digest(places, maps)) != event.maps:
        yield broken(where, f"the digest of the maps in the file, {digest[:16]}", event.maps[:16])
    elif len(maps) != len(places) or not np.array_equal(places, drawn):
        expected = f"maps of the test images that the seed draws, {drawn.tolist()}"
        yield broken(where, expected, f"{len(maps)} maps of {places.tolist()}"[:200])
    else:
        for place, image in zip(places.tolist(), maps, strict=True):
            if found := _uncounted(image, counts[place]):
                expected = "maps with at least the pixels of each class that the confusion matrices count"
                yield broken(where, expected, f"test image {place}, {found}")
                return


def _uncounted(predicted: NDArray[np.uint8], matrix: NDArray[np.int64]) -> str:
    """Return how a map contradicts its matrix.

    The matrix leaves void pixels out: the map may have more pixels than the matrix, never fewer.
    """
    pixels, counted = np.bincount(predicted.reshape(-1), minlength=len(matrix)), matrix.sum(0)
    if len(pixels) != len(matrix):
        return f"class {len(pixels) - 1} in a map of {len(matrix)} classes"
    fewer = np.flatnonzero(pixels < counted)
    return f"class {fewer[0]}: {pixels[fewer[0]]} pixels in the map, {counted[fewer[0]]} counted" if len(fewer) else ""


def _exchanged_probabilities(
    run: RunEvidence, where: str, event: RoundEvent, predicted: NDArray[np.int64]
) -> Observations:
    if not event.probabilities:
        return
    table = run.log_probabilities(event.round)
    if isinstance(table, Fault):
        yield unverifiable(table)
    elif (digest := array_digest(table)) != event.probabilities:
        yield broken(where, f"the digest of the probabilities in the file, {digest[:16]}", event.probabilities[:16])
    elif not _fits(table, predicted):
        found = f"{len(predicted)} predictions and a table of {table.shape}"
        yield broken(where, "predictions with probabilities of every class", found)
    elif len(wrong := np.flatnonzero(table[np.arange(len(table)), predicted] < table.max(1))):
        found = f"test image {wrong[0]}: class {predicted[wrong[0]]}, while {table[wrong[0]].argmax()} is most probable"
        yield broken(
            where, "predictions of the most probable class", f"{found}; {len(wrong)} of {len(table)} images like this"
        )


@run_rule(
    "EVL-03",
    "the protocol's metric is recorded, finite and in its range",
    why="NaN compares as neither better nor worse, and so goes unnoticed in every table",
    evidence="metrics of every round",
    fix="run it again in a new folder; a diverged training is a failure, not a number",
    reads={"curve"},
)
def unusable_metrics(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        if run.protocol.metric not in event.metrics:
            yield broken(where, f"the protocol's metric, {run.protocol.metric}", ", ".join(event.metrics) or "none")
        for name, value in event.metrics.items():
            most = _LARGEST.get(name, 1.0)
            if not (math.isfinite(value) and 0 <= value <= most):
                yield broken(where, f"{name} in [0, {most:g}]", repr(value))


@run_rule(
    "EVL-04",
    "the test labels are read once per round, after training",
    why="a run that looks twice can choose, and every look leaks a little",
    evidence="the oracle's own count in every round",
    fix="run it again in a new folder; only the runner may ask for the test metrics, once per round",
    reads={"training"},
)
def repeated_test_evaluations(run: RunEvidence) -> Observations:
    for number, (where, event) in enumerate(run.of(RoundEvent), start=1):
        if event.examined is None:
            yield unverifiable(where, "how often the test labels were read", "not counted")
        elif event.examined != number:
            expected = f"the test labels read {number} times by the end of round {event.round}"
            yield broken(where, expected, event.examined)


@run_rule(
    "EVL-05",
    "the evaluated weights are selected as the recipe says",
    why="the best of many steps on the test set is a number that cannot be reached again",
    evidence="steps, extra.selected_step and validation metrics of every round",
    fix="run it again in a new folder with regime.selection as planned",
    reads={"training"},
)
def wrongly_selected_weights(run: RunEvidence) -> Observations:
    regime = run.protocol.regime
    for where, event in run.of(RoundEvent):
        step = event.extra.get("selected_step")
        if step is None:
            yield unverifiable(where, "the step of the evaluated weights (extra.selected_step)", "nothing recorded")
        elif regime.selection == "last" and step != event.steps:
            yield broken(where, f"the weights after the last step, {event.steps}", f"those after step {step:g}")
        elif regime.validate_every and step != event.steps and step % regime.validate_every:
            expected = f"weights of a validation pass, every {regime.validate_every} steps"
            yield broken(where, expected, f"those after step {step:g}")
        if run.protocol.splits.validation_size and run.protocol.metric not in event.validation:
            yield unverifiable(where, f"{run.protocol.metric} on the validation labels", "nothing recorded")


RULES: tuple[AnyRule, ...] = (
    wrong_metrics,
    exchanged_predictions,
    unusable_metrics,
    repeated_test_evaluations,
    wrongly_selected_weights,
)

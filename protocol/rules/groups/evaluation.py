"""EVL: the numbers are those of the predictions, and anybody can compute them again."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.shown_maps import draw_shown_maps, maps_digest
from protocol.errors import Fault
from protocol.metrics import calibration_metrics, classification_metrics, segmentation_metrics
from protocol.record.events import RoundEvent
from protocol.record.layout import predictions_digest
from protocol.rules.evidence import RunEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, unverifiable

_TOLERANCE = 1e-12
"""Ratios of counts, and sums over the very numbers of the sidecar: equal but for the last bits."""
_MOST_CLASSES = 2**20
_LARGEST = {"brier": 2.0, "nll": math.inf}
"""Metrics that may exceed 1."""


def _predictions_are_the_recorded_ones(run: RunEvidence) -> Observations:
    return _RECORDED[run.protocol.task](run)


def _metrics_are_those_of_the_predictions(run: RunEvidence) -> Observations:
    return _RECOMPUTED[run.protocol.task](run)


def _counts_are_the_recorded_ones(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        counts = run.confusion(event.round)
        if isinstance(counts, Fault):
            yield unverifiable(counts.where, counts.expected, counts.found, str(run.key))
        elif (digest := predictions_digest(counts)) != event.predictions:
            yield Observation(
                where, f"the digest of the confusion matrices, {digest[:16]}", event.predictions[:16], str(run.key)
            )
        elif event.maps:
            yield from _maps_are_the_recorded_ones(run, where, event, counts)


def _maps_are_the_recorded_ones(
    run: RunEvidence, where: str, event: RoundEvent, counts: NDArray[np.int64]
) -> Observations:
    """Kept maps are those of the images that the seed draws, and have the pixels that the confusion matrices count."""
    kept, key = run.maps(event.round), str(run.key)
    if isinstance(kept, Fault):
        yield unverifiable(kept.where, kept.expected, kept.found, key)
        return
    places, maps = kept
    drawn = draw_shown_maps(run.protocol, run.key.seed, len(counts), *maps.shape[1:])
    if (digest := maps_digest(places, maps)) != event.maps:
        yield Observation(where, f"the digest of the maps in the file, {digest[:16]}", event.maps[:16], key)
    elif len(maps) != len(places) or not np.array_equal(places, drawn):
        expected = f"maps of the test images that the seed draws, {drawn.tolist()}"
        yield Observation(where, expected, f"{len(maps)} maps of {places.tolist()}"[:200], key)
    elif not all(_counted(one, matrix) for one, matrix in zip(maps, counts[places], strict=True)):
        yield Observation(
            where,
            "maps with at least the pixels of each class that the confusion matrices count",
            "fewer, or other classes",
            key,
        )


def _counted(predicted: NDArray[np.uint8], matrix: NDArray[np.int64]) -> bool:
    """Whether a map can be what was counted: void pixels were not, so that it may have more of a class, never fewer."""
    found = np.bincount(predicted.reshape(-1), minlength=len(matrix))
    return len(found) == len(matrix) and bool((found >= matrix.sum(0)).all())


def _metrics_are_those_of_the_counts(run: RunEvidence) -> Observations:
    """Metrics from the confusion matrices, whose rows must have as many pixels of each class as the test images have."""
    key, targets = str(run.key), run.split.targets
    rounds = run.of(RoundEvent)
    if targets is None or not len(targets) or targets.min() < 0:
        if rounds:
            yield unverifiable(
                run.path, "how many pixels of each class the test images have", "no counts to believe", key
            )
        return
    for where, event in rounds:
        counts = run.confusion(event.round)
        if isinstance(counts, Fault):
            yield unverifiable(counts.where, counts.expected, counts.found, key)
        elif counts.shape[0] * counts.shape[1] != len(targets) or (counts.sum(2).reshape(-1) != targets).any():
            yield Observation(where, "as many pixels of each class as the test images have", "others", key)
        else:
            yield from _compare(where, segmentation_metrics(counts), event.metrics, key)


def _classes_are_the_recorded_ones(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        predicted = run.predictions(event.round)
        if isinstance(predicted, Fault):
            yield unverifiable(predicted.where, predicted.expected, predicted.found, str(run.key))
        elif (digest := predictions_digest(predicted)) != event.predictions:
            yield Observation(
                where, f"the digest of the predictions file, {digest[:16]}", event.predictions[:16], str(run.key)
            )
        elif event.probabilities:
            yield from _probabilities_are_the_recorded_ones(run, where, event, predicted)


def _probabilities_are_the_recorded_ones(
    run: RunEvidence, where: str, event: RoundEvent, predicted: NDArray[np.int64]
) -> Observations:
    table, key = run.log_probabilities(event.round), str(run.key)
    if isinstance(table, Fault):
        yield unverifiable(table.where, table.expected, table.found, key)
    elif (digest := array_digest(table)) != event.probabilities:
        yield Observation(
            where, f"the digest of the probabilities in the file, {digest[:16]}", event.probabilities[:16], key
        )
    elif not _fit(table, predicted) or (table[np.arange(len(table)), predicted] < table.max(1)).any():
        yield Observation(where, "predictions that are most probable by the probabilities beside them", "others", key)


def _fit(table: NDArray[np.float16], classes: NDArray[np.int64]) -> bool:
    return len(table) == len(classes) > 0 and bool(classes.min() >= 0) and bool(classes.max() < table.shape[1])


def _metrics_are_those_of_the_classes(run: RunEvidence) -> Observations:
    key, targets = str(run.key), run.split.targets
    rounds = run.of(RoundEvent)
    if targets is None or not len(targets) or targets.min() < 0 or targets.max() >= _MOST_CLASSES:
        if rounds:
            yield unverifiable(run.path, "the test labels of the split", "no test labels to believe", key)
        return
    for where, event in rounds:
        predicted = run.predictions(event.round)
        if isinstance(predicted, Fault):
            yield unverifiable(predicted.where, predicted.expected, predicted.found, key)
            continue
        if predicted.shape != targets.shape:
            yield Observation(where, f"{len(targets)} predictions, one per test image", str(len(predicted)), key)
            continue
        computed = classification_metrics(predicted, targets)
        if event.probabilities:
            table = run.log_probabilities(event.round)
            if isinstance(table, Fault):
                yield unverifiable(table.where, table.expected, table.found, key)
                continue
            if not (_fit(table, predicted) and _fit(table, targets)):
                yield Observation(
                    where, f"probabilities of {len(targets)} images over all classes", f"a table of {table.shape}", key
                )
                continue
            computed |= calibration_metrics(table, predicted, targets)
        yield from _compare(where, computed, event.metrics, key)


def _compare(where: str, computed: dict[str, float], recorded: dict[str, float], key: str) -> Observations:
    for name, value in recorded.items():
        if name not in computed:
            yield unverifiable(where, f"metrics that predictions give: {', '.join(computed)}", name, key)
        elif not abs(value - computed[name]) <= _TOLERANCE * max(1.0, abs(computed[name])):
            yield Observation(where, f"{name} = {computed[name]!r}, computed from the predictions", repr(value), key)


def _metrics_are_finite(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        if run.protocol.metric not in event.metrics:
            yield Observation(
                where, f"the protocol's metric, {run.protocol.metric}", ", ".join(event.metrics) or "none", str(run.key)
            )
        for name, value in event.metrics.items():
            most = _LARGEST.get(name, 1.0)
            if not (math.isfinite(value) and 0 <= value <= most):
                yield Observation(where, f"{name} in [0, {most:g}]", repr(value), str(run.key))


def _test_labels_are_read_once_a_round(run: RunEvidence) -> Observations:
    for number, (where, event) in enumerate(run.of(RoundEvent), start=1):
        if event.examined is None:
            yield unverifiable(where, "how often the test labels were read", "not counted", str(run.key))
        elif event.examined != number:
            yield Observation(
                where,
                f"the test labels read {number} times by the end of round {event.round}",
                str(event.examined),
                str(run.key),
            )


def _weights_are_selected_as_the_recipe_says(run: RunEvidence) -> Observations:
    key, regime = str(run.key), run.protocol.regime
    for where, event in run.of(RoundEvent):
        step = event.extra.get("selected_step")
        if step is None:
            yield unverifiable(
                where, "the step of the weights that were evaluated (extra.selected_step)", "nothing recorded", key
            )
        elif regime.selection == "last" and step != event.steps:
            yield Observation(
                where, f"the weights after the last step, {event.steps}", f"those after step {step:g}", key
            )
        elif regime.validate_every and step != event.steps and step % regime.validate_every:
            yield Observation(
                where,
                f"weights of a validation pass, every {regime.validate_every} steps",
                f"those after step {step:g}",
                key,
            )
        if run.protocol.splits.validation_size and run.protocol.metric not in event.validation:
            yield unverifiable(where, f"{run.protocol.metric} on the validation labels", "nothing recorded", key)


Checks = dict[str, Callable[[RunEvidence], Observations]]
_RECORDED: Checks = {"classification": _classes_are_the_recorded_ones, "segmentation": _counts_are_the_recorded_ones}
_RECOMPUTED: Checks = {
    "classification": _metrics_are_those_of_the_classes,
    "segmentation": _metrics_are_those_of_the_counts,
}
"""By the protocol's task: what the sidecar holds differs."""

RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="EVL-01",
        title="the metrics are those of the predictions",
        why="a number that cannot be computed again is a claim",
        evidence="predictions/round-<n>.npz and the test labels in splits/<digest>.npz",
        fix="restore the files from a copy, or run it again in a new folder",
        reads=frozenset({"predictions", "split"}),
        function=_metrics_are_those_of_the_predictions,
    ),
    RunRule(
        id="EVL-02",
        title="the predictions are the recorded ones",
        why="predictions exchanged after the fact would fit any number",
        evidence="digests of predictions, probabilities and maps of every round and predictions/round-<n>.npz",
        fix="restore the files from a copy, or run it again in a new folder",
        reads=frozenset({"predictions"}),
        function=_predictions_are_the_recorded_ones,
    ),
    RunRule(
        id="EVL-03",
        title="the protocol's metric is there, finite and in its range",
        why="NaN compares as neither better nor worse and so hides in every table",
        evidence="metrics of every round",
        fix="run it again in a new folder; a diverged training is a failure, not a number",
        reads=frozenset({"curve"}),
        function=_metrics_are_finite,
    ),
    RunRule(
        id="EVL-04",
        title="the test labels are read once a round, after training",
        why="whoever looks twice can choose; every look is a small leak",
        evidence="the oracle's own count in every round",
        fix="run it again in a new folder; only the runner may ask for the test metrics, once a round",
        reads=frozenset({"training"}),
        function=_test_labels_are_read_once_a_round,
    ),
    RunRule(
        id="EVL-05",
        title="the evaluated weights are chosen as the recipe says",
        why="the best of many steps by the test set is a number that nobody will see again",
        evidence="steps, extra.selected_step and validation metrics of every round",
        fix="run it again in a new folder with regime.selection as planned",
        reads=frozenset({"training"}),
        function=_weights_are_selected_as_the_recipe_says,
    ),
)

"""EVL: the numbers are those of the predictions, and anybody can compute them again."""

from __future__ import annotations

import math

from protocol.errors import Fault
from protocol.events import RoundEvent
from protocol.folders import predictions_digest
from protocol.metrics import classification_metrics
from protocol.rules.base import AnyRule, Observation, Observations, RunRule, unverifiable
from protocol.rules.evidence import RunEvidence

_TOLERANCE = 1e-12
"""Metrics are ratios of counts: equal but for the last bits."""
_MOST_CLASSES = 2**20


def _predictions_are_the_recorded_ones(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        predicted = run.predictions(event.round)
        if isinstance(predicted, Fault):
            yield unverifiable(predicted.where, predicted.expected, predicted.found, str(run.key))
        elif (digest := predictions_digest(predicted)) != event.predictions:
            yield Observation(where, f"the digest of the predictions file, {digest[:16]}", event.predictions[:16], str(run.key))


def _metrics_are_those_of_the_predictions(run: RunEvidence) -> Observations:
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
        yield from _compare(where, classification_metrics(predicted, targets), event.metrics, key)


def _compare(where: str, computed: dict[str, float], recorded: dict[str, float], key: str) -> Observations:
    for name, value in recorded.items():
        if name not in computed:
            yield unverifiable(where, f"metrics that predictions give: {', '.join(computed)}", name, key)
        elif not abs(value - computed[name]) <= _TOLERANCE:
            yield Observation(where, f"{name} = {computed[name]!r}, computed from the predictions", repr(value), key)


def _metrics_are_finite(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        if run.protocol.metric not in event.metrics:
            yield Observation(where, f"the protocol's metric, {run.protocol.metric}", ", ".join(event.metrics) or "none", str(run.key))
        for name, value in event.metrics.items():
            if not (math.isfinite(value) and 0 <= value <= 1):
                yield Observation(where, f"{name} in [0, 1]", repr(value), str(run.key))


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="EVL-01",
        title="the metrics are those of the predictions",
        why="a number that cannot be computed again is a claim",
        evidence="predictions/round-<n>.npz and the test labels in splits/<digest>.npz",
        fix="restore the files from a copy, or run it again in a new folder",
        function=_metrics_are_those_of_the_predictions,
    ),
    RunRule(
        id="EVL-02",
        title="the predictions are the recorded ones",
        why="predictions exchanged after the fact would fit any number",
        evidence="predictions digest of every round and predictions/round-<n>.npz",
        fix="restore the files from a copy, or run it again in a new folder",
        function=_predictions_are_the_recorded_ones,
    ),
    RunRule(
        id="EVL-03",
        title="the protocol's metric is there, finite and in its range",
        why="NaN compares as neither better nor worse and so hides in every table",
        evidence="metrics of every round",
        fix="run it again in a new folder; a diverged training is a failure, not a number",
        function=_metrics_are_finite,
    ),
)

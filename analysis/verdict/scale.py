"""Say a difference in words: accuracy points, or the metric's own units, with as many digits as the seeds support."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from analysis.verdict.comparison import Comparison, Verdict

SHARES: Final = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "balanced_accuracy": "balanced-accuracy",
    "pixel_accuracy": "pixel-accuracy",
    "mean_iou": "mean-IoU",
    "miou": "mean-IoU",
    "iou": "IoU",
    "dice": "Dice",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "auroc": "AUROC",
    "auc": "AUC",
    "average_precision": "average-precision",
    "map": "mAP",
    "recall": "recall",
    "precision": "precision",
}
"""Metrics that are shares of 1: metric -> how its points are called."""
PREFIX: Final = re.compile(r"^(test|val|valid|validation|top_?1)_")
DIGITS: Final = 4
"""Most decimals of a difference."""


@dataclass(frozen=True)
class Scale:
    """How the differences of one protocol are said.

    Attributes:
        factor: what a difference is multiplied by: 100 for shares that are said in points, else 1.
        noun: what follows a difference: "accuracy points", "in nll", or "" of values without a name.
        one: unit of the margin: "point", or "".
    """

    factor: float = 1.0
    noun: str = ""
    one: str = ""

    def say(self, value: float, width: float) -> str:
        """Return a difference with its sign; two digits of the interval's half-width decide where it is rounded."""
        known = math.isfinite(width) and width > 0
        digits = decimals(width * self.factor) if known else DIGITS - round(math.log10(self.factor))
        return f"{value * self.factor:+.{digits}f}"

    def margin(self, delta: float) -> str:
        """Return the margin of equivalence: "±1 point", "±0.01"."""
        size = f"{delta * self.factor:g}"
        return f"±{size} {self.one}{'s' * (size != '1')}" if self.one else f"±{size}"


def scale_of(protocol: str, comparison: Comparison) -> Scale:
    """Return how the differences of a protocol are said, by its metric's name and the range of its values."""
    name = PREFIX.sub("", re.sub(r"[\s\-]+", "_", comparison.metrics.get(protocol, "").strip().lower()))
    plain = Scale(noun="" if name in ("", "value") else f"in {comparison.metrics[protocol]}")
    if name not in SHARES:
        return plain
    own = [x for v in comparison.verdicts if v.protocol == protocol for x in (v.value, v.baseline_value)]
    finite = [x for x in own if math.isfinite(x)]
    if not finite or min(finite) < 0 or max(finite) > 100:
        return plain
    return Scale(100.0 if max(finite) <= 1.5 else 1.0, f"{SHARES[name]} points", "point")


def decimals(width: float) -> int:
    """Return the decimals that keep two digits of an interval's half-width, at most four.

    >>> decimals(1.52), decimals(0.152), decimals(15.2)
    (1, 2, 0)
    """
    return min(DIGITS, max(0, 1 - math.floor(math.log10(width))))


def half_width(verdict: Verdict) -> float:
    """Return half the width of a verdict's interval; NaN without one."""
    return (verdict.high - verdict.low) / 2

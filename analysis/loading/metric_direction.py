"""Negate metrics for which lower is better, such as the negative log-likelihood.

Everywhere else in `analysis`, higher is better. The direction is inferred from the metric's name, because a table says
nothing else about it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import pandas as pd

from analysis.loading.curves import Curves

LOWER: Final = frozenset(
    [
        "nll",
        "loss",
        "losses",
        "logloss",
        "crossentropy",
        "error",
        "errors",
        "err",
        "ece",
        "mce",
        "brier",
        "rmse",
        "mse",
        "mae",
        "perplexity",
        "ppl",
        "risk",
        "regret",
    ]
)
"""Words in the names of metrics for which lower is better."""
NEGATED: Final = frozenset(("neg", "negative", "negated", "minus"))


def lower_is_better(metric: str) -> bool:
    """Return whether lower is better, by the metric's name.

    True for nll, test_loss, top-1 error and ECE; False for -nll, neg_loss and 1 - error, for which higher is better.
    """
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", metric).lower())
    likelihood = "likelihood" in words or "loglikelihood" in words
    turned = bool(NEGATED & set(words)) or bool(re.match(r"\s*(1\s*)?[-−–]", metric))
    named = bool(LOWER & set(words)) or {"cross", "entropy"} <= set(words)
    return turned if likelihood and not named else named and not turned


def negate_losses(curves: Curves) -> Curves:
    """Negate metrics for which lower is better, so that higher is always better.

    The negated metric (for example -nll) is added next to the original and becomes the primary one; a note says so.
    If no value is above 0, the values are assumed to be negated already, because such metrics are not negative.
    """
    low = {protocol: metric for protocol, metric in curves.metrics.items() if lower_is_better(metric)}
    frame = curves.frame
    parts, notes, metrics = [frame], [], dict(curves.metrics)
    for metric in dict.fromkeys(low.values()):
        rows = frame[(frame["metric"] == metric) & frame["protocol"].isin([p for p, m in low.items() if m == metric])]
        if not (rows["value"] > 0).any():
            notes.append(f"{metric}: no value is above 0, so they are assumed to be negated already: higher is better")
            continue
        metrics |= {p: f"-{metric}" for p, m in low.items() if m == metric}
        parts.append(rows.assign(metric=f"-{metric}", value=-rows["value"]))
        notes.append(
            f"{metric}: lower is better, so -{metric} is compared: a positive difference is an improvement everywhere"
        )
    return (
        replace(curves, frame=pd.concat(parts, ignore_index=True), metrics=metrics, notes=(*curves.notes, *notes))
        if notes
        else curves
    )

"""Higher is better, everywhere in analysis. A metric of which lower is better, such as the negative log-likelihood, is negated first.

Which metrics those are is read off their names: there is nothing else to read it off.
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
"""Words in the names of metrics of which lower is better."""
NEGATED: Final = frozenset(("neg", "negative", "negated", "minus"))


def lower_is_better(metric: str) -> bool:
    """Whether its name says so: nll, test_loss, top-1 error, ECE; but not -nll, neg_loss or 1 - error, where higher is better again."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", metric).lower())
    likelihood = "likelihood" in words or "loglikelihood" in words
    turned = bool(NEGATED & set(words)) or bool(re.match(r"\s*(1\s*)?[-−–]", metric))
    named = bool(LOWER & set(words)) or {"cross", "entropy"} <= set(words)
    return turned if likelihood and not named else named and not turned


def negate_losses(curves: Curves) -> Curves:
    """The same curves where higher is better; else with the primary metric negated (as -nll, say), beside what it was made of, and a note.

    Values none of which is above 0 are taken for negated already: no such metric is negative.
    """
    low = {protocol: metric for protocol, metric in curves.metrics.items() if lower_is_better(metric)}
    frame = curves.frame
    parts, notes, metrics = [frame], [], dict(curves.metrics)
    for metric in dict.fromkeys(low.values()):
        own = frame[(frame["metric"] == metric) & frame["protocol"].isin([p for p, m in low.items() if m == metric])]
        if not (own["value"] > 0).any():
            notes.append(f"{metric}: no value is above 0, so they are taken for negated already: higher is better")
            continue
        metrics |= {p: f"-{metric}" for p, m in low.items() if m == metric}
        parts.append(own.assign(metric=f"-{metric}", value=-own["value"]))
        notes.append(
            f"{metric}: lower is better, so -{metric} is compared: a positive difference is an improvement everywhere"
        )
    return (
        replace(curves, frame=pd.concat(parts, ignore_index=True), metrics=metrics, notes=(*curves.notes, *notes))
        if notes
        else curves
    )

"""How well the probabilities are calibrated along the budget."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import add_legend, count_in_words, select, wrap
from analysis.figures.style import style_context
from analysis.figures.verdict.learning_curves import COLUMNS, draw_learning_curves, metric_frame

METRICS: Final = {"ece": "expected calibration\nerror", "brier": "Brier score", "nll": "negative log-\nlikelihood"}
"""Lower is better; defined by `protocol.metrics.calibration_metrics`."""


def calibration_frame(inputs: FigureInputs) -> pd.DataFrame:
    """Compute `learning_frame` for each calibration metric, over the protocols that recorded it."""
    recorded = inputs.curves.frame.groupby("protocol")["metric"].unique()
    parts = []
    for metric in METRICS:
        protocols = [str(p) for p, metrics in recorded.items() if metric in metrics]
        if protocols:
            parts.append(metric_frame(inputs.curves, protocols, metric))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def calibration(inputs: FigureInputs) -> StudyFigure | str:
    """Draw one row of panels per protocol and one column per metric."""
    curves, frame = inputs.curves, calibration_frame(inputs)
    if frame.empty:
        return "no probabilities were recorded, or the table has no ece, brier or nll"
    metrics = [m for m in METRICS if m in set(frame["metric"])]
    protocols = list(dict.fromkeys(frame["protocol"]))
    n = count_in_words(frame["n"], curves.unit)
    with style_context(inputs.venue):
        width = inputs.venue.page if len(metrics) > 1 else inputs.venue.column
        figure = Figure(figsize=(width, 1.85 * len(protocols)), layout="constrained")
        grid = figure.subplots(len(protocols), len(metrics), squeeze=False)
        for axes, protocol in zip(grid, protocols, strict=True):
            for ax, metric in zip(axes, metrics, strict=True):
                rows = select(frame, protocol=protocol, metric=metric)
                draw_learning_curves(ax, rows, inputs.styles, inputs.shaded)
                ax.set_ylabel(METRICS[metric])
            axes[0].set_title(wrap(protocol, 40), loc="left")
        note = f"Mean over {n}; {inputs.band}: 95 % t interval. Lower is better"
        add_legend(figure, inputs.present(frame), inputs.styles, note)
    caption = (
        f"Calibration on the test set against {curves.currency()} paid for, mean over n = {n}; lower is better. Band "
        f"({inputs.band}): pointwise 95 % t interval of each curve. Expected calibration error over 15 bins of "
        "confidence (Guo et al. 2017), Brier score, negative log-likelihood in nats. Nothing is tested "
        f"here.{inputs.upper}"
    )
    last = select(frame, metric=metrics[0])
    last = last[last["budget"] == last.groupby("protocol")["budget"].transform("max")]
    values = zip(last["strategy"], last["protocol"], last["mean"], strict=True)
    ends = "; ".join(f"{strategy} under {protocol} {mean:.3f}" for strategy, protocol, mean in values)
    alt = (
        f"Lines against {curves.currency()}, one per strategy, one row of panels per protocol. "
        f"{metrics[0]} at the last budget: {ends}."
    )
    return StudyFigure("calibration", "Calibration", figure, frame, caption, alt)

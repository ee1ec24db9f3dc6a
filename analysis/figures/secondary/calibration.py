"""How far the probabilities can be believed along the budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import CROWDED, legend, own, seeds_in_words, wrapped
from analysis.figures.style import style_context
from analysis.figures.verdict.learning_curves import draw_learning_curves, learning_frame

METRICS: Final = {"ece": "expected calibration\nerror", "brier": "Brier score", "nll": "negative log-\nlikelihood"}
"""Lower is better; `protocol.metrics.calibration_metrics` defines them."""


def calibration_frame(inputs: FigureInputs) -> pd.DataFrame:
    """As `learning_frame`, for every metric of calibration that all runs of a protocol recorded."""
    curves = inputs.curves
    there = curves.frame.groupby("protocol")["metric"].unique()
    parts = []
    for metric in METRICS:
        protocols = {p for p, metrics in there.items() if metric in metrics}
        if protocols:
            kept = curves.frame[curves.frame["protocol"].isin(protocols)]
            planned = tuple(k for k in curves.planned if k.protocol in protocols)
            parts.append(
                learning_frame(
                    replace(curves, frame=kept, planned=planned, metrics=dict.fromkeys(curves.metrics, metric))
                )
            )
    return (
        pd.concat(parts, ignore_index=True) if parts else learning_frame(replace(curves, frame=curves.frame.iloc[:0]))
    )


def calibration(inputs: FigureInputs) -> StudyFigure | str:
    """A row per protocol, a column per metric."""
    curves, styles = inputs.curves, inputs.styles
    frame = calibration_frame(inputs)
    if frame.empty:
        return "no probabilities were recorded, or the table has no ece, brier or nll"
    metrics = [m for m in METRICS if m in set(frame["metric"])]
    protocols = list(dict.fromkeys(frame["protocol"]))
    few = len(curves.strategies) <= CROWDED + 1
    n = seeds_in_words(frame["n"], curves.unit)
    band = "shaded" if few else f"shaded, {curves.baseline} only"
    with style_context(inputs.venue):
        width = inputs.venue.page if len(metrics) > 1 else inputs.venue.column
        figure = Figure(figsize=(width, 1.85 * len(protocols)), layout="constrained")
        grid = figure.subplots(len(protocols), len(metrics), squeeze=False)
        for line, protocol in zip(grid, protocols, strict=True):
            for place, (ax, metric) in enumerate(zip(line, metrics, strict=True)):
                _panel(
                    ax,
                    own(frame, protocol=protocol, metric=metric),
                    inputs,
                    metric,
                    curves.strategies if few else (curves.baseline,),
                )
                if not place:
                    ax.set_title(wrapped(protocol, 40), loc="left")
        legend(
            figure,
            [s for s in curves.strategies if s in set(frame["strategy"])],
            styles,
            f"Mean over {n}; {band}: 95 % t interval. Lower is better",
        )
    caption = (
        f"Calibration on the test set against {curves.currency()} paid for, mean over n = {n}; lower is better. Band ({band}): pointwise 95 % t interval of one curve. Expected calibration "
        f"error over 15 bins of confidence (Guo et al. 2017), Brier score, negative log-likelihood in nats. Nothing is tested here.{inputs.upper}"
    )
    last = frame[
        (frame["metric"] == metrics[0]) & (frame["budget"] == frame.groupby("protocol")["budget"].transform("max"))
    ]
    ends = "; ".join(
        f"{s} under {p} {mean:.3f}" for s, p, mean in zip(last["strategy"], last["protocol"], last["mean"], strict=True)
    )
    alt = f"Lines against {curves.currency()}, one per strategy, a row of panels per protocol. {metrics[0]} at the last budget: {ends}."
    return StudyFigure("calibration", "Calibration", figure, frame, caption, alt)


def _panel(ax: Axes, frame: pd.DataFrame, inputs: FigureInputs, metric: str, shaded: tuple[str, ...]) -> None:
    draw_learning_curves(ax, frame, inputs.styles, shaded)
    ax.set_ylabel(METRICS[metric])

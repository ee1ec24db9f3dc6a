"""Intersection over union of every class along the budget: which classes a strategy gains, and at the cost of which."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import CROWDED, each, legend, own, seeds_in_words, wrapped
from analysis.figures.style import style_context
from analysis.figures.verdict.learning_curves import draw_learning_curves, learning_frame

METRIC: Final = re.compile(r"iou_(\d+)")
HEIGHT: Final = 1.15
PAGE: Final = 8.4
"""Inches of all rows together if they can be had: a printed page."""
LEAST: Final = 0.7
MOST: Final = 40
"""Classes; more are not drawn."""


def class_iou_frame(inputs: FigureInputs) -> pd.DataFrame:
    """As `learning_frame`, for the IoU of every class, with the columns number and label (the class)."""
    curves = inputs.curves
    parts = []
    for protocol in curves.protocols:
        there = curves.frame.loc[curves.frame["protocol"] == protocol, "metric"].unique()
        names = inputs.bought.class_names(protocol)
        for number, metric in sorted((int(found[1]), m) for m in there if (found := METRIC.fullmatch(m))):
            kept = curves.frame[curves.frame["protocol"] == protocol]
            planned = tuple(k for k in curves.planned if k.protocol == protocol)
            part = learning_frame(replace(curves, frame=kept, planned=planned, metrics={protocol: metric}))
            label = names[number] if number < len(names) else f"class {number}"
            parts.append(part.assign(number=number, label=label))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def class_iou(inputs: FigureInputs) -> StudyFigure | str:
    """A row per class, a column per protocol."""
    curves = inputs.curves
    frame = class_iou_frame(inputs)
    if frame.empty:
        return "no IoU of single classes: the task is not segmentation, or a table has none (metrics iou_0, iou_1, …)"
    protocols, numbers = list(dict.fromkeys(frame["protocol"])), sorted(frame["number"].unique())
    if len(numbers) > MOST:
        return f"{len(numbers)} classes, more than the {MOST} that are drawn; see the data"
    few = len(curves.strategies) <= CROWDED + 1
    shaded = curves.strategies if few else (curves.baseline,)
    band = "shaded" if few else f"shaded, {curves.baseline} only"
    n = seeds_in_words(frame["n"], curves.unit)
    with style_context(inputs.venue):
        width = inputs.venue.page if len(protocols) > 1 else inputs.venue.column
        figure = Figure(
            figsize=(width, min(HEIGHT, max(LEAST, PAGE / len(numbers))) * len(numbers) + 0.6), layout="constrained"
        )
        grid = figure.subplots(len(numbers), len(protocols), squeeze=False, sharex="col", sharey="row")
        for row, number in enumerate(numbers):
            for column, protocol in enumerate(protocols):
                ax, rows = grid[row, column], own(frame, protocol=protocol, number=number)
                draw_learning_curves(ax, rows, inputs.styles, shaded, curves.currency(protocol))
                label = str(rows["label"].iloc[0]) if len(rows) else f"class {number}"
                ax.set_ylabel("" if column else wrapped(label, 14))
                if row:
                    ax.set_title("")
                else:
                    ax.set_title(wrapped(protocol, 30), loc="left")
                if row + 1 < len(numbers):
                    ax.set_xlabel("")
        legend(
            figure,
            [s for s in curves.strategies if s in set(frame["strategy"])],
            inputs.styles,
            f"IoU, mean over {n}; {band}: 95 % t interval",
        )
    caption = (
        f"Intersection over union of every class on the test images against {curves.currency()} paid for, mean over n = {n}. Band ({band}): pointwise 95 % t "
        f"interval of one curve. Nothing is tested here.{inputs.upper}"
    )
    last = frame[frame["budget"] == frame.groupby("protocol")["budget"].transform("max")]
    base = last[last["strategy"] == curves.baseline].sort_values(["protocol", "number"])
    ends = "; ".join(
        f"{row.label} {row.mean_:.2f} under {row.protocol}" for row in each(base.rename(columns={"mean": "mean_"}))
    )
    alt = f"Lines of IoU against {curves.currency()}, a row of panels per class, a column per protocol. {curves.baseline} at the last budget: {ends}."
    return StudyFigure("class-iou", "IoU of every class", figure, frame, caption, alt)

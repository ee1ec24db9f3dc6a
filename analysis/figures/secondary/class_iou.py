"""Intersection over union of each class along the budget.

It shows which classes a strategy gains, and which it loses.
"""

from __future__ import annotations

import re
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import add_legend, count_in_words, select, wrap
from analysis.figures.style import style_context
from analysis.figures.verdict.learning_curves import draw_learning_curves, metric_frame

METRIC: Final = re.compile(r"iou_(\d+)")
HEIGHT: Final = 1.15
PAGE: Final = 8.4
"""Height of all rows together where possible, inches: a printed page."""
LEAST: Final = 0.7
MOST: Final = 40
"""Largest number of classes that is drawn."""


def class_iou_frame(inputs: FigureInputs) -> pd.DataFrame:
    """Compute `learning_frame` for the IoU of each class.

    Returns:
        Columns of `learning_frame`, number (of the class) and label (its name).
    """
    parts = []
    for protocol in inputs.curves.protocols:
        metrics = select(inputs.curves.frame, protocol=protocol)["metric"].unique()
        names = inputs.bought.class_names(protocol)
        for number, metric in sorted((int(match[1]), m) for m in metrics if (match := METRIC.fullmatch(m))):
            label = names[number] if number < len(names) else f"class {number}"
            parts.append(metric_frame(inputs.curves, [protocol], metric).assign(number=number, label=label))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def class_iou(inputs: FigureInputs) -> StudyFigure | str:
    """Draw one row of panels per class and one column per protocol."""
    curves, frame = inputs.curves, class_iou_frame(inputs)
    if frame.empty:
        return "no IoU per class: the task is not segmentation, or the table has no metrics iou_0, iou_1, …"
    protocols, numbers = list(dict.fromkeys(frame["protocol"])), sorted(frame["number"].unique())
    if len(numbers) > MOST:
        return f"{len(numbers)} classes, more than the {MOST} that can be drawn; see the data"
    n = count_in_words(frame["n"], curves.unit)
    with style_context(inputs.venue):
        width = inputs.venue.page if len(protocols) > 1 else inputs.venue.column
        height = min(HEIGHT, max(LEAST, PAGE / len(numbers))) * len(numbers) + 0.6
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(len(numbers), len(protocols), squeeze=False, sharex="col", sharey="row")
        for axes, number in zip(grid, numbers, strict=True):
            for ax, protocol in zip(axes, protocols, strict=True):
                rows = select(frame, protocol=protocol, number=number)
                draw_learning_curves(ax, rows, inputs.styles, inputs.shaded, curves.currency(protocol))
                label = str(rows["label"].iloc[0]) if len(rows) else f"class {number}"
                ax.set_ylabel("" if ax is not axes[0] else wrap(label, 14))
                if number != numbers[-1]:
                    ax.set_xlabel("")
        for ax, protocol in zip(grid[0], protocols, strict=True):
            ax.set_title(wrap(protocol, 30), loc="left")
        note = f"IoU, mean over {n}; {inputs.band}: 95 % t interval"
        add_legend(figure, inputs.present(frame), inputs.styles, note)
    caption = (
        f"Intersection over union of each class on the test images against {curves.currency()} paid for, mean over n "
        f"= {n}. Band ({inputs.band}): pointwise 95 % t interval of each curve. Nothing is tested here.{inputs.upper}"
    )
    last = frame[frame["budget"] == frame.groupby("protocol")["budget"].transform("max")]
    base = select(last, strategy=curves.baseline).sort_values(["protocol", "number"])
    values = zip(base["label"], base["mean"], base["protocol"], strict=True)
    ends = "; ".join(f"{label} {mean:.2f} under {protocol}" for label, mean, protocol in values)
    alt = (
        f"Lines of IoU against {curves.currency()}, one row of panels per class, one column per protocol. "
        f"{curves.baseline} at the last budget: {ends}."
    )
    return StudyFigure("class-iou", "IoU of each class", figure, frame, caption, alt)

"""No text is small, clipped or overlapping in any figure, for one strategy or twenty, with short names or long."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures import FIGURES, FigureInputs, StudyFigure, draw_figures
from analysis.figures.layout import columns_that_fit
from tests.support.figure_inputs import make_inputs

NEVER_EMPTY = {
    "verdicts",
    "learning-curves",
    "difference-to-random",
    "power",
    "query-cost",
    "class-balance",
    "overlap",
    "calibration",
    "reliability",
    "class-iou",
    "contact-sheet",
    "changed-predictions",
}
SIZES = {
    "one": lambda: make_inputs(1, seeds=3),
    "two": lambda: make_inputs(2, ("one", "two"), seeds=5, venue="ieee"),
    "five, long": lambda: make_inputs(
        5,
        ("a-data-set-with-a-rather-long-name-in-five-parts",),
        ("plain", "semi-supervised-with-everything"),
        seeds=4,
        long=True,
    ),
    "twelve": lambda: make_inputs(12, seeds=3, venue="neurips"),
    "twenty, long": lambda: make_inputs(20, seeds=3, long=True, venue="icml"),
}


DEFAULT = ("one", "twenty, long")
"""The extremes; the others take as long and are marked slow."""


@pytest.mark.parametrize("size", [pytest.param(s, marks=() if s in DEFAULT else pytest.mark.slow) for s in SIZES])
def test_text_is_large_whole_and_apart(size: str) -> None:
    inputs = SIZES[size]()
    study_figures = dict(draw_figures(inputs))
    assert set(study_figures) == set(FIGURES)
    missing = {name for name, study_figure in study_figures.items() if isinstance(study_figure, str)}
    assert not missing & NEVER_EMPTY, {n: study_figures[n] for n in missing}
    faults = [
        f"{name}: {fault}"
        for name, study_figure in study_figures.items()
        if isinstance(study_figure, StudyFigure)
        for fault in faults_of(study_figure.figure, inputs)
    ]
    assert not faults, "\n".join(faults)


def test_every_kind_of_fault_is_reported() -> None:
    figure = Figure(figsize=(2, 2))
    figure.text(0.1, 0.5, "over", fontsize=9)
    figure.text(0.12, 0.5, "other", fontsize=9)
    figure.text(0.9, 0.1, "clipped at the edge", fontsize=9)
    figure.text(0.1, 0.9, "small", fontsize=5)
    words = " ".join(faults_of(figure, None))
    assert all(word in words for word in ("overlaps", "clipped", "small"))


def faults_of(figure: Figure, inputs: FigureInputs | None) -> list[str]:
    """List faults of the figure's text, narrow panels, and a width that is not the venue's."""
    figure.set_dpi(100)
    figure.draw_without_rendering()
    hidden = {id(t) for t in hidden_ticks(figure)}
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]
    faults = [
        f"{t.get_text()!r} is small: {float(t.get_fontsize()):.1f} pt" for t in texts if float(t.get_fontsize()) < 6
    ]
    boxes = np.array([t.get_window_extent().extents for t in texts])
    width, height = figure.bbox.size
    for text, (x0, y0, x1, y1) in zip(texts, boxes, strict=True):
        if x0 < -1 or y0 < -1 or x1 > width + 1 or y1 > height + 1:
            faults.append(
                f"{text.get_text()!r} is clipped: {x0:.0f} {y0:.0f} {x1:.0f} {y1:.0f} in {width:.0f} x {height:.0f}"
            )
    over = (
        (boxes[:, None, 0] < boxes[None, :, 2] - 1)
        & (boxes[None, :, 0] < boxes[:, None, 2] - 1)
        & (boxes[:, None, 1] < boxes[None, :, 3] - 1)
        & (boxes[None, :, 1] < boxes[:, None, 3] - 1)
    )
    faults += [f"{texts[i].get_text()!r} overlaps {texts[j].get_text()!r}" for i, j in np.argwhere(np.triu(over, 1))]
    narrow = [
        ax
        for ax in figure.axes
        if ax.axison and ax.get_window_extent().width < 45 and ax.get_window_extent().height < 500 and not ax.images
    ]
    faults += [
        f"a panel is {ax.get_window_extent().width:.0f} px wide" for ax in narrow if ax.get_label() != "<colorbar>"
    ]
    if inputs is not None and round(figure.get_figwidth(), 3) not in (inputs.venue.column, inputs.venue.page):
        faults.append(f"{figure.get_figwidth()} inches is no width of the venue")
    return faults


def hidden_ticks(figure: Figure) -> list[Text]:
    """List tick labels that exist but are not drawn: those beyond the limits, and those of panels that are off."""
    out = []
    for ax in [a for parent in figure.axes for a in (parent, *parent.child_axes)]:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high or not ax.axison:
                    out += [tick.label1, tick.label2]
    return out


@pytest.mark.parametrize(
    ("lengths", "width", "columns"),
    [
        ([6, 16, 6, 7, 8], 7.0, 5),
        ([16, 16, 16, 16, 16], 7.0, 3),
        ([16] * 6, 7.0, 3),
        ([10], 3.0, 1),
        ([40, 40], 3.0, 1),
        ([5] * 13, 9.0, 5),
        ([], 3.0, 1),
    ],
)
def test_a_legend_has_few_rows_that_are_equally_full(lengths: list[int], width: float, columns: int) -> None:
    assert columns_that_fit(lengths, width) == columns

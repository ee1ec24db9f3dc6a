"""What a figure is drawn from, and what comes out: drawing, data, caption."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.collect import across
from analysis.across.result import Across
from analysis.figures.layout import CROWDED, add_footnote, add_legend, count_in_words, panels, select
from analysis.figures.style import PLAIN, LineStyle, Venue, line_styles, render, style_context
from analysis.loading.curves import Curves
from analysis.secondary.details import Details, details
from analysis.secondary.purchases import Purchases
from analysis.statistics.area import describe_area
from analysis.verdict import method
from analysis.verdict.comparison import SIMULATION_SEED, Comparison

NOT_PAIRED = "nothing is paired"
"""Why a figure of paired differences is not drawn."""


@dataclass(frozen=True)
class StudyFigure:
    """A finished figure.

    Attributes:
        name: stem of its files, e.g. learning-curves.
        title: heading.
        frame: the data shown, tidy and unrounded; written as CSV.
        caption: what is shown, n, band and test.
        alt: text alternative, for readers who cannot see the figure.
    """

    name: str
    title: str
    figure: Figure
    frame: pd.DataFrame
    caption: str
    alt: str

    def _repr_svg_(self) -> str:
        """Render for Jupyter."""
        return render(self.figure, "svg").decode()


@dataclass(frozen=True)
class FigureInputs:
    """Curves and their verdicts; everything else is computed when a figure first needs it."""

    curves: Curves
    comparison: Comparison
    bought: Purchases = field(default_factory=Purchases)
    venue: Venue = PLAIN

    @cached_property
    def styles(self) -> Mapping[str, LineStyle]:
        """Map each strategy to its line style."""
        return line_styles(self.curves.strategies, self.curves.baseline)

    @cached_property
    def across(self) -> Across:
        """Compute the comparisons across data sets and regimes."""
        result = across(self.curves, np.random.default_rng(SIMULATION_SEED), alone=True)
        return result or Across(self.curves.baseline, (), (), 0)

    @cached_property
    def details(self) -> Details:
        """Compute the secondary details."""
        return details(self.curves)

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the strategies that are compared with the baseline."""
        return self.curves.competitors[1:]

    def present(self, frame: pd.DataFrame) -> list[str]:
        """Return the strategies that have rows in the frame, in the order of the study."""
        names = set(frame["strategy"])
        return [s for s in self.curves.strategies if s in names]

    @property
    def shaded(self) -> tuple[str, ...]:
        """Return the strategies whose band is drawn: all, or the baseline if there are many."""
        few = len(self.curves.strategies) <= CROWDED + 1
        return self.curves.strategies if few else (self.curves.baseline,)

    @property
    def band(self) -> str:
        """Describe in words whose bands are drawn."""
        return "shaded" if len(self.shaded) == len(self.curves.strategies) else f"shaded, {self.curves.baseline} only"

    @property
    def upper(self) -> str:
        """Name the upper lines in a sentence for captions; empty if there are none."""
        names = ", ".join(s for s in self.curves.strategies if s in self.curves.upper)
        return f" {names}: upper line that saw labels before buying them; shown, never compared." if names else ""

    @property
    def metric(self) -> str:
        """Return the metric in words, or "metric" if protocols differ in it."""
        names = set(self.curves.metrics.values())
        return re.sub(r"\biou\b", "IoU", names.pop().replace("_", " ")) if len(names) == 1 else "metric"

    @property
    def negated(self) -> str:
        """Return a sentence for the figure if its metric is drawn negated, else nothing."""
        lower = sorted({d.metric for d in self.comparison.directions.values() if d.better == "lower"})
        own = " and ".join(name.lstrip("-").replace("_", " ") for name in lower)
        return f". Lower {own} is better: drawn negated, so higher is better" if lower else ""

    @property
    def endpoint(self) -> str:
        """Return the endpoint of the verdicts in words."""
        return f"{describe_area(self.curves.area)} (AUBC)" if self.curves.has_curves else self.metric

    @property
    def pairs(self) -> str:
        """Return n of the verdicts in words."""
        return count_in_words((v.n for v in self.comparison.verdicts), self.curves.unit)

    @property
    def tested(self) -> str:
        """Return test and correction of the verdicts in words."""
        tests = f"{self.comparison.tests} test{'s' * (self.comparison.tests != 1)}"
        correction = method.CORRECTIONS[self.curves.plan.correction]
        return f"{method.test_name(self.comparison)}, {correction} over {tests}"


def panelled(
    inputs: FigureInputs,
    frame: pd.DataFrame,
    draw: Callable[[Axes, pd.DataFrame, str], object],
    height: float,
    note: str,
    *,
    by: str = "protocol",
    names: Sequence[str] | None = None,
    legend: Sequence[str] | None = None,
    **layout: Any,
) -> Figure:
    """Draw one panel per protocol, with a legend or a footnote below.

    Args:
        draw: draws one panel from its rows of `frame`, given the name of the panel.
        height: height of a row of panels, inches.
        note: explains marks and bands; the title of the legend if there is one.
        by: column of `frame` that says to which panel a row belongs.
        names: names of the panels; by default the protocols that have rows, in the order of the study.
        legend: strategies in the legend; None for a footnote without a legend.
        layout: further options of `panels`.
    """
    if names is None:
        names = [p for p in inputs.curves.protocols if p in set(frame[by])]
    with style_context(inputs.venue):
        figure = panels(names, lambda ax, n: draw(ax, select(frame, **{by: n}), n), height, inputs.venue, **layout)
        if legend is None:
            add_footnote(figure, note)
        else:
            add_legend(figure, legend, inputs.styles, note)
    return figure

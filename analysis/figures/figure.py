"""What every figure is made from, and what it comes as: drawing, data, caption."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.across.collect import across
from analysis.across.result import Across
from analysis.figures.layout import seeds_in_words
from analysis.figures.style import PLAIN, LineStyle, Venue, line_styles, render
from analysis.loading.curves import Curves
from analysis.secondary.details import Details, details
from analysis.secondary.purchases import Purchases
from analysis.verdict import sentences
from analysis.verdict.comparison import SIMULATION_SEED, Comparison


@dataclass(frozen=True)
class StudyFigure:
    """One figure, finished.

    Attributes:
        name: of its files, e.g. learning-curves.
        title: a heading.
        frame: what is drawn, tidy, unrounded; the CSV beside the figure.
        caption: what is shown, n, band and test.
        alt: what it looks like and says, for those who cannot see it.
    """

    name: str
    title: str
    figure: Figure
    frame: pd.DataFrame
    caption: str
    alt: str

    def _repr_svg_(self) -> str:
        """How Jupyter shows it."""
        return render(self.figure, "svg").decode()


@dataclass(frozen=True)
class FigureInputs:
    """Curves with their verdicts, and everything else once a figure asks for it."""

    curves: Curves
    comparison: Comparison
    bought: Purchases = field(default_factory=Purchases)
    venue: Venue = PLAIN

    @cached_property
    def styles(self) -> Mapping[str, LineStyle]:
        return line_styles(self.curves.strategies, self.curves.baseline)

    @cached_property
    def across(self) -> Across:
        found = across(self.curves, np.random.default_rng(SIMULATION_SEED), alone=True)
        return found or Across(self.curves.baseline, (), (), 0)

    @cached_property
    def details(self) -> Details:
        return details(self.curves)

    @property
    def others(self) -> tuple[str, ...]:
        """The strategies that are compared with the baseline."""
        return self.curves.competitors[1:]

    @property
    def upper(self) -> str:
        """Which lines are no competitors, for captions; empty if none."""
        names = ", ".join(s for s in self.curves.strategies if s in self.curves.upper)
        return f" {names}: upper line, which saw labels it had not bought; shown, never compared." if names else ""

    @property
    def metric(self) -> str:
        """The metric in words; 'metric' if protocols differ in it."""
        names = set(self.curves.metrics.values())
        return re.sub(r"\biou\b", "IoU", names.pop().replace("_", " ")) if len(names) == 1 else "metric"

    @property
    def endpoint(self) -> str:
        return "area under the budget curve (AUBC)" if self.curves.has_curves else self.metric

    @property
    def pairs(self) -> str:
        """n of the verdicts in words."""
        return seeds_in_words((v.n for v in self.comparison.verdicts), self.curves.unit)

    @property
    def tested(self) -> str:
        """Test and correction of the verdicts in words."""
        plan = self.curves.plan
        return f"{sentences.test_name(self.comparison)}, {sentences.CORRECTIONS[plan.correction]} over {self.comparison.tests} test{'s' * (self.comparison.tests != 1)}"

"""Figures of a comparison. Drawing functions take Axes and return them; layouts put one panel per protocol.

Every figure states its band and n. Bands of learning curves are t intervals, pointwise, for one curve alone; bands of
differences are simultaneous over budgets, for one strategy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis import tables
from analysis.across import rank_tables
from analysis.bands import simultaneous_band
from analysis.curves import matrix
from analysis.figures_ranks import rank_figure
from analysis.intervals import t_band
from analysis.load import Curves
from analysis.pairing import paired_curves
from analysis.style import COLUMN, PAGE, Look, applied, looks, save
from analysis.verdict import Comparison

CROWDED = 4
"""Beyond this many strategies, shaded bands hide each other: fewer are shaded, or bars are drawn."""

Draw = Callable[[Axes, str], Axes]


def learning_curves(ax: Axes, curves: Curves, protocol: str, look: Mapping[str, Look]) -> Axes:
    """Mean metric over seeds at each budget; shaded: its 95 % t interval (only random's if there are many strategies)."""
    wide = matrix(curves, protocol)
    names = wide.index.get_level_values("strategy")
    banded = curves.strategies if len(curves.strategies) <= CROWDED + 1 else (curves.baseline,)
    for strategy in curves.strategies[::-1]:
        own = wide[names == strategy]
        if not len(own):
            continue
        mean, low, high = t_band(own.to_numpy(dtype=np.float64))
        ax.plot(own.columns, mean, label=strategy, **look[strategy].line())
        if strategy in banded:
            ax.fill_between(own.columns, low, high, color=look[strategy].colour, alpha=0.13, linewidth=0, zorder=1)
    return _finish(ax, protocol, "labels paid for", curves.metrics[protocol].replace("_", " "))


def difference_curves(ax: Axes, curves: Curves, protocol: str, look: Mapping[str, Look]) -> Axes:
    """Mean paired difference to random along the budget with its 95 % simultaneous band, a zero line and the zone of ±delta."""
    others = [s for s in curves.competitors if s != curves.baseline]
    _zone(ax, curves.plan.delta, horizontal=True)
    for place, strategy in enumerate(others):
        paired = paired_curves(curves, protocol, strategy)
        if not len(paired):
            continue
        budgets = paired.columns.to_numpy(dtype=np.float64)
        found = simultaneous_band(paired.to_numpy(dtype=np.float64))
        mean, low, high = found.mean, found.low, found.high
        if len(others) <= CROWDED:
            ax.plot(budgets, mean, label=strategy, **look[strategy].line())
            ax.fill_between(budgets, low, high, color=look[strategy].colour, alpha=0.13, linewidth=0, zorder=1)
        else:
            x = budgets + _dodge(budgets, place, len(others))
            bars = np.nan_to_num(np.stack([mean - low, high - mean]))
            ax.errorbar(x, mean, bars, label=strategy, elinewidth=0.5, **look[strategy].line() | {"linewidth": 0.8, "markersize": 2.6})
    return _finish(ax, protocol, "labels paid for", f"{curves.metrics[protocol].replace('_', ' ')} difference\nto {curves.baseline}")


def forest(ax: Axes, comparison: Comparison, protocol: str, look: Mapping[str, Look]) -> Axes:
    """Verdicts: paired difference in AUBC with its 95 % t interval, a row per strategy, the answer to the right."""
    rows = list(dict.fromkeys(v.strategy for v in comparison.verdicts))
    own = {v.strategy: v for v in comparison.verdicts if v.protocol == protocol}
    _zone(ax, comparison.plan.delta, horizontal=False)
    for row, v in ((rows.index(name), v) for name, v in own.items()):
        if v.n:
            bars = np.nan_to_num([[v.difference - v.low], [v.high - v.difference]])
            ax.errorbar([v.difference], [row], xerr=bars, elinewidth=1.2, capsize=2, **look[v.strategy].line() | {"linestyle": "none"})
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(visible=False, axis="y")
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), [tables.answer(own[name]) if name in own else "" for name in rows])
    for axis in (ax.yaxis, right.yaxis):
        axis.set_tick_params(length=0)
    right.spines["right"].set_visible(False)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.set_title(protocol, loc="left")
    return ax


def _zone(ax: Axes, delta: float, *, horizontal: bool) -> None:
    span, line = (ax.axhspan, ax.axhline) if horizontal else (ax.axvspan, ax.axvline)
    span(-delta, delta, color="0.92", linewidth=0, zorder=0)
    line(0.0, color="black", linewidth=0.8, zorder=4)


def _dodge(budgets: np.ndarray, place: int, of: int) -> np.ndarray:
    """Small shifts to the side, in labels, so that bars stand beside each other: within 60 % of the narrower gap."""
    if len(budgets) < 2:
        return np.full(len(budgets), (place - (of - 1) / 2) * 0.02 * budgets[0])
    gaps = np.diff(budgets)
    room = np.minimum(np.r_[gaps[0], gaps], np.r_[gaps, gaps[-1]])
    return np.asarray(0.6 * room * (place - (of - 1) / 2) / of)


def _finish(ax: Axes, title: str, x: str, y: str) -> Axes:
    ax.set_title(title, loc="left")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return ax


def panels(protocols: Sequence[str], draw: Draw, row_height: float, *, columns: int = 3, labelled_rows: bool = False) -> Figure:
    """A figure with one panel per protocol: one column wide for one, the page's width for more, at most `columns` side by side.

    With `labelled_rows`, tick labels of the vertical axis are the same in all panels and shown once a row.
    """
    across = 2 if len(protocols) == 4 else max(1, min(columns, len(protocols)))
    down = max(1, -(-len(protocols) // across))
    figure = Figure(figsize=(COLUMN if across == 1 else PAGE, row_height * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for place, ax in enumerate(grid.flat):
        if place < len(protocols):
            draw(ax, protocols[place])
            if place % across:
                ax.set_ylabel("")
                ax.tick_params(axis="y", labelleft=not labelled_rows)
        else:
            ax.set_axis_off()
    return figure


def learning_figure(curves: Curves) -> Figure:
    """Learning curves of all protocols."""
    look = looks(curves.strategies, curves.baseline)
    shaded = "shaded" if len(curves.strategies) <= CROWDED + 1 else f"shaded, {curves.baseline} only"
    with applied():
        figure = panels(curves.protocols, lambda ax, p: learning_curves(ax, curves, p, look), 1.9)
        _legend(figure, curves.strategies, look, f"Mean over {_curve_seeds(curves)}; {shaded}: 95 % t interval")
    return figure


def difference_figure(curves: Curves) -> Figure:
    """Paired differences to random of all protocols."""
    look = looks(curves.strategies, curves.baseline)
    others = [s for s in curves.competitors if s != curves.baseline]
    band = "Shaded" if len(others) <= CROWDED else "Bars"
    note = f"Mean paired difference over {_pair_seeds(curves)}\n{band}: 95 % simultaneous band. Grey: within ±{curves.plan.delta:g}"
    with applied():
        figure = panels(curves.protocols, lambda ax, p: difference_curves(ax, curves, p, look), 1.9)
        _legend(figure, others, look, note)
    return figure


def forest_figure(curves: Curves, comparison: Comparison) -> Figure:
    """The verdicts in one picture."""
    look = looks(curves.strategies, curves.baseline)
    note = f"Difference to {curves.baseline} in AUBC, paired over {_pair_seeds(curves)}\nBars: 95 % t interval. Grey: within ±{curves.plan.delta:g}"
    height = 0.75 + 0.19 * max(1, len(curves.competitors) - 1)
    with applied():
        figure = panels(curves.protocols, lambda ax, p: forest(ax, comparison, p, look), height, columns=2, labelled_rows=True)
        figure.supxlabel(note, fontsize=7)
        drawn = [ax for ax in figure.axes if ax.axison]
        limits = [ax.get_xlim() for ax in drawn]
        for ax in drawn:
            ax.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure


def _legend(figure: Figure, names: Sequence[str], look: Mapping[str, Look], title: str) -> None:
    longest = max((len(n) for n in names), default=1)
    room = figure.get_figwidth() / (0.45 + 0.058 * longest)
    handles = [Line2D([], [], label=n, **look[n].line()) for n in names]
    across = max(1, min(len(handles), int(room), 6))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=across, title=title)
    legend.get_title().set_multialignment("center")
    rows = -(-len(handles) // across) + title.count("\n") + 1
    figure.set_figheight(figure.get_figheight() + 0.15 * rows + 0.15)  # the panels keep their height however many entries there are


def _seeds(counts: Iterable[int]) -> str:
    """n in words: one number, or the range over strategies and protocols."""
    ns = sorted(set(counts)) or [0]
    return f"{ns[0]} seed{'s' * (ns[0] != 1)}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]} seeds"


def _curve_seeds(curves: Curves) -> str:
    return _seeds(n for protocol in curves.protocols for n in matrix(curves, protocol).groupby(level="strategy").size())


def _pair_seeds(curves: Curves) -> str:
    return _seeds(len(paired_curves(curves, protocol, strategy)) for protocol, strategy in curves.comparisons)


def write_figures(curves: Curves, comparison: Comparison, folder: Path) -> list[Path]:
    """Write verdicts, learning-curves and difference-to-random, and mean-ranks where a regime has several data sets, as PDF,
    SVG and PNG; returns their paths."""
    figures = {
        "verdicts": forest_figure(curves, comparison),
        "learning-curves": learning_figure(curves),
        "difference-to-random": difference_figure(curves),
    }
    ranked = rank_tables(curves, notes=[])
    look = looks(curves.strategies, curves.baseline)
    figures |= {f"mean-ranks-{i}" if len(ranked) > 1 else "mean-ranks": rank_figure(t, look) for i, t in enumerate(ranked, 1)}
    return [path for name, figure in figures.items() for path in save(figure, Path(folder) / name)]

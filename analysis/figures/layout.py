"""What the figures share: panels, rows of intervals, heat maps, legends, names that are long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.figures.style import PLAIN, SMALL, LineStyle, Venue

CROWDED: Final = 4
"""Beyond this many strategies, shaded bands hide each other: fewer are shaded, or bars are drawn."""
MANY: Final = 12
"""Beyond this many, bars hide the very lines: the lines alone are drawn, and what the bars would show is in the CSV."""
NUMBERED: Final = 0.27
"""Inches a cell of a heat map must be wide to hold its number."""
NAME: Final = 24
"""Characters of a name on one line."""
Draw = Callable[[Axes, str], Any]


def wrapped(name: str, width: int = NAME) -> str:
    """The whole name on as many lines as it takes, broken after separators where there are any."""
    lines, line = [], ""
    for part in re.findall(r"[^-_/ ,:.()]*[-_/ ,:.()]?", name):
        if line and len(line) + len(part.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += part
        while len(line.rstrip()) > width:
            lines.append(line[:width])
            line = line[width:]
    return "\n".join([*lines, line.rstrip()] if line.strip() else lines) or name


def lines_of(names: Iterable[str], width: int = NAME) -> int:
    """Lines of the longest name."""
    return max((wrapped(n, width).count("\n") + 1 for n in names), default=1)


def panels(
    names: Sequence[str],
    draw: Draw,
    row_height: float,
    venue: Venue = PLAIN,
    *,
    columns: int = 3,
    labelled_rows: bool = False,
    wide: bool = False,
    beside: float = 0.0,
) -> Figure:
    """A figure with one titled panel per name: one column wide for one, the page's width for more.

    With `labelled_rows`, tick labels of the vertical axis are the same in all panels and shown once a row; with `wide`,
    even one panel takes the page's width. `beside`: inches of every panel that stand beside its axes.
    """
    most = columns if venue.page > 6 else min(columns, 2)
    across = 2 if len(names) == 4 and most > 1 else max(1, min(most, len(names)))
    down = max(1, -(-len(names) // across))
    width = venue.page if across > 1 or wide else venue.column
    title = max(12, int((width / across - beside) / 0.072))
    height = row_height + 0.14 * (lines_of(names, title) - 1)
    figure = Figure(figsize=(width, height * down), layout="constrained")
    for place, ax in enumerate(figure.subplots(down, across, squeeze=False).flat):
        if place >= len(names):
            ax.set_axis_off()
            continue
        draw(ax, names[place])
        ax.set_title(wrapped(names[place], title), loc="left")
        if place % across:
            ax.set_ylabel("")
            ax.tick_params(axis="y", labelleft=not labelled_rows)
    return figure


def finish(ax: Axes, x: str, y: str, *, whole: bool = True) -> Axes:
    """Axis labels and few ticks."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=whole))
    return ax


def zone(ax: Axes, delta: float, *, horizontal: bool) -> None:
    """The zero line and the zone of equivalence around it."""
    span, line = (ax.axhspan, ax.axhline) if horizontal else (ax.axvspan, ax.axvline)
    if delta:
        span(-delta, delta, color="0.92", linewidth=0, zorder=0)
    line(0.0, color="black", linewidth=0.8, zorder=1.5)


def shade(ax: Axes, x: Any, low: Any, high: Any, style: LineStyle) -> None:
    """A band in the colour of its line."""
    ax.fill_between(x, low, high, color=style.colour, alpha=0.13, linewidth=0, zorder=1)


def dodge(x: NDArray[np.float64], place: int, of: int) -> NDArray[np.float64]:
    """Small shifts to the side, so that bars stand beside each other: within 60 % of the narrower gap."""
    if len(x) < 2:
        return np.full(len(x), (place - (of - 1) / 2) * 0.02 * (x[0] if len(x) else 0.0))
    gaps = np.diff(x)
    room = np.minimum(np.r_[gaps[0], gaps], np.r_[gaps, gaps[-1]])
    return np.asarray(0.6 * room * (place - (of - 1) / 2) / of)


def interval(
    ax: Axes,
    row: float,
    value: float,
    low: float,
    high: float,
    style: LineStyle,
    *,
    hollow: bool = False,
    thin: bool = False,
) -> None:
    """A mark with its horizontal interval; where a bound is not known there is no bar on that side."""
    bars = np.nan_to_num([[value - low], [high - value]], nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    marks = style.line() | {"linestyle": "none", "zorder": 3}
    if hollow:
        marks |= {"markerfacecolor": "white", "markeredgecolor": style.colour, "markeredgewidth": 0.9}
    ax.errorbar([value], [row], xerr=bars, elinewidth=0.7 if thin else 1.2, **marks)


def rows(ax: Axes, names: Sequence[str], right: Sequence[str] | None = None) -> Axes:
    """Rows from top to bottom, named to the left; what `right` says to the right."""
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), [wrapped(n) for n in names])
    ax.grid(visible=False, axis="y")
    axes = [ax.yaxis]
    if right is not None:
        other = ax.secondary_yaxis("right")
        other.set_yticks(range(len(names)), list(right))
        other.spines["right"].set_visible(False)
        axes.append(other.yaxis)
    for axis in axes:
        axis.set_tick_params(length=0)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    return ax


def rows_height(names: Sequence[str]) -> float:
    """Inches that `rows` need for these names, title and axis included."""
    return 0.75 + max(1, len(names)) * (0.19 + 0.115 * (lines_of(names) - 1))


def same_x(figure: Figure) -> None:
    """One horizontal scale for all panels."""
    drawn = [ax for ax in figure.axes if ax.axison]
    limits = [ax.get_xlim() for ax in drawn]
    for ax in drawn:
        ax.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


def heat(
    ax: Axes,
    values: NDArray[np.float64],
    left: Sequence[str],
    below: Sequence[str],
    cell: float,
    *,
    low: float,
    high: float,
    map_: str = "cividis",
    form: str = ".2f",
) -> Axes:
    """A heat map in a scheme that reads the same in grey; numbers in the cells where they have room (`cell` inches wide)."""
    image = ax.imshow(values, cmap=map_, vmin=low, vmax=high, aspect="auto")
    ax.set_yticks(range(len(left)), [wrapped(n) for n in left])
    ax.set_xticks(range(len(below)), [wrapped(n, column_width(below, cell)) for n in below], rotation=90)
    ax.tick_params(length=0, labelsize=SMALL)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if cell >= NUMBERED:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                light = np.dot(np.asarray(image.cmap(image.norm(np.array([value]))))[0, :3], (0.3, 0.59, 0.11)) > 0.55
                ax.text(
                    j,
                    i,
                    format(value, form),
                    ha="center",
                    va="center",
                    fontsize=SMALL,
                    color="black" if light else "white",
                )
    return ax


def scale(figure: Figure, axes: Sequence[Axes]) -> None:
    """What the colours of heat maps of one scale mean, beside them."""
    bar = figure.colorbar(axes[0].images[0], ax=list(axes), fraction=0.02, pad=0.01, aspect=30)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)


def column_width(names: Sequence[str], cell: float) -> int:
    """Characters on a line of names that stand upright below cells so many inches wide: those of one line where two have no room."""
    return NAME if cell > 0.11 * lines_of(names) + 0.03 else max(map(len, names), default=NAME)


def names_height(names: Sequence[str], cell: float) -> float:
    """Inches that such names take."""
    return 0.06 * min(max(map(len, names), default=0), column_width(names, cell))


def legend(figure: Figure, names: Sequence[str], styles: Mapping[str, LineStyle], note: str) -> None:
    """Below the panels, as many entries side by side as fit; the panels keep their height."""
    shown = [wrapped(n, 2 * NAME) for n in names]
    across = columns_that_fit([max(map(len, n.split("\n"))) for n in shown], figure.get_figwidth())
    handles = [Line2D([], [], label=s, **styles[n].line()) for n, s in zip(names, shown, strict=True)]
    note = folded(note, figure.get_figwidth())
    made = figure.legend(handles=handles, loc="outside lower center", ncols=across, title=note)
    made.get_title().set_multialignment("center")
    down = -(-len(handles) // across)
    tall = down * lines_of(names, 2 * NAME) + note.count("\n") + 1
    figure.set_figheight(figure.get_figheight() + 0.15 * tall + 0.15)


def columns_that_fit(lengths: Sequence[int], width: float) -> int:
    """Columns of a legend with entries of so many characters: as few rows as `width` inches allow, and no more columns than these rows need."""
    for across in range(min(len(lengths), 6), 1, -1):
        columns = np.array_split(
            np.asarray(lengths), across
        )  # entries go down the columns, the first ones take one more
        if sum(0.45 + 0.062 * int(column.max()) for column in columns) <= width:
            return -(-len(lengths) // -(-len(lengths) // across))
    return 1


def footnote(figure: Figure, note: str) -> None:
    """What the marks mean, below the panels."""
    text = folded(note, figure.get_figwidth())
    figure.supxlabel(text, fontsize=7)
    figure.set_figheight(figure.get_figheight() + 0.12 * text.count("\n"))


def folded(note: str, width: float) -> str:
    """Lines no longer than `width` inches hold at 7 points, cut between words."""
    most, lines = int(width / 0.0585), []
    for given in note.split("\n"):
        line = ""
        for word in given.split():
            if line and len(line) + 1 + len(word) > most:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        lines.append(line)
    return "\n".join(lines)


def label_ends(
    ax: Axes, ends: Mapping[str, tuple[float, float]], styles: Mapping[str, LineStyle], height: float
) -> None:
    """Names at the ends of their lines, spread so that none overlap; `height` is that of the panel in inches."""
    low, high = ax.get_ylim()
    gap = (high - low) * 0.125 / height
    order = sorted(ends, key=lambda n: ends[n][1])
    at = spread([ends[n][1] for n in order], gap)
    for name, y in zip(order, at, strict=True):
        ax.annotate(
            name, ends[name], xytext=(1.04, (y - low) / (high - low)), textcoords="axes fraction", color=styles[name].colour, va="center",
            annotation_clip=False, arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "color": styles[name].colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Rising places at least `gap` apart, as near to the wanted (rising) ones as may be: least squares by pooling neighbours."""
    blocks: list[tuple[float, int]] = []
    for i, w in enumerate(wanted):
        blocks.append((w - i * gap, 1))
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    flat = [value for value, n in blocks for _ in range(n)]
    return [value + i * gap for i, value in enumerate(flat)]


def seeds_in_words(counts: Iterable[int], unit: str = "seed") -> str:
    """n in words: one number, or the range over strategies and protocols."""
    ns = sorted({int(n) for n in counts}) or [0]
    return f"{ns[0]} {unit}{'s' * (ns[0] != 1)}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]} {unit}s"


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """Its rows, a column an attribute."""
    yield from frame.itertuples()


def highest(frame: pd.DataFrame, column: str) -> Any:
    """The row with the highest value in the column, the first of several."""
    return frame.sort_values(column, ascending=False, kind="stable").iloc[0]


def spread_of(frame: pd.DataFrame, by: list[str], column: str) -> pd.DataFrame:
    """Largest minus smallest of the column within each group, a row a group."""
    groups = frame.groupby(by, sort=False)[column]
    return (groups.max() - groups.min()).reset_index()


def own(frame: pd.DataFrame, **where: object) -> pd.DataFrame:
    """Rows in which every named column has the named value."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame

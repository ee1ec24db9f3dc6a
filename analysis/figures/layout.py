"""Parts that figures share: panels, rows of intervals, heat maps, legends, wrapped names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.figures.style import PLAIN, SMALL, LineStyle, Venue

CROWDED: Final = 4
"""With more strategies than this, shaded bands hide each other: shade fewer, or draw bars."""
MANY: Final = 12
"""With more strategies than this, bars hide the lines: draw lines only, and leave the bars to the CSV."""
NUMBERED: Final = 0.27
"""Smallest width of a heat-map cell that holds its number, inches."""
NAME: Final = 24
"""Characters of a name per line."""


def wrap(name: str, width: int = NAME) -> str:
    """Return the whole name on as many lines as it needs, broken after separators where possible."""
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


def line_count(names: Iterable[str], width: int = NAME) -> int:
    """Return the number of lines of the longest name, wrapped."""
    return max((wrap(n, width).count("\n") + 1 for n in names), default=1)


def panels(
    names: Sequence[str],
    draw: Callable[[Axes, str], object],
    row_height: float,
    venue: Venue = PLAIN,
    *,
    columns: int = 3,
    labelled_rows: bool = False,
    wide: bool = False,
    beside: float = 0.0,
) -> Figure:
    """Draw one titled panel per name: one column wide for a single panel, else as wide as the page.

    Args:
        draw: draws the panel of a name.
        row_height: height of a row of panels, inches.
        columns: largest number of panels in a row.
        labelled_rows: all panels have the same tick labels on the vertical axis; show them once per row.
        wide: use the width of the page even for a single panel.
        beside: width of a panel that its axes do not use (names, colour bar), inches.
    """
    most = columns if venue.page > 6 else min(columns, 2)
    across = 2 if len(names) == 4 and most > 1 else max(1, min(most, len(names)))
    down = max(1, -(-len(names) // across))
    width = venue.page if across > 1 or wide else venue.column
    title = max(12, int((width / across - beside) / 0.072))
    height = row_height + 0.14 * (line_count(names, title) - 1)
    figure = Figure(figsize=(width, height * down), layout="constrained")
    for place, ax in enumerate(figure.subplots(down, across, squeeze=False).flat):
        if place >= len(names):
            ax.set_axis_off()
            continue
        draw(ax, names[place])
        ax.set_title(wrap(names[place], title), loc="left")
        if place % across:
            ax.set_ylabel("")
            ax.tick_params(axis="y", labelleft=not labelled_rows)
    return figure


def label_axes(ax: Axes, x: str, y: str, *, whole: bool = True) -> Axes:
    """Label both axes and reduce the ticks; `whole` keeps horizontal ticks at whole numbers."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=whole))
    return ax


def draw_zone(ax: Axes, delta: float, *, horizontal: bool) -> None:
    """Draw the zero line and the zone of equivalence around it."""
    span, line = (ax.axhspan, ax.axhline) if horizontal else (ax.axvspan, ax.axvline)
    if delta:
        span(-delta, delta, color="0.92", linewidth=0, zorder=0)
    line(0.0, color="black", linewidth=0.8, zorder=1.5)


def shade(ax: Axes, x: Any, low: Any, high: Any, style: LineStyle) -> None:
    """Draw a band in the colour of its line."""
    ax.fill_between(x, low, high, color=style.colour, alpha=0.13, linewidth=0, zorder=1)


def dodge(x: NDArray[np.float64], place: int, of: int) -> NDArray[np.float64]:
    """Return small horizontal shifts that keep `of` bars at each x apart, within 60 % of the smaller gap."""
    if len(x) < 2:
        return np.full(len(x), (place - (of - 1) / 2) * 0.02 * (x[0] if len(x) else 0.0))
    gaps = np.diff(x)
    room = np.minimum(np.r_[gaps[0], gaps], np.r_[gaps, gaps[-1]])
    return np.asarray(0.6 * room * (place - (of - 1) / 2) / of)


def draw_interval(
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
    """Draw a mark with its horizontal interval, without a bar on the side of an unknown bound."""
    bars = np.nan_to_num([[value - low], [high - value]], nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    marks = style.line() | {"linestyle": "none", "zorder": 3}
    if hollow:
        marks |= {"markerfacecolor": "white", "markeredgecolor": style.colour, "markeredgewidth": 0.9}
    ax.errorbar([value], [row], xerr=bars, elinewidth=0.7 if thin else 1.2, **marks)


def label_rows(ax: Axes, names: Sequence[str], right: Sequence[str] | None = None) -> Axes:
    """Name the rows from top to bottom on the left, and write `right` on the right."""
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), [wrap(n) for n in names])
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
    """Return the height of rows with these names, title and axis included, inches."""
    return 0.75 + max(1, len(names)) * (0.19 + 0.115 * (line_count(names) - 1))


def annotate(
    ax: Axes,
    text: str,
    point: tuple[float, float],
    offset: tuple[float, float],
    ha: str = "center",
    va: str = "bottom",
    coordinates: str = "data",
) -> None:
    """Write small text at an offset, in points, from a point."""
    place: dict[str, Any] = {"xycoords": coordinates, "xytext": offset, "textcoords": "offset points"}
    ax.annotate(text, point, ha=ha, va=va, fontsize=SMALL, annotation_clip=False, **place)


def share_x(figure: Figure) -> None:
    """Give all panels the same horizontal scale."""
    shown = [ax for ax in figure.axes if ax.axison]
    limits = [ax.get_xlim() for ax in shown]
    for ax in shown:
        ax.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


def heat_map(
    ax: Axes,
    values: NDArray[np.float64],
    left: Sequence[str],
    below: Sequence[str],
    cell: float,
    *,
    low: float,
    high: float,
    form: str = ".2f",
) -> Axes:
    """Draw a heat map in a colour map that also reads in grey.

    Args:
        left, below: names of the rows and of the columns.
        cell: width of a cell, inches; from NUMBERED on, cells hold their numbers.
        low, high: values at the ends of the colour map.
    """
    image = ax.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto")
    ax.set_yticks(range(len(left)), [wrap(n) for n in left])
    ax.set_xticks(range(len(below)), [wrap(n, column_width(below, cell)) for n in below], rotation=90)
    ax.tick_params(length=0, labelsize=SMALL)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if cell >= NUMBERED:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                light = np.dot(np.asarray(image.cmap(image.norm(np.array([value]))))[0, :3], (0.3, 0.59, 0.11)) > 0.55
                colour = "black" if light else "white"
                ax.text(j, i, format(value, form), ha="center", va="center", fontsize=SMALL, color=colour)
    return ax


def add_colour_bar(figure: Figure | SubFigure, axes: Sequence[Axes]) -> None:
    """Add the colour bar of heat maps that share one scale."""
    bar = figure.colorbar(axes[0].images[0], ax=list(axes), fraction=0.02, pad=0.01, aspect=30)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)


def column_width(names: Sequence[str], cell: float) -> int:
    """Return the characters per line of upright names below cells that are `cell` inches wide.

    Names stay on one line where a cell has no room for two.
    """
    return NAME if cell > 0.11 * line_count(names) + 0.03 else max(map(len, names), default=NAME)


def names_height(names: Sequence[str], cell: float) -> float:
    """Return the height of upright names below cells that are `cell` inches wide, inches."""
    return 0.06 * min(max(map(len, names), default=0), column_width(names, cell))


def add_legend(figure: Figure, names: Sequence[str], styles: Mapping[str, LineStyle], note: str) -> None:
    """Add a legend with a note below the panels, which keep their height."""
    shown = [wrap(n, 2 * NAME) for n in names]
    across = columns_that_fit([max(map(len, n.split("\n"))) for n in shown], figure.get_figwidth())
    handles = [Line2D([], [], label=s, **styles[n].line()) for n, s in zip(names, shown, strict=True)]
    note = fold(note, figure.get_figwidth())
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=across, title=note)
    legend.get_title().set_multialignment("center")
    down = -(-len(handles) // across)
    tall = down * line_count(names, 2 * NAME) + note.count("\n") + 1
    figure.set_figheight(figure.get_figheight() + 0.15 * tall + 0.15)


def columns_that_fit(lengths: Sequence[int], width: float) -> int:
    """Return the number of columns of a legend with few and equally full rows.

    Args:
        lengths: characters of each entry.
        width: room for the legend, inches.
    """
    for across in range(min(len(lengths), 6), 1, -1):
        # entries go down the columns, and the first columns take one more
        columns = np.array_split(np.asarray(lengths), across)
        if sum(0.45 + 0.062 * int(column.max()) for column in columns) <= width:
            return -(-len(lengths) // -(-len(lengths) // across))
    return 1


def add_footnote(figure: Figure, note: str) -> None:
    """Explain the marks below the panels."""
    text = fold(note, figure.get_figwidth())
    figure.supxlabel(text, fontsize=7)
    figure.set_figheight(figure.get_figheight() + 0.12 * text.count("\n"))


def fold(note: str, width: float) -> str:
    """Break a note between words, so that its lines fit `width` inches at 7 points."""
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
    """Write names at the ends of their lines, spread out so that none overlap.

    Args:
        ends: name -> last point of its line, in data coordinates.
        height: height of the panel, inches.
    """
    low, high = ax.get_ylim()
    gap = (high - low) * 0.125 / height
    order = sorted(ends, key=lambda n: ends[n][1])
    for name, y in zip(order, spread_out([ends[n][1] for n in order], gap), strict=True):
        colour = styles[name].colour
        arrow: dict[str, Any] = {
            "arrowstyle": "-",
            "relpos": (0, 0.5),
            "color": colour,
            "linewidth": 0.4,
            "shrinkA": 0,
            "shrinkB": 2,
        }
        place: dict[str, Any] = {
            "xytext": (1.04, (y - low) / (high - low)),
            "textcoords": "axes fraction",
            "va": "center",
        }
        ax.annotate(name, ends[name], color=colour, annotation_clip=False, arrowprops=arrow, **place)


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Return rising places at least `gap` apart that are nearest to the given rising places.

    Nearest in the sense of least squares, by pooling adjacent violators.
    """
    blocks: list[tuple[float, int]] = []
    for i, place in enumerate(places):
        blocks.append((place - i * gap, 1))
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    flat = [value for value, n in blocks for _ in range(n)]
    return [value + i * gap for i, value in enumerate(flat)]


def count_in_words(counts: Iterable[int], unit: str = "seed") -> str:
    """Return a count with its unit, or the range of several counts: "5 seeds", "3 to 5 seeds"."""
    ns = sorted({int(n) for n in counts}) or [0]
    return f"{ns[0]} {unit}{'s' * (ns[0] != 1)}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]} {unit}s"


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows, with columns as attributes."""
    yield from frame.itertuples()


def highest(frame: pd.DataFrame, column: str) -> Any:
    """Return the first row with the highest value in the column."""
    return frame.sort_values(column, ascending=False, kind="stable").iloc[0]


def range_within(frame: pd.DataFrame, by: list[str], column: str) -> pd.DataFrame:
    """Return largest minus smallest value of the column within each group, one row per group."""
    groups = frame.groupby(by, sort=False)[column]
    return (groups.max() - groups.min()).reset_index()


def select(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return the rows in which every named column has the given value."""
    for column, value in values.items():
        frame = frame[frame[column] == value]
    return frame

"""How a study looks: one colour, marker and dash per strategy in all its figures; random black; print sizes.

Colours are Paul Tol's "muted" scheme (SRON/EPS/TN/09-002), distinguishable with colour-vision deficiency;
marker and dash tell lines apart in grey, and beyond nine strategies.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure

from protocol.errors import Notice
from protocol.record.layout import write_atomically


@dataclass(frozen=True)
class Venue:
    """A page to print on: widths of one column and of the text block, inches (equal where there is one column), and its face.

    STIX is a Times that matplotlib brings along, so that no font need be installed.
    """

    column: float
    page: float
    font: str = "STIXGeneral"


VENUES: Final = {
    "plain": Venue(3.4, 7.0, "DejaVu Sans"),
    "neurips": Venue(5.5, 5.5),
    "icml": Venue(3.25, 6.75),
    "iclr": Venue(5.5, 5.5),
    "tmlr": Venue(6.5, 6.5),
    "jmlr": Venue(6.0, 6.0),
    "cvpr": Venue(3.25, 6.875),
    "ieee": Venue(3.5, 7.16),
    "acm": Venue(3.33, 7.0),
}
"""From the style files of each venue."""
PLAIN: Final = VENUES["plain"]
FORMATS: Final = ("pdf", "svg", "png")
SMALL: Final = 6.5
"""Smallest text, points: still above 6 where a journal shrinks figures a little."""

_COLOURS: Final = ("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499", "#999933", "#882255", "#44AA99", "#DDAA33")
_MARKERS: Final = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
_DASHES: Final[tuple[Any, ...]] = ((0, ()), (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

WIDE: Final = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "Microsoft YaHei", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Arial Unicode MS", "Noto Sans Arabic",
    "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Symbols2", "FreeSans",
)  # fmt: skip
"""Fonts of other scripts, as systems bring them, for names of classes."""

_SETTINGS: Final[Any] = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "beatrandom",
    "svg.fonttype": "path",
    "axes.unicode_minus": True,
    "text.parse_math": False,  # names are shown as they are: a strategy may be called $x_1$
}


@dataclass(frozen=True)
class LineStyle:
    """How one strategy is drawn."""

    colour: str
    marker: str
    dash: Any
    order: float

    def line(self) -> dict[str, Any]:
        """Keyword arguments of `Axes.plot` and `Axes.errorbar`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.dash,
            "zorder": self.order,
            "markeredgewidth": 0,
        }


def line_styles(strategies: Sequence[str], baseline: str) -> dict[str, LineStyle]:
    """A styles for every strategy, by its place in the study; the baseline is black, solid and on top of all."""
    others = [s for s in strategies if s != baseline]
    made = {
        name: LineStyle(
            _COLOURS[i % len(_COLOURS)],
            _MARKERS[i % len(_MARKERS)],
            _DASHES[(i + 2 * (i // len(_MARKERS))) % len(_DASHES)],
            2.0 + i / (len(others) + 1),
        )
        for i, name in enumerate(others)
    }
    return {baseline: LineStyle("black", "o", (0, ()), 4.0), **made}


@contextmanager
def style_context(venue: Venue = PLAIN) -> Iterator[None]:
    """The project's settings for the figures drawn and saved inside."""
    with mpl.rc_context(_SETTINGS | {"font.family": [venue.font, *_others()]}):
        yield


@cache
def _others() -> tuple[str, ...]:
    """Of the fonts that know more scripts, those that are installed: they give the letters that the venue's font lacks, and no others."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(name for name in WIDE if name in there)


@contextmanager
def _missing_letters_told() -> Iterator[None]:
    """One line instead of one a letter and format."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = [found.group(1) for each in caught if (found := re.match(r"Glyph (\d+) ", str(each.message)))]
    for each in caught:
        if not str(each.message).startswith("Glyph "):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if lacking:
        letter = chr(int(lacking[0]))
        warnings.warn(
            f"figures show boxes in place of letters that no installed font has, such as {letter}; install one, e.g. {WIDE[0]}",
            Notice,
            stacklevel=2,
        )


def save(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS, venue: Venue = PLAIN) -> list[Path]:
    """Write stem.pdf, stem.svg and stem.png (300 dpi); equal figures give equal bytes."""
    paths = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        write_atomically(path, render(figure, kind, venue))
        paths.append(path)
    return paths


def render(figure: Figure, kind: str, venue: Venue = PLAIN) -> bytes:
    """The figure as a file of this kind: pdf, svg or png."""
    facts: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Creator": "beatrandom", "Producer": None},
        "svg": {"Date": None, "Creator": "beatrandom"},
        "png": {"Software": None},
    }
    drawn = io.BytesIO()
    with style_context(venue), _missing_letters_told():
        figure.savefig(drawn, format=kind, dpi=300, metadata=facts[kind])
        if figure.get_layout_engine() is not None:  # laid out once: alike in every format, and the slowest part of it
            figure.set_layout_engine("none")
    return drawn.getvalue()

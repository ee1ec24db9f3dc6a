"""Line styles, page sizes and file formats of all figures.

A strategy has one colour, marker and dash in all figures of a study; the baseline is black. Colours are Paul Tol's
"muted" scheme (SRON/EPS/TN/09-002), which is safe for colour-vision deficiency. Marker and dash distinguish lines in
grey, and beyond nine strategies.
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
    """Page of a journal or conference.

    Attributes:
        column: width of a column, inches.
        page: width of the text block, inches; equal to `column` on a page with one column.
        font: typeface. STIX is a Times that comes with matplotlib, so that no font must be installed.
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
"""Smallest text, points; still above 6 if a journal shrinks the figure a little."""

_COLOURS: Final = ("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499", "#999933", "#882255", "#44AA99", "#DDAA33")
_MARKERS: Final = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
_DASHES: Final[tuple[Any, ...]] = ((0, ()), (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

FALLBACK_FONTS: Final = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft YaHei", "Malgun Gothic", "PingFang SC", "Hiragino Sans",
    "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali",
    "Noto Sans Thai", "Noto Sans Symbols2", "FreeSans",
)  # fmt: skip
"""Fonts of other scripts that common systems have, for class names."""

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
    "text.parse_math": False,  # show names verbatim: a strategy may be called $x_1$
}


@dataclass(frozen=True)
class LineStyle:
    """Colour, marker, dashes and drawing order of one strategy."""

    colour: str
    marker: str
    dash: Any
    order: float

    def line(self) -> dict[str, Any]:
        """Return keyword arguments for `Axes.plot` and `Axes.errorbar`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.dash,
            "zorder": self.order,
            "markeredgewidth": 0,
        }


def line_styles(strategies: Sequence[str], baseline: str) -> dict[str, LineStyle]:
    """Assign a style to each strategy by its position in the study.

    The baseline is black, solid and on top.
    """
    others = [s for s in strategies if s != baseline]
    styles = {
        name: LineStyle(
            _COLOURS[i % len(_COLOURS)],
            _MARKERS[i % len(_MARKERS)],
            _DASHES[(i + 2 * (i // len(_MARKERS))) % len(_DASHES)],
            2.0 + i / (len(others) + 1),
        )
        for i, name in enumerate(others)
    }
    return {baseline: LineStyle("black", "o", (0, ()), 4.0), **styles}


@contextmanager
def style_context(venue: Venue = PLAIN) -> Iterator[None]:
    """Apply the project's matplotlib settings to figures that are drawn or saved inside."""
    with mpl.rc_context(_SETTINGS | {"font.family": [venue.font, *_fallback_fonts()]}):
        yield


@cache
def _fallback_fonts() -> tuple[str, ...]:
    """Return the installed fallback fonts, which supply only the letters that the venue's font lacks."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(name for name in FALLBACK_FONTS if name in installed)


@contextmanager
def _missing_letters_reported_once() -> Iterator[None]:
    """Replace matplotlib's warning per letter and format by a single notice."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = [match.group(1) for each in caught if (match := re.match(r"Glyph (\d+) ", str(each.message)))]
    for each in caught:
        if not str(each.message).startswith("Glyph "):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if lacking:
        letter = chr(int(lacking[0]))
        warnings.warn(
            f"figures show boxes for letters that no installed font has, such as {letter}; "
            f"install one, e.g. {FALLBACK_FONTS[0]}",
            Notice,
            stacklevel=2,
        )


def save(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS, venue: Venue = PLAIN) -> list[Path]:
    """Write the figure as stem.pdf, stem.svg and stem.png (300 dpi); equal figures give equal bytes."""
    paths = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        write_atomically(path, render(figure, kind, venue))
        paths.append(path)
    return paths


def render(figure: Figure, kind: str, venue: Venue = PLAIN) -> bytes:
    """Return the bytes of the figure as pdf, svg or png."""
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Creator": "beatrandom", "Producer": None},
        "svg": {"Date": None, "Creator": "beatrandom"},
        "png": {"Software": None},
    }
    buffer = io.BytesIO()
    with style_context(venue), _missing_letters_reported_once():
        figure.savefig(buffer, format=kind, dpi=300, metadata=metadata[kind])
        # keep this layout, so that all formats are alike; layout is also the slowest part
        if figure.get_layout_engine() is not None:
            figure.set_layout_engine("none")
    return buffer.getvalue()

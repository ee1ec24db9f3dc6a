"""How a study looks: one colour, marker and dash per strategy in all its figures; random black; print sizes.

Colours are Paul Tol's "muted" scheme (SRON/EPS/TN/09-002), distinguishable with colour-vision deficiency;
marker and dash tell lines apart in grey, and beyond nine strategies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

COLUMN: Final = 3.4
"""Width of one column of a two-column page, inches."""
PAGE: Final = 7.0
"""Width of the whole page, inches."""

_COLOURS: Final = ("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499", "#999933", "#882255", "#44AA99", "#DDAA33")
_MARKERS: Final = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
_DASHES: Final[tuple[Any, ...]] = ((0, ()), (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

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
}


@dataclass(frozen=True)
class Look:
    """How one strategy is drawn."""

    colour: str
    marker: str
    dash: Any
    order: float

    def line(self) -> dict[str, Any]:
        """Keyword arguments of `Axes.plot` and `Axes.errorbar`."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.dash, "zorder": self.order, "markeredgewidth": 0}


def looks(strategies: Sequence[str], baseline: str) -> dict[str, Look]:
    """A look for every strategy, by its place in the study; the baseline is black, solid and on top of all."""
    others = [s for s in strategies if s != baseline]
    made = {
        name: Look(
            _COLOURS[i % len(_COLOURS)],
            _MARKERS[i % len(_MARKERS)],
            _DASHES[(i + i // len(_COLOURS)) % len(_DASHES)],
            2.0 + i / (len(others) + 1),
        )
        for i, name in enumerate(others)
    }
    return {baseline: Look("black", "o", (0, ()), 4.0), **made}


@contextmanager
def applied() -> Iterator[None]:
    """The project's settings for the figures drawn and saved inside."""
    with mpl.rc_context(_SETTINGS):
        yield


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write stem.pdf, stem.svg and stem.png (300 dpi); equal figures give equal bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Creator": "beatrandom", "Producer": None},
        "svg": {"Date": None, "Creator": "beatrandom"},
        "png": {"Software": None},
    }
    paths = []
    with applied():
        for kind, facts in metadata.items():
            path = stem.with_name(f"{stem.name}.{kind}")
            figure.savefig(path, dpi=300, metadata=facts)
            paths.append(path)
    return paths

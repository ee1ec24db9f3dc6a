"""All figures by name, drawn and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from analysis.figures.across.labels_saved import labels
from analysis.figures.across.levers import interaction, levers
from analysis.figures.across.mean_ranks import ranks
from analysis.figures.across.penalty_matrix import penalties
from analysis.figures.across.performance_profile import improvements, profiles
from analysis.figures.across.ranking_stability import stability
from analysis.figures.plate import Material, Plate
from analysis.figures.secondary.calibration import calibration
from analysis.figures.secondary.changed_predictions import changed_predictions
from analysis.figures.secondary.class_balance import class_balance, overlaps
from analysis.figures.secondary.class_iou import class_iou
from analysis.figures.secondary.contact_sheet import contact_sheet
from analysis.figures.secondary.query_cost import costs
from analysis.figures.secondary.reliability import reliability
from analysis.figures.style import FORMATS, save
from analysis.figures.verdict.difference_to_random import differences
from analysis.figures.verdict.learning_curves import learning
from analysis.figures.verdict.power import power
from analysis.figures.verdict.verdicts import verdicts
from protocol.record.layout import write_atomically

FIGURES: Final[dict[str, Callable[[Material], Plate | str]]] = {
    "verdicts": verdicts,
    "learning-curves": learning,
    "difference-to-random": differences,
    "mean-ranks": ranks,
    "penalty-matrix": penalties,
    "performance-profile": profiles,
    "probability-of-improvement": improvements,
    "labels-saved": labels,
    "levers": levers,
    "interaction": interaction,
    "ranking-stability": stability,
    "power": power,
    "query-cost": costs,
    "contact-sheet": contact_sheet,
    "class-balance": class_balance,
    "overlap": overlaps,
    "calibration": calibration,
    "reliability": reliability,
    "class-iou": class_iou,
    "changed-predictions": changed_predictions,
}
"""Name -> the figure, or in words why this study has none."""


def drawn(material: Material, only: Iterable[str] = ()) -> Iterator[tuple[str, Plate | str]]:
    """The named figures (all, if none is named), one by one, in the catalogue's order; or why one is not drawn."""
    wanted = set(only) or set(FIGURES)
    for name, make in FIGURES.items():
        if name in wanted:
            yield name, make(material)


def write_figures(
    material: Material, folder: Path, only: Iterable[str] = (), formats: Sequence[str] = FORMATS
) -> Iterator[tuple[str, list[Path] | str]]:
    """Write each figure with its data (.csv) and caption (.txt); yields its name and its paths, or why it is not drawn."""
    for name, plate in drawn(material, only):
        if isinstance(plate, str):
            yield name, plate
            continue
        stem = Path(folder) / name
        beside = {"csv": plate.frame.to_csv(index=False), "txt": plate.caption + "\n"}
        for ending, text in beside.items():
            write_atomically(stem.with_suffix(f".{ending}"), text.encode())
        yield name, [*save(plate.figure, stem, formats, material.venue), *(stem.with_suffix(f".{e}") for e in beside)]

"""All figures by name: draw them, write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from analysis.figures.across.interaction import interaction
from analysis.figures.across.labels_saved import labels_saved
from analysis.figures.across.levers import levers
from analysis.figures.across.mean_ranks import mean_ranks
from analysis.figures.across.penalty_matrix import penalty_matrix
from analysis.figures.across.performance_profile import performance_profile
from analysis.figures.across.probability_of_improvement import probability_of_improvement
from analysis.figures.across.ranking_stability import ranking_stability
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.secondary.calibration import calibration
from analysis.figures.secondary.changed_predictions import changed_predictions
from analysis.figures.secondary.class_balance import class_balance
from analysis.figures.secondary.class_iou import class_iou
from analysis.figures.secondary.contact_sheet import contact_sheet
from analysis.figures.secondary.overlap import overlap
from analysis.figures.secondary.query_cost import query_cost
from analysis.figures.secondary.reliability import reliability
from analysis.figures.style import FORMATS, save
from analysis.figures.verdict.difference_to_random import difference_to_random
from analysis.figures.verdict.learning_curves import learning_curves
from analysis.figures.verdict.power import power
from analysis.figures.verdict.verdicts import verdicts
from analysis.formatting.tables import csv_text
from protocol.record.layout import write_atomically

FIGURES: Final[dict[str, Callable[[FigureInputs], StudyFigure | str]]] = {
    "verdicts": verdicts,
    "learning-curves": learning_curves,
    "difference-to-random": difference_to_random,
    "mean-ranks": mean_ranks,
    "penalty-matrix": penalty_matrix,
    "performance-profile": performance_profile,
    "probability-of-improvement": probability_of_improvement,
    "labels-saved": labels_saved,
    "levers": levers,
    "interaction": interaction,
    "ranking-stability": ranking_stability,
    "power": power,
    "query-cost": query_cost,
    "contact-sheet": contact_sheet,
    "class-balance": class_balance,
    "overlap": overlap,
    "calibration": calibration,
    "reliability": reliability,
    "class-iou": class_iou,
    "changed-predictions": changed_predictions,
}
"""Name on the command line -> function that draws the figure, or returns why this study has none."""


def draw_figures(inputs: FigureInputs, only: Iterable[str] = ()) -> Iterator[tuple[str, StudyFigure | str]]:
    """Yield each figure, or why there is none, in the order of `FIGURES`.

    Args:
        only: names of the figures to draw; all if empty.
    """
    names = set(only) or set(FIGURES)
    for name, draw in FIGURES.items():
        if name in names:
            yield name, draw(inputs)


def write_figures(
    inputs: FigureInputs, folder: Path, only: Iterable[str] = (), formats: Sequence[str] = FORMATS
) -> Iterator[tuple[str, list[Path] | str]]:
    """Write each figure with its data (.csv) and caption (.txt), and yield its name and paths.

    Where a figure cannot be drawn, the reason is yielded instead of the paths.

    Args:
        only: names of the figures to write; all if empty.
    """
    directions = dict.fromkeys(map(str, inputs.comparison.directions.values()))
    for name, study_figure in draw_figures(inputs, only):
        if isinstance(study_figure, str):
            yield name, study_figure
            continue
        stem = Path(folder) / name
        texts = {
            "csv": csv_text(study_figure.frame),
            "txt": " ".join((study_figure.caption, *directions)) + "\n",
        }
        for ending, text in texts.items():
            write_atomically(stem.with_suffix(f".{ending}"), text.encode())
        yield (
            name,
            [*save(study_figure.figure, stem, formats, inputs.venue), *(stem.with_suffix(f".{e}") for e in texts)],
        )

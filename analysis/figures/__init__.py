"""Figures of a study, each with its data and caption. Importing this loads matplotlib.

Draw one figure in a notebook, or write them all to a folder:

    inputs = FigureInputs(curves, compare(curves))
    FIGURES["learning-curves"](inputs)  # a `StudyFigure`, which Jupyter shows, or a text that says why there is none
    for name, paths in write_figures(inputs, Path("figures")):
        ...

`FIGURES` maps each name to the function that draws it, which is in the module of the same name. Most of these modules
also have a `draw_...` function that draws one panel on given Axes, from the data frame that is written as CSV.

Every caption states the number of seeds and what the bands are. A strategy has the same colour, marker and dashes in
every figure; the baseline is black and on top.
"""

from analysis.figures.catalogue import FIGURES, draw_figures, write_figures
from analysis.figures.claims import claim_figure
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.style import FORMATS, VENUES, save
from analysis.figures.verdict.result_card import result_card

__all__ = [
    "FIGURES",
    "FORMATS",
    "VENUES",
    "FigureInputs",
    "StudyFigure",
    "claim_figure",
    "draw_figures",
    "result_card",
    "save",
    "write_figures",
]

"""Figures of a comparison. Each module has drawing functions that take Axes and return them, fed with the very data frame that is
written beside the figure, and a function that lays out the whole figure for a study or says why there is none.

Every figure states its band and n; the same strategy looks the same in all of them, the baseline black and on top.
"""

from analysis.figures.catalogue import FIGURES, drawn, write_figures
from analysis.figures.plate import Material, Plate
from analysis.figures.style import FORMATS, VENUES

__all__ = ["FIGURES", "FORMATS", "VENUES", "Material", "Plate", "drawn", "write_figures"]

"""Figure of a claim: what each data set says about it."""

from __future__ import annotations

from typing import Final

from matplotlib.figure import Figure

from analysis.claims.base import Claim, Judgement
from analysis.figures.figure import StudyFigure
from analysis.figures.layout import draw_interval, fold, label_rows, rows_height
from analysis.figures.style import PLAIN, LineStyle, Venue, style_context

STYLES: Final[dict[Judgement, LineStyle]] = {
    "holds": LineStyle("#0072B2", "o", (0, ()), 1.6),
    "does not hold": LineStyle("#D55E00", "s", (0, ()), 1.6),
    "undecided": LineStyle("0.45", "D", (0, ()), 1.6),
}


def claim_figure(claim: Claim, venue: Venue = PLAIN) -> StudyFigure | str:
    """Draw estimates with 95 % intervals, one row per finding, or return why there is nothing to show."""
    if not claim.findings:
        return f"no data set has what the claim needs: {claim.statement}"
    names = [f.where for f in claim.findings]
    with style_context(venue):
        figure = Figure(figsize=(venue.page * 0.8, rows_height(names) + 0.9), layout="constrained")
        ax = figure.subplots()
        ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
        for place, f in enumerate(claim.findings):
            draw_interval(ax, place, f.value, f.low, f.high, STYLES[f.says], hollow=f.says == "undecided")
        label_rows(ax, names, [f.says for f in claim.findings])
        what = sorted({f.what for f in claim.findings})
        ax.set_xlabel(what[0] if len(what) == 1 else "points of accuracy, strategy minus random")
        ax.set_title(fold(claim.statement, 5.0), loc="left")
    caption = f"{claim.statement} {claim.rule} Bars: 95 % interval. Hollow: undecided."
    alt = "; ".join(f"{f.where}: {f.value:+.2f} [{f.low:+.2f}, {f.high:+.2f}], {f.says}" for f in claim.findings)
    return StudyFigure(f"claim-{claim.name}", claim.statement, figure, claim.to_frame(), caption, alt)

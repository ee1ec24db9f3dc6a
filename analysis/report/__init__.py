"""One self-contained HTML page that answers which strategies beat the baseline, and the same as PDF.

All numbers come from the verdicts and from `analysis.formatting`; nothing is computed or rounded here.

    write_report(Subject(FigureInputs(curves, compare(curves))), Path("report.html"))
"""

from analysis.report.page import POLICY, page, write_report
from analysis.report.pdf import write_pdf
from analysis.report.subject import Subject

__all__ = ["POLICY", "Subject", "page", "write_pdf", "write_report"]

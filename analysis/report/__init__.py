"""One self-contained HTML page that answers the question, and the same as PDF.

Numbers are those of the verdicts and of `analysis.tables`; nothing is computed or rounded here.
"""

from analysis.report.page import Subject, page, write_report
from analysis.report.pdf import write_pdf

__all__ = ["Subject", "page", "write_pdf", "write_report"]

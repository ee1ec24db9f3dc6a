"""One self-contained HTML page that answers the question, and the same as PDF.

Numbers are those of the verdicts and of `analysis.formatting.tables`; nothing is computed or rounded here.
"""

from analysis.report.page import page, write_report
from analysis.report.pdf import write_pdf
from analysis.report.subject import Subject

__all__ = ["Subject", "page", "write_pdf", "write_report"]

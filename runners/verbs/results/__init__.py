"""Verbs that compare, draw, report and export results."""

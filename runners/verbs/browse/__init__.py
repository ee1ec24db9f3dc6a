"""Verbs that list what there is, and the first steps."""

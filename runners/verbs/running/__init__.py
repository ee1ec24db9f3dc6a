"""Verbs that run a study and follow it."""

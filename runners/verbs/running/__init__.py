"""Verbs that plan and run a study, and show its progress."""

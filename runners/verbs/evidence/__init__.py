"""Verbs that show that a study is honest."""

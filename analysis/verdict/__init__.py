"""Decide who beats random, and say it in words and tables."""

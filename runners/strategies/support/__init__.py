"""Algorithms that several strategies share."""

"""Perform one run and replay it."""

"""Compute the features that a strategy's view offers."""

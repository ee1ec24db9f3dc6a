"""Compute what a strategy's view offers."""

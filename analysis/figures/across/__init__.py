"""Figures that compare data sets, regimes and strategies."""

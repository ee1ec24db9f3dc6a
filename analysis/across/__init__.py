"""Compare results across data sets, regimes and strategies."""

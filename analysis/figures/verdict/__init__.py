"""Figures of verdicts and of the curves behind them."""

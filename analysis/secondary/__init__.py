"""Details that never change a verdict: costs, purchases, calibration."""

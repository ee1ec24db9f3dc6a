"""Secondary results, which never change a verdict: costs, labelled images, calibration, robustness."""

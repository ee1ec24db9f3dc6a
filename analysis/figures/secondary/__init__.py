"""Figures of secondary details: costs, calibration, purchases."""

"""Statistics of paired comparisons: tests, intervals, corrections, power."""

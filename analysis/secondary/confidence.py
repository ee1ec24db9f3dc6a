"""Reliability of confidence: accuracy per bin of confidence, from recorded probabilities."""

from __future__ import annotations

import pandas as pd


def pool_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Pool the bins of all seeds.

    Returns:
        Columns protocol, strategy, budget, bin (from 0), n (seeds), images, share (of all images), confidence and
        accuracy (means over the bin's images, in [0, 1]).
    """
    keys = ["protocol", "strategy", "budget", "bin"]
    seeds = bins.groupby(["protocol", "strategy"], sort=False)["seed"].nunique().rename("n")
    sums = bins.groupby(keys, sort=False)[["images", "confidence", "right"]].sum().reset_index()
    frame = sums.merge(seeds, on=["protocol", "strategy"], how="left")
    total = frame.groupby(["protocol", "strategy"])["images"].transform("sum")
    frame["share"] = frame["images"] / total
    frame["accuracy"] = frame["right"] / frame["images"]
    frame["confidence"] = frame["confidence"] / frame["images"]
    return frame[[*keys, "n", "images", "share", "confidence", "accuracy"]].sort_values(
        ["protocol", "strategy", "bin"], ignore_index=True
    )

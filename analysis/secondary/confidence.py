"""How often a classifier is right where it says how sure it is: bins of confidence, from the probabilities that records keep."""

from __future__ import annotations

import pandas as pd


def pooled(bins: pd.DataFrame) -> pd.DataFrame:
    """Bins of all seeds put together.

    Returns:
        Columns protocol, strategy, budget, bin (from 0), n (seeds), images, share (of all images), confidence and accuracy (means
        over the bin's images, in [0, 1]).
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

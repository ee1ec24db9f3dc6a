"""Say what the budgets of a table count: labels, shares of the pool, rounds, or labels bought after the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.loading.text_cells import numbers
from analysis.statistics.area import area_of


def whole_budgets(text: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Count shares of the pool (0.1, 0.2) in whole steps of a power of ten; the area is over the range, so it stays."""
    if "budget" not in text:
        return text, ()
    cells = text["budget"].str.strip()
    shares = numbers(cells)
    if shares.isna().any() or not (shares % 1 != 0).any() or shares.min() < 0 or shares.max() > 100:
        return text, ()
    scaled = (shares.to_numpy() * 10**d for d in range(1, 7))
    digits = next((d for d, x in enumerate(scaled, 1) if np.allclose(x, x.round(), rtol=0, atol=1e-6)), None)
    if digits is None:
        return text, ()
    digits = max(digits, 2) if shares.max() <= 1 else digits
    whole = (shares * 10**digits).round().astype("int64").astype(str)
    unit = "per cent of the pool" if shares.max() <= 1 and digits == 2 else f"steps of {10.0**-digits:g}"
    return text.assign(budget=whole), (f"budgets are not whole numbers: they are counted in {unit}",)


def currencies(frame: pd.DataFrame) -> dict[str, str]:
    """Return "rounds" for protocols whose budgets are 0, 1, 2, …; what others count is not known: labels."""
    ends = frame.groupby("protocol", sort=False)["budget"].agg(["min", "max", "nunique"])
    rounds = (ends["min"] == 0) & (ends["max"] == ends["nunique"] - 1) & (ends["nunique"] > 1)
    return {str(p): "rounds" for p in ends.index[rounds]}


def zero_note(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what budgets from 0 mean: rounds if they are 0, 1, 2, …, else labels bought after the start."""
    budgets = np.sort(frame["budget"].unique())
    if not len(budgets) or budgets[0] != 0:
        return
    if len(budgets) == 1:
        yield "the only budget is 0: the values themselves are compared"
    elif bool((np.diff(budgets) == 1).all()):
        yield f"budgets 0 to {budgets[-1]} are read as rounds: all rounds count alike, and labels saved are rounds"
    else:
        first = ", ".join(map(str, budgets[:3]))
        yield f"budgets begin at 0 ({first}, …): they are read as labels bought after the start"


def area_note(frame: pd.DataFrame, area: str) -> Iterator[str]:
    """Yield how a published number of labels scales the values."""
    divisor = area_of(area)
    budgets = frame["budget"].unique()
    if isinstance(divisor, float) and len(budgets) > 1:
        span = float(budgets.max() - budgets.min())
        yield (
            f"the area is divided by {divisor:g}, not by the range of budgets, {span:g}: a flat curve of value 1 has "
            f"the area {span / divisor:.4g}, and the margin of equivalence is in this unit"
        )

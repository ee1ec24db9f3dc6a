"""Refuse one metric on two scales: per cent in one strategy, seed or data set, fractions in another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pandas as pd

from analysis.loading.metric_direction import direction_of
from protocol.errors import Fault, InputError

RATIO: Final = (30.0, 300.0)
"""Ratio of per cent to fractions of one strategy or seed, at the same budgets; 100, if they were equally good."""
RATIO_OF_SETS: Final = (12.0, 500.0)
"""The same ratio of data sets, which may be easy or hard."""
SHARES: Final = frozenset(
    """err error errors wer cer eer per ter fpr fnr far frr mape misclassification miss rate risk ece aurc
    brier""".split()  # noqa: SIM905
)
"""Words of metrics of which lower is better, but which are shares; the others have no upper end."""


def check_one_scale(frame: pd.DataFrame, where: str, metric: str, units: Mapping[int, str]) -> None:
    """Refuse values of which a part is per cent and a part fractions.

    Args:
        frame: Rows of one metric, under the project's column names.
        where: Name of the table in error messages.
        metric: Name of the metric; those without an upper end (losses, distances) are not checked.
        units: Number -> name of the data sets, if they are the pairs.

    Raises:
        InputError: With the likely reading of each part.
    """
    values = frame["value"].dropna()
    if not len(values) or values.max() <= 1.5 or values.max() > 100 or values.min() > 1 or values.min() < 0:
        return
    words = set(re.findall(r"[a-z]+", metric.lower()))
    if direction_of(metric).better == "lower" and not words & SHARES:
        return
    known = frame[frame["value"].notna()]
    known = known.assign(unit=[units.get(s, f"{s}") for s in known["seed"]])
    place = ["protocol", "seed", "budget"] if units else ["protocol", "budget"]
    unit = "data set" if units else "seed"
    for what, column, by, ratio in (
        ("strategy", "strategy", place, RATIO),
        (unit, "unit", ["protocol", "budget"], RATIO_OF_SETS if units else RATIO),
        ("protocol", "protocol", [], RATIO_OF_SETS),
    ):
        found = _two_scales(known, column, by, ratio)
        if found:
            percent, shares = found
            raise InputError(
                Fault(
                    f"{where}: {metric}",
                    "one scale in the whole table",
                    f"{what} {_span(known, column, percent)}, but {what} {_span(known, column, shares)}",
                    f"{', '.join(percent[:5])} seems to be in per cent, {', '.join(shares[:5])} in fractions: bring "
                    "them to one scale (divide per cent by 100)",
                )
            )
    _check_cells(known, where, metric, place)


def _two_scales(
    known: pd.DataFrame, column: str, by: list[str], ratio: tuple[float, float]
) -> tuple[list[str], list[str]] | None:
    """Return the names in per cent and those in fractions, if both exist."""
    largest, middle = (known.groupby(column, sort=False)["value"].agg(f) for f in ("max", "median"))
    smallest = known.groupby(column, sort=False)["value"].min()
    shares = [n for n in largest.index if largest[n] <= 1 and smallest[n] < 1]
    percent = [n for n in middle.index if middle[n] > 1.5]
    if not shares or not percent:
        return None
    sides = [known[known[column].isin(names)] for names in (percent, shares)]
    if by:
        high, low = (side.groupby(by)["value"].median() for side in sides)
        both = pd.concat([high, low], axis=1, join="inner")
        if not len(both):
            return None
        found = float((both.iloc[:, 0] / both.iloc[:, 1].clip(lower=1e-9)).median())
    else:
        found = float(sides[0]["value"].median() / max(float(sides[1]["value"].median()), 1e-9))
    return ([str(n) for n in percent], [str(n) for n in shares]) if ratio[0] <= found <= ratio[1] else None


def _span(known: pd.DataFrame, column: str, names: list[str]) -> str:
    values = known.loc[known[column].astype(str).isin(names), "value"]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more} from {values.min():.4g} to {values.max():.4g}"


def _check_cells(known: pd.DataFrame, where: str, metric: str, place: list[str]) -> None:
    """Refuse single cells that fit the others of their place only after multiplying or dividing by 100."""
    groups = known.groupby(place)["value"]
    middle, size = groups.transform("median"), groups.transform("size")
    value = known["value"]
    high = (middle <= 1) & (value > 1.5) & value.between(RATIO[0] * middle, RATIO[1] * middle)
    low = (middle > 1.5) & (value > 0) & (value < 1) & (value * 100).between(middle * 0.6, middle * 1.6)
    odd = known[(high | low) & (size >= 3)]
    if len(odd):
        row = odd.iloc[0]
        more = f", and {len(odd) - 1} more" if len(odd) > 1 else ""
        raise InputError(
            Fault(
                f"{where}: {row.protocol}/{row.strategy}/{row.unit}: {metric}",
                f"one scale; at budget {row.budget} the median is {middle[odd.index[0]]:.4g}",
                f"{row.value:.6g}{more}",
                "this seems to be per cent among fractions, or the other way round: bring them to one scale",
            )
        )

"""Leave out rows that summarise other rows of a table: averages, medians, totals, mean ranks, spreads, differences.

A summary is no data set, seed or strategy: it would be one more "independent" pair that repeats the others. It is
recognised by name ("Average", "Ø", "Avg. rank") and by value: a row that equals the mean of all the others in every
column, which chance would not do. So is a column that holds the difference of a strategy to the baseline. Ranks in the
place of values are refused, because they say "1 is best".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.arrays import Floats
from protocol.errors import Fault, InputError

STRONG: Final = frozenset(
    """average averages averaged avg avgs mean means median medians overall total
    totals ø ∅ avgrank meanrank averagerank geomean hmean
    moyenne durchschnitt mittelwert gesamt promedio media""".split()  # noqa: SIM905
)
"""Names that say "made of the others" wherever they stand alone."""
WEAK: Final = frozenset(
    """sum all macro micro aggregate aggregated summary encoded std sd stdev stddev stderr sem var variance
    rank ranks ranking wins losses ties deviation standard error μ µ σ""".split()  # noqa: SIM905
)
"""Further names of summaries, among data sets and seeds; as names of strategies they may be real."""
FILLER: Final = frozenset(
    """of over across the all datasets dataset data sets seeds seed runs tasks task score scores results accuracy acc
    performance value values and auc aubc arithmetic geometric geo geom harmonic""".split()  # noqa: SIM905
)
FEWEST: Final = 2
"""Rows that a summary must be made of, at least, to be recognised by value."""
CHANCE: Final = {True: 0.004, False: 1e-5}
"""Largest expected number of rows that fit by chance: the first or the last row of a table, and any other."""
LARGE: Final = 20_000
"""Rows from which only a part of the table is looked at."""
SHOWN: Final = 3
SPREAD: Final = re.compile(r"(.*?)[ _.\-(]+(?:std|sd|stdev|stddev|sem|se|std ?dev|rank)\.?\)?", re.IGNORECASE)
"""A column beside that of a strategy: its spread or rank."""
LEVELS: Final = ("dataset", "regime", "protocol", "strategy", "seed", "budget")
"""Columns whose names can be those of summaries."""


@dataclass(frozen=True)
class Summary:
    """A recognised summary: the column and cell that name it, and how it was recognised."""

    column: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.column} {self.name!r} ({self.reason})"


def named_like_a_summary(name: str, column: str = "dataset") -> bool:
    """Return whether a name says that its rows summarise the others.

    Words of statistics may stand together ("Avg. rank", "mean (all)"); with any other word the name is a plain
    name ("all-conv", "mean-teacher").

    >>> named_like_a_summary("Avg. rank"), named_like_a_summary("mean teacher")
    (True, False)
    >>> named_like_a_summary("std"), named_like_a_summary("std", "strategy")
    (True, False)
    """
    text = unicodedata.normalize("NFKC", name).strip().casefold()
    words = re.findall(r"[^\W_]+|[∅±]", text)
    known = STRONG | WEAK
    if column == "strategy":
        spread = {"std", "sd", "stdev", "stddev", "var", "variance", "deviation", "margin", "error"}
        return bool(STRONG & set(words)) and not spread & set(words) and set(words) <= known | FILLER
    if column in ("regime", "protocol"):
        known = STRONG
    if column == "budget":
        known = STRONG | {"aubc", "auc", "alc", "final"}
    return bool(known & set(words)) and set(words) <= known | FILLER | {"±"}


def without_summaries(text: pd.DataFrame, baseline: str) -> tuple[pd.DataFrame, list[Summary]]:
    """Leave out the rows of a tidy table that summarise the others.

    Args:
        text: Text cells under the project's column names.
        baseline: Never left out.

    Returns:
        The remaining rows, and what was recognised.
    """
    found: list[Summary] = []
    for column in (c for c in LEVELS if c in text):
        names = [str(n) for n in text[column].dropna().unique()]
        named = [n for n in names if named_like_a_summary(n, column) and not (column == "strategy" and n == baseline)]
        if column == "strategy":
            named += [n for n in names if (match := SPREAD.fullmatch(n)) and match[1] in names and n not in named]
        if named and len(named) < len(names) - (column == "strategy"):
            found += [Summary(column, n, "by its name") for n in named]
            text = text[~text[column].isin(named)]
    for column in (c for c in ("dataset", "strategy", "seed") if c in text):
        by_value = [s for s in _by_value(text, column, baseline) if not (column == "strategy" and s.name == baseline)]
        found += by_value
        text = text[~text[column].isin([s.name for s in by_value])]
    return text.reset_index(drop=True), found


def notes_of(found: list[Summary]) -> tuple[str, ...]:
    """Return the warning on what was left out and how to keep it."""
    if not found:
        return ()
    names = ", ".join(map(str, found[:SHOWN])) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    pronoun, verb = ("it", "summarises") if len(found) == 1 else ("they", "summarise")
    kept = "it" if len(found) == 1 else "them"
    return (f"Left out, because {pronoun} {verb} the others: {names}. --keep-summary keeps {kept}.",)


def _by_value(text: pd.DataFrame, column: str, baseline: str) -> list[Summary]:
    """Return the names of a column whose rows summarise all the others, or are a difference to the baseline."""
    if text[column].nunique() <= FEWEST or text[column].nunique() > 5000:
        return []
    keys = [c for c in (*LEVELS, "metric") if c in text and c != column]
    if len(text) > LARGE:  # a few values of each other column are evidence enough
        for key in keys:
            text = text[text[key].isin(text[key].unique()[:4])]
    cells = text[[*keys, column]].fillna("")
    cells = cells.assign(number=pd.to_numeric(text["value"], errors="coerce"), digits=_digits(text["value"]))
    if cells.duplicated([*keys, column]).any():
        return []
    if not keys:
        return []
    wide = cells.set_index([column, *keys])[["number", "digits"]].unstack(keys)  # noqa: PD010
    grid, digits = wide["number"], wide["digits"]
    order = list(dict.fromkeys(cells[column]))
    grid, digits = grid.loc[order], digits.loc[order]
    complete = np.isfinite(grid.to_numpy(dtype=np.float64)).all(axis=0)
    values = grid.to_numpy(dtype=np.float64)[:, complete]
    printed = digits.to_numpy(dtype=np.float64)[:, complete]
    names = [str(name) for name in order]
    if column == "strategy" and baseline in names and (gaps := list(_differences(values, printed, names, baseline))):
        return [Summary(column, name, reason) for name, reason in gaps]
    if column == "strategy" and values.shape[0] <= FEWEST + 1:
        return []
    return [Summary(column, names[i], reason) for i, reason in _summaries(values, printed)]


def _differences(values: Floats, digits: Floats, names: list[str], baseline: str) -> Iterator[tuple[str, str]]:
    """Yield rows that are, within rounding, another row minus the baseline's or the other way round, and which."""
    if values.shape[1] < FEWEST + 1:
        return
    half = 0.5 * 10.0 ** -np.minimum(digits.max(axis=1), 12) + 1e-9 * np.abs(values).max(initial=0.0)
    base = names.index(baseline)
    for i, own in enumerate(values):
        for j in (j for j in range(len(names)) if len({i, j, base}) == 3):
            gap, allowed = values[j] - values[base], (half[i] + half[j] + half[base]) * (1 + 1e-6)
            moves = np.ptp(own) > 2 * allowed or np.abs(own).max() < np.abs(values[[j, base]]).min() / 2
            smaller = np.abs(own).mean() < np.abs(values[j]).mean()  # m = r - g says nothing of m
            if moves and smaller and min(np.abs(own - gap).max(), np.abs(own + gap).max()) <= allowed:
                yield names[i], f"the difference of {names[j]} and {baseline}"
                break


def _digits(cells: pd.Series) -> pd.Series:
    """Return how many decimals each cell has; exponents count as 17."""
    fraction = cells.fillna("").astype(str).str.strip().str.extract(r"^[+-]?\d*\.?(\d*)$", expand=False)
    return fraction.str.len().fillna(17)


def _summaries(values: Floats, digits: Floats) -> Iterator[tuple[int, str]]:
    """Yield row and reason of the summaries in a complete grid, at most one per kind: several are copies."""
    rows, columns = values.shape
    if columns < 1 or rows <= FEWEST or np.ptp(values, axis=0).max() == 0:
        return
    sample = slice(None) if columns <= 400 else np.linspace(0, columns - 1, 400).astype(int)
    values, digits = values[:, sample], digits[:, sample]
    half = 0.5 * 10.0 ** -np.minimum(
        digits.max(axis=1), 12
    )  # trailing zeros are often dropped: the row's most decimals
    half += 1e-9 * np.abs(values).max(initial=0.0)
    taken: set[int] = set()
    for kind, fold, spread in _kinds(rows - 1):
        fits = []
        for i in range(rows):
            others = np.delete(values, i, axis=0)
            off = (half[i] + spread * np.delete(half, i).max()) * (1 + 1e-6)
            if bool((np.abs(fold(others) - values[i]) <= off).all()):
                fits.append((i, _chance(others, fold(others), off) * (2 if i in (0, rows - 1) else rows)))
        if len(fits) == 1:
            i, chance = fits[0]
            if i not in taken and chance <= CHANCE[i in (0, rows - 1)]:
                taken.add(i)
                yield i, f"the {kind} of the other {rows - 1}"


def _chance(others: Floats, expected: Floats, off: float) -> float:
    """Return the probability that an independent row would be as near to what is expected.

    A row follows the others: its first value is anywhere in their range, the next ones within the range of the
    others' differences from column to column, or twice their printed rounding. What lies far outside the range, as a
    sum does, is no such row in one table of ten.
    """
    width = float(np.ptp(others[:, 0]))
    beyond = max(float(expected[0] - others[:, 0].max()), float(others[:, 0].min() - expected[0]), 0.0)
    first = max(width + beyond, 2 * off) * (10.0 if beyond > width else 1.0)
    steps = np.diff(others, axis=1)
    ranges = np.maximum(np.ptp(steps, axis=0), 2 * off) if steps.size else np.zeros(0)
    factors = np.minimum(1.0, np.concatenate([[2 * off / first], 4 * off / ranges]))
    return float(np.prod(factors))


def _kinds(others: int) -> Iterator[tuple[str, Callable[[Floats], Floats], float]]:
    """Yield kind, function over rows, and how many half units of rounding of the others it may add up."""
    rounding = min(1.0, 2.5 / others**0.5)
    yield "mean", lambda x: x.mean(axis=0), rounding
    yield "geometric mean", _geometric, rounding
    yield "harmonic mean", _harmonic, rounding
    if others > FEWEST:
        yield "median", lambda x: np.asarray(np.median(x, axis=0)), 1.0
    yield "sum", lambda x: x.sum(axis=0), min(others, 2.5 * others**0.5)
    yield "mean rank", lambda x: _mean_ranks(-x), 0.0
    yield "mean rank", _mean_ranks, 0.0
    if others > FEWEST:
        yield "standard deviation", lambda x: x.std(axis=0, ddof=1), 1.0
        yield "standard deviation", lambda x: x.std(axis=0), 1.0


def _geometric(values: Floats) -> Floats:
    positive = np.where(values > 0, values, np.nan)
    return np.asarray(np.exp(np.log(positive).mean(axis=0)))


def _harmonic(values: Floats) -> Floats:
    positive = np.where(values > 0, values, np.nan)
    return np.asarray(1 / (1 / positive).mean(axis=0))


def _mean_ranks(values: Floats) -> Floats:
    return np.asarray(stats.rankdata(values, axis=1).mean(axis=0), dtype=np.float64)


def check_no_ranks(frame: pd.DataFrame, where: str) -> None:
    """Refuse values that are ranks of the strategies, unless the direction is stated.

    Raises:
        InputError: In every data set, seed and budget, the values are 1 to k in some order, or mean ranks of k.
    """
    values, strategies = frame["value"], frame["strategy"].nunique()
    if not len(frame) or values.min() < 1 or values.max() > strategies:
        return
    places = ["protocol", "seed", "budget"]
    wide = frame.pivot(index=places, columns="strategy", values="value")  # noqa: PD010
    if ranks_as_values(wide.dropna(how="all")):
        raise InputError(
            Fault(
                f"{where}: value",
                "scores of a metric",
                f"the ranks 1 to {wide.shape[1]} of the strategies, in every row",
                "give the scores; or say --lower-is-better if rank 1 is the best, else --higher-is-better",
            )
        )


def ranks_as_values(grid: pd.DataFrame) -> bool:
    """Return whether every row of a grid holds ranks of its k columns: 1 to k, or mean ranks with the same sum.

    >>> ranks_as_values(pd.DataFrame([[1, 2, 3], [2, 1, 3], [1.5, 1.5, 3]]))
    True
    """
    values = grid.to_numpy(dtype=np.float64)
    rows, k = values.shape
    if rows < 2 or k < 2 or not np.isfinite(values).all() or values.min() < 1 or values.max() > k:
        return False
    if bool((stats.rankdata(values, axis=1) == values).all()):
        return True
    mean = k >= 3 and bool((np.abs(values.sum(axis=1) - k * (k + 1) / 2) <= 0.005 * k).all())
    return mean and bool((np.ptp(values, axis=1) > 0.2).all())

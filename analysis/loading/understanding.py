"""Describe how a table or study was understood, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from analysis.loading.curves import Curves
from analysis.loading.reading import Reading
from analysis.loading.text_cells import LINE

SCHEMA: Final = "beatrandom/understanding/1"
SHOWN: Final = 8
"""Names and numbers that are listed one by one."""


@dataclass(frozen=True)
class ColumnUse:
    """One column of a file: what it is used as (empty if it is not used), why, and what its cells hold."""

    column: str
    role: str
    why: str
    cells: str


def column_uses(reading: Reading) -> tuple[ColumnUse, ...]:
    """Return the use of every column of the file, in its order."""
    unused = ("", "not used")
    return tuple(
        ColumnUse(str(c), *reading.uses.get(str(c), unused), _cells(reading.raw[c]))
        for c in reading.raw.columns
        if c != LINE
    )


def facts(curves: Curves) -> dict[str, str]:
    """Return what the curves hold, as short texts: strategies, seeds, budgets, metric, values, gaps, …."""
    frame = curves.frame
    own = {p: curves.directions[p].metric if p in curves.directions else m for p, m in curves.metrics.items()}
    rows = frame[frame["metric"] == frame["protocol"].map(own)]
    places = [p for p in curves.protocols if p != "all"]
    out = {
        "strategies": _listed(curves.strategies),
        "baseline": curves.baseline,
        "protocols": _listed(places) if places else "",
        f"{curves.unit}s": _units(curves),
        "budgets": "; ".join(_budgets(rows, curves.protocols)),
        "metric": "; ".join(dict.fromkeys(str(d).removeprefix("Metric ") for d in curves.directions.values()))
        or _listed(tuple(dict.fromkeys(own.values()))),
        "values": _values(rows["value"]),
        "runs": f"{curves.complete} complete of {len(curves.planned)}",
        "pairs": f"{curves.unit}s" if curves.paired else "none (--mismatch unpaired)",
        "test": f"{curves.plan.test}, margin {curves.plan.delta:g}, alpha {curves.plan.alpha:g}",
        "curve": {"trapezoid": "area over the range of budgets (--aubc trapezoid)"}.get(
            curves.area, f"--aubc {curves.area}"
        )
        if curves.has_curves
        else "one value per run",
        "left out": "; ".join([*curves.warnings, *map(str, curves.missing[:SHOWN])])
        + (f"; and {len(curves.missing) - SHOWN} more runs" if len(curves.missing) > SHOWN else ""),
    }
    return {name: text for name, text in out.items() if text}


def as_dict(uses: Sequence[ColumnUse], curves: Curves) -> dict[str, Any]:
    """Return columns, facts and notes as plain data for JSON."""
    return {
        "schema": SCHEMA,
        "study": curves.study,
        "columns": [asdict(use) for use in uses],
        "understood": facts(curves),
        "strategies": list(curves.strategies),
        "baseline": curves.baseline,
        "units": {"kind": curves.unit, "names": [curves.unit_name(n) for n in _numbers(curves)]},
        "budgets": {str(p): [int(b) for b in np.unique(own)] for p, own in _by_protocol(curves.frame).items()},
        "directions": {p: asdict(d) for p, d in curves.directions.items()},
        "area": curves.area,
        "missing": [str(m) for m in curves.missing],
        "warnings": list(curves.warnings),
        "notes": list(curves.notes),
    }


def _by_protocol(frame: pd.DataFrame) -> Mapping[str, np.ndarray]:
    return {str(p): part.to_numpy() for p, part in frame.groupby("protocol", sort=False)["budget"]}


def _numbers(curves: Curves) -> list[int]:
    return sorted({run.seed for run in curves.planned})


def _units(curves: Curves) -> str:
    numbers = _numbers(curves)
    if curves.units:
        return _listed([curves.unit_name(n) for n in numbers])
    return _range(numbers)


def _range(numbers: Sequence[int]) -> str:
    """Return numbers as "0 to 4 (5)" if they are consecutive, else the first ones."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]} ({len(numbers)})"
    return _listed([str(n) for n in numbers])


def _budgets(rows: pd.DataFrame, protocols: Sequence[str]) -> list[str]:
    own = {p: tuple(int(b) for b in np.unique(budgets)) for p, budgets in _by_protocol(rows).items()}
    different = dict.fromkeys(own.values())
    if len(different) == 1:
        budgets = next(iter(different))
        return [_range(budgets)] if len(budgets) > 1 else []
    return [f"{p}: {_range(own[p])}" for p in protocols[:SHOWN] if p in own]


def _values(values: pd.Series) -> str:
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    scale = ""
    if low >= 0 and high <= 1:
        scale = ", read as shares of 1"
    elif low >= 0 and 1.5 < high <= 100:
        scale = ", read as they are: points of 100 if they are per cent"
    return f"{low:.4g} to {high:.4g}{scale}"


def _cells(cells: pd.Series) -> str:
    """Return what the cells of a column hold: a range of numbers, or the first names."""
    known = cells.dropna()
    empty = f"; {len(cells) - len(known)} empty" if len(known) < len(cells) else ""
    if known.empty:
        return "empty"
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.notna().all():
        whole = bool((numbers % 1 == 0).all())
        kind = f"{numbers.nunique()} whole numbers" if whole else "numbers"
        return f"{kind}, {numbers.min():.6g} to {numbers.max():.6g}{empty}"
    names = [str(name).strip() for name in known.unique()]
    return f"{_listed([n if len(n) <= 24 else n[:23] + '…' for n in names], 3)}{empty}"


def _listed(names: Sequence[str], shown: int = SHOWN) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more

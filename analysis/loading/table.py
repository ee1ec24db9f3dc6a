"""Anyone's table of curves, tidy or wide, becomes `Curves`. Gaps are reported in full and met as asked, never silently.

Columns: strategy and value (higher is better, unless the metric's name says otherwise: see `analysis.loading.metric_direction`); seed, or else dataset (then data sets are the pairs); budget, unless
there is one value a run; optional study, protocol (else made of dataset and regime), regime, metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.loading.columns import read_table
from analysis.loading.curves import COLUMNS, Curves, Group, Mismatch
from analysis.loading.gaps import resolve_gaps
from analysis.loading.metric_direction import negate_losses
from analysis.loading.text_cells import LINE
from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.study import BASELINE, Plan

LARGEST = 1e100
"""Beyond it squares overflow."""
WHOLE = 2.0**63
"""Whole numbers have 64 bits."""
SHOWN = 5
"""Wrong cells of a column that are told one by one."""
FIXES = {
    "strategy": "fill it in; a strategy must not be called like a missing value (None, NA, nan, null)",
    "dataset": "fill it in, or add a column seed",
    "seed": "number the runs, or give all of them labels",
    "budget": "labels paid for as a plain number: no thousands separators, no shares of the pool, no %",
    "value": "a plain number with a decimal point, no % or ±; an empty cell where there is none",
}
"""What to do about a wrong cell."""
BEYOND_A_SHARE = 1.5
"""Values above this are no shares in [0, 1]: the margin's unit is then pointed out."""


def load_table(
    path: Path,
    *,
    metric: str | None = None,
    baseline: str = BASELINE,
    plan: Plan | None = None,
    mismatch: Mismatch = "list",
    columns: Mapping[str, str] | None = None,
    wide: str | None = None,
    group: Group | None = None,
) -> Curves:
    """Curves from a CSV or Parquet table of any source.

    Without a plan the project's default is used. The result is exploratory either way: nothing shows that
    the plan came first.

    Args:
        metric: which one, if the table has several.
        baseline: the strategy to compare with.
        mismatch: what to do about empty cells, unequal budgets and seeds without partner.
            list: leave out and list runs with empty cells, pair what has a partner, refuse unequal budgets.
            refuse: refuse all three. crop: cut to the budgets that all runs share, empty cells counting as not there.
            unpaired: use every seed of either side, compare by Welch's test; budgets are cropped.
        columns: our name -> the table's name, where they differ.
        wide: "budget", "strategy", "seed", "dataset" or "metric" if columns that have no other meaning are its values. A table without
            columns strategy and value, but with one called like the baseline, is taken for "strategy" (see the notes).
        group: tests are corrected together within each protocol, dataset or regime.

    Raises:
        InputError: all faults of the table at once.
    """
    where = str(path)
    text, notes = read_table(Path(path), columns or {}, wide, baseline)
    text, more = _numbered_seeds(text)
    notes = (*notes, *more)
    frame, units = _typed(text, where, (columns or {}).get("value", "value"))
    frame, metrics = _one_metric(frame, metric, where)
    if baseline not in set(frame["strategy"]):
        raise InputError(unknown_name(f"{where}: baseline", baseline, sorted(set(frame["strategy"]))))
    if set(frame["strategy"]) == {baseline}:
        raise InputError(
            Fault(
                f"{where}: strategy",
                f"at least one beside {baseline}",
                "no other",
                "add rows of what is to be compared",
            )
        )
    if not units:
        _one_recipe_each(frame, where)
    frame, expected, missing, more = resolve_gaps(frame, where, baseline, mismatch, units)
    plan = plan or Plan()
    largest = float(frame["value"].abs().max()) if len(frame) else 0.0
    if largest > BEYOND_A_SHARE:
        notes = (
            *notes,
            f"values reach {largest:g}, so they are no shares in [0, 1]; the margin of equivalence, {plan.delta:g}, is in their units",
        )
    curves = Curves(
        frame=frame[list(COLUMNS)].reset_index(drop=True),
        study=str(frame["study"].iloc[0]) if len(frame) else Path(path).stem,
        plan=plan,
        exploratory=True,
        planned=expected,
        missing=missing,
        metrics=metrics,
        baseline=baseline,
        notes=(*notes, *more),
        places=_places(frame, units),
        unit="data set" if units else "seed",
        units=units,
        mismatch=mismatch,
        group=group,
    )
    return negate_losses(curves)


def _numbered_seeds(text: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Seeds that are labels without exception, or whole numbers beyond 64 bits, are numbered; a stray label stays a fault."""
    if "seed" not in text or text["seed"].isna().any():
        return text, ()
    cells = text["seed"].str.strip()
    whole = cells.str.fullmatch(r"[+-]?\d+")
    numeric = pd.to_numeric(cells, errors="coerce").notna()
    large = bool(whole.all()) and any(abs(int(c)) >= 2**63 for c in cells.unique())
    if not large and numeric.any():
        return text, ()
    labels = sorted(cells.unique(), key=(lambda c: (int(c), c)) if large else (lambda c: (0, c)))
    number = {label: str(i) for i, label in enumerate(labels)}
    note = (
        f"seeds are labels, numbered in order: {', '.join(f'{label} is {i}' for label, i in list(number.items())[:5])}"
    )
    return text.assign(seed=cells.map(number)), (note + (", …" if len(labels) > 5 else ""),)


def _typed(text: pd.DataFrame, where: str, measured: str) -> tuple[pd.DataFrame, dict[int, str]]:
    """Text cells become numbers; every cell that cannot is a fault with its line. Without seeds, data sets are numbered and named."""
    by_dataset = "seed" not in text
    filled = {"study": Path(where).stem, "dataset": "", "regime": "", "metric": measured}
    columns: dict[str, Any] = {
        c: text.get(c, pd.Series("", index=text.index)).fillna(filled[c]).replace("", filled[c]) for c in filled
    }
    made = (
        columns["regime"] if by_dataset else columns["dataset"].str.cat(columns["regime"], sep="/").str.strip("/")
    ).replace("", "all")
    columns["protocol"] = text["protocol"].fillna(made) if "protocol" in text else made
    columns["strategy"] = text["strategy"].fillna("")
    numbers, names = pd.factorize(columns["dataset"])
    units = {number: str(name) for number, name in enumerate(names)} if by_dataset else {}
    columns["seed"] = (
        pd.Series(numbers, index=text.index) if by_dataset else pd.to_numeric(text["seed"], errors="coerce")
    )
    columns["budget"] = (
        pd.to_numeric(text["budget"], errors="coerce") if "budget" in text else pd.Series(1, index=text.index)
    )
    columns["value"] = pd.to_numeric(text["value"], errors="coerce")
    frame = pd.DataFrame(columns)[list(COLUMNS)]
    finite = {c: np.isfinite(frame[c].to_numpy(dtype=np.float64)) for c in ("seed", "budget", "value")}
    wrong = {
        "strategy": (frame["strategy"] == "", "a name"),
        "dataset": ((frame["dataset"] == "") & by_dataset, "a name, as there are no seeds"),
        "seed": (~finite["seed"] | (frame["seed"] % 1 != 0) | (frame["seed"].abs() >= WHOLE), "an integer"),
        "budget": (
            ~finite["budget"] | (frame["budget"] % 1 != 0) | (frame["budget"] <= 0) | (frame["budget"] >= WHOLE),
            "a positive integer",
        ),
        "value": (
            ~(finite["value"] & (frame["value"].abs() <= LARGEST)) & text["value"].notna(),
            f"a finite number, at most {LARGEST:g} in size",
        ),
    }
    faults = [
        fault
        for column, (bad, expected) in wrong.items()
        for fault in _wrong(text, where, column, np.flatnonzero(np.asarray(bad)), expected)
    ]
    if len(set(frame["study"])) > 1:
        faults.append(
            Fault(
                f"{where}: study",
                "one study",
                ", ".join(sorted(set(frame["study"]))),
                "give each study a table of its own",
            )
        )
    if faults:
        raise InputError(faults)
    frame = frame.astype({"seed": "int64", "budget": "int64", "value": "float64"})
    twice = frame.duplicated(["protocol", "strategy", "seed", "metric", "budget"], keep=False)
    if twice.any():
        lines = ", ".join(str(text[LINE].iloc[i]) for i in np.flatnonzero(twice)[:6])
        once = (
            "each (protocol, strategy, data set, metric, budget) once"
            if by_dataset
            else "each (protocol, strategy, seed, metric, budget) once"
        )
        raise InputError(
            Fault(
                where,
                once,
                f"repeated in lines {lines}",
                "keep one of them, or say what tells them apart (seed, regime, …)",
            )
        )
    return frame, units


def _wrong(text: pd.DataFrame, where: str, column: str, rows: NDArray[np.intp], expected: str) -> Iterator[Fault]:
    """The first cells that are wrong, and how many more there are."""
    for place, row in enumerate(rows[:SHOWN]):
        cell = text[column].iloc[row]
        more = f", and {len(rows) - SHOWN} more cells like it" if place == SHOWN - 1 < len(rows) - 1 else ""
        yield Fault(
            f"{where}:{text[LINE].iloc[row]}: {column}",
            expected,
            ("an empty cell" if pd.isna(cell) else repr(cell)) + more,
            FIXES[column],
        )


def _one_metric(frame: pd.DataFrame, metric: str | None, where: str) -> tuple[pd.DataFrame, dict[str, str]]:
    known = sorted(set(frame["metric"]))
    if metric is None and len(known) > 1:
        raise InputError(
            Fault(f"{where}: metric", "one metric, or a choice", ", ".join(known), "choose one of them (--metric)")
        )
    chosen = metric or known[0]
    if chosen not in known:
        raise InputError(unknown_name(f"{where}: metric", chosen, known))
    own = frame[frame["metric"] == chosen]
    return own, dict.fromkeys(own["protocol"].unique(), chosen)


def _one_recipe_each(frame: pd.DataFrame, where: str) -> None:
    """Curves of different data sets or regimes are never compared under one protocol name."""
    faults = []
    for protocol, part in frame.groupby("protocol", sort=False):
        for column in ("dataset", "regime"):
            if len(set(part[column])) > 1:
                names = ", ".join(sorted(set(part[column])))
                faults.append(
                    Fault(f"{where}: protocol {protocol}", f"one {column}", names, "give each its own protocol name")
                )
    if faults:
        raise InputError(faults)


def _places(frame: pd.DataFrame, units: Mapping[int, str]) -> dict[str, tuple[str, str]]:
    first = frame.groupby("protocol", sort=False)[["dataset", "regime"]].first()
    return {str(row.Index): ("" if units else str(row.dataset), str(row.regime)) for row in first.itertuples()}

"""Build `Curves` from any table of curves, tidy or wide.

Columns: strategy and value; seed, or else dataset (data sets are then the pairs); budget, unless there is one value per
run; optional study, protocol (by default made of dataset and regime), regime and metric. Higher values are better,
unless the metric's name says otherwise (`analysis.loading.metric_direction`). Gaps are reported in full and handled as
requested, never silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.loading.budgets import area_note, currencies, whole_budgets, zero_note
from analysis.loading.columns import read_table
from analysis.loading.curves import COLUMNS, Curves, Group, Mismatch
from analysis.loading.gaps import resolve_gaps
from analysis.loading.metric_direction import apply_direction, direction_of
from analysis.loading.reading import Reading
from analysis.loading.scales import check_one_scale
from analysis.loading.sources import NameFrom, TableFiles
from analysis.loading.summaries import check_no_ranks, notes_of, without_summaries
from analysis.loading.text_cells import LINE, numbers
from analysis.statistics.area import area_of
from protocol.errors import Fault, InputError, unknown_name
from protocol.names import look_alikes, name_problem
from protocol.spec.study import BASELINE, Better, Plan

OVER_DATASETS: Final = "wilcoxon"
"""The test of tables whose pairs are data sets, unless the plan names another (Demsar 2006)."""
LARGEST = 1e100
"""Squares of larger values overflow."""
WHOLE = 2.0**63
"""Whole numbers have 64 bits."""
MOST_PLACES = 50
"""Names up to which a column may tell apart the places of a comparison."""
SHOWN = 5
"""Wrong cells of a column that are listed one by one."""
FIXES = {
    "strategy": "fill it in; a strategy's name must not stand for a missing value (None, NA, nan, null)",
    "dataset": "fill it in, or add a column seed",
    "seed": "number the runs, or give all of them labels",
    "budget": "labels paid for as a plain number: no thousands separators, no shares of the pool, no %",
    "value": "a plain number with a decimal point, no % or ±; an empty cell if there is no value",
}
"""How to fix a wrong cell of each column."""
BEYOND_A_SHARE = 1.5
"""Values above this are not shares in [0, 1]: a note then explains the margin's unit."""


def load_table(
    path: Path | Sequence[Path],
    *,
    metric: str | None = None,
    baseline: str = BASELINE,
    plan: Plan | None = None,
    mismatch: Mismatch = "list",
    columns: Mapping[str, str] | None = None,
    wide: str | None = None,
    group: Group | None = None,
    better: Better | None = None,
    keep_summary: bool = False,
    name_from: NameFrom | None = None,
    sheet: str | None = None,
    area: str = "trapezoid",
    test_size: int | None = None,
) -> Curves:
    """Load curves from a table of any source.

    The result is always exploratory, because a table cannot show that the plan came first.

    Args:
        path: The table: .parquet, .pq, .jsonl, .ndjson, .xlsx; anything else is read as CSV. Several files are one
            table, with a strategy or a run each.
        metric: Which metric to compare; needed if the table has several.
        baseline: The strategy to compare with.
        plan: The analysis plan; by default the project's default plan. If data sets are the pairs and it names no test,
            the test is Wilcoxon's signed-rank test.
        mismatch: How to handle empty cells, absent rows (the same kind of gap) and seeds without a partner.
            list, drop: Leave out and list runs with gaps, pair the seeds that have a partner.
            refuse: Refuse both.
            crop: Cut to the budgets that all runs share.
            unpaired: Use every seed of either side and compare by Welch's test; budgets are cropped.
        columns: Our column name -> the table's name, where they differ; its number, from 1, without a header.
        wide: "budget", "strategy", "seed", "dataset" or "metric" if the remaining columns are its values. A table
            without columns strategy and value, but with a column named like the baseline, is read as "strategy".
            Columns seed0, seed1, … are recognised, too (see `analysis.loading.wide`).
        group: Correct tests together within each protocol, dataset or regime.
        better: Whether higher or lower values are better; None: by the metric's name.
        keep_summary: Keep rows and columns that summarise the others (see `analysis.loading.summaries`).
        name_from: "file" or "folder" if strategies are the names of the files, or of the folders that hold them.
        sheet: Sheet of an Excel file; needed if several have cells.
        area: How the values of a curve become one number (see `analysis.statistics.area`).
        test_size: Number of test images behind accuracies; by default the resolution is read from the values.

    Returns:
        Complete runs and what is missing. Guesses and changes are listed in its notes.

    Raises:
        InputError: All faults of the table at once.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(p) for p in path]
    area_of(area)
    reading = read_table(TableFiles(paths, baseline, columns or {}, wide, name_from, sheet))
    value_name = (columns or {}).get("value", "value") if reading.header else "value"
    typed = _typed_rows(reading, value_name, baseline, keep_summary=keep_summary)
    frame, metrics = _one_metric(typed.frame, metric, reading.where)
    _check(frame, reading.where, metrics, typed.units, baseline, better)
    plan = plan or Plan()
    if typed.units and "test" not in plan.model_fields_set:
        plan = plan.model_copy(update={"test": OVER_DATASETS})
    mismatch = "list" if mismatch == "drop" else mismatch
    resolved = resolve_gaps(frame, reading.where, baseline, mismatch, typed.units, typed.strategies)
    frame = resolved.frame
    notes = (*reading.notes, *typed.notes, *zero_note(frame), *area_note(frame, area), *_unit_note(frame, plan))
    curves = Curves(
        frame=frame[list(COLUMNS)].reset_index(drop=True),
        study=str(frame["study"].iloc[0]) if len(frame) else Path(reading.where).stem,
        plan=plan,
        exploratory=True,
        planned=resolved.expected,
        missing=resolved.missing,
        metrics=metrics,
        baseline=baseline,
        notes=(*notes, *resolved.notes),
        places=_places(frame, typed.units),
        unit="data set" if typed.units else "seed",
        units=typed.units,
        mismatch=mismatch,
        group=group,
        warnings=(*typed.left_out, *resolved.warnings),
        area=area,
        currencies=currencies(frame),
        steps=_steps(frame, test_size),
    )
    return apply_direction(curves, better)


def _steps(frame: pd.DataFrame, test_size: int | None) -> dict[str, float]:
    """Return the step of one test image per protocol, in the units of its values; empty if the number is unknown."""
    largest = frame.groupby("protocol", sort=False)["value"].max() if test_size else pd.Series(dtype=np.float64)
    return {str(p): (100 if most > BEYOND_A_SHARE else 1) / (test_size or 1) for p, most in largest.items()}


@dataclass(frozen=True)
class _Typed:
    """Rows under `COLUMNS`, number -> name of data sets without seeds, and what was said and left out."""

    frame: pd.DataFrame
    units: dict[int, str]
    strategies: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def _typed_rows(reading: Reading, value_name: str, baseline: str, *, keep_summary: bool) -> _Typed:
    """Leave out summaries, number the seeds, count the budgets in whole numbers, and convert the cells."""
    text, left_out = (reading.frame, []) if keep_summary else without_summaries(reading.frame, baseline)
    text, seed_notes = _numbered_seeds(text)
    text, share_notes = whole_budgets(text)
    frame, units = _typed(text, reading.where, value_name, baseline)
    strategies = tuple(frame["strategy"].unique())
    return _Typed(frame, units, strategies, (*seed_notes, *share_notes), notes_of(left_out))


def _check(
    frame: pd.DataFrame,
    where: str,
    metrics: Mapping[str, str],
    units: Mapping[int, str],
    baseline: str,
    better: Better | None,
) -> None:
    """Raise InputError if the rows of one metric cannot be compared."""
    metric = next(iter(metrics.values()))
    _check_strategies(frame, baseline, where)
    check_one_scale(frame, where, metric, units)
    if better is None and direction_of(metric).basis == "unknown":
        check_no_ranks(frame, where)
    if not units:
        _check_one_recipe_each(frame, where)


def _numbered_seeds(text: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Replace seeds by numbers if all are labels, or whole numbers beyond 64 bits."""
    if "seed" not in text or text["seed"].isna().any():
        return text, ()
    cells = text["seed"].str.strip()
    whole = cells.str.fullmatch(r"[+-]?\d+")
    numeric = numbers(cells).notna()
    large = bool(whole.all()) and any(abs(int(c)) >= 2**63 for c in cells.unique())
    if not large and numeric.any():
        return text, ()
    labels = sorted(cells.unique(), key=(lambda c: (int(c), c)) if large else (lambda c: (0, c)))
    number = {label: str(i) for i, label in enumerate(labels)}
    first = ", ".join(f"{label} is {i}" for label, i in list(number.items())[:5])
    note = f"seeds are labels, numbered in order: {first}" + (", …" if len(labels) > 5 else "")
    return text.assign(seed=cells.map(number)), (note,)


def _typed(text: pd.DataFrame, where: str, value_name: str, baseline: str) -> tuple[pd.DataFrame, dict[int, str]]:
    """Convert text cells to numbers, and number the data sets if there are no seeds.

    Returns:
        The table under `COLUMNS`, and number -> name of each data set (empty if there are seeds).

    Raises:
        InputError: Every cell that cannot be converted, with its line; several studies; or repeated rows.
    """
    by_dataset = "seed" not in text
    frame, units = _converted(text, where, value_name, by_dataset)
    faults = [*_wrong_cells(text, frame, where, by_dataset), *_wrong_names(frame, where, baseline)]
    if len(studies := frame["study"].unique()) > 1:
        names = ", ".join(sorted(studies))
        faults.append(Fault(f"{where}: study", "one study", names, "put each study into its own table"))
    if faults:
        raise InputError(faults)
    frame = frame.astype({"seed": "int64", "budget": "int64", "value": "float64"})
    _check_no_repeats(text, frame, where, "data set" if by_dataset else "seed")
    return frame, units


def _converted(
    text: pd.DataFrame, where: str, value_name: str, by_dataset: bool
) -> tuple[pd.DataFrame, dict[int, str]]:
    """Fill in optional columns and convert numbers; what is not a number becomes NaN."""
    default = {"study": Path(where).stem, "dataset": "", "regime": "", "metric": value_name}
    columns: dict[str, Any] = {
        c: text.get(c, pd.Series("", index=text.index)).fillna(default[c]).replace("", default[c]) for c in default
    }
    codes, names = pd.factorize(columns["dataset"])
    protocol = columns["regime"].replace("", "all") if by_dataset else _places_of(columns["dataset"], columns["regime"])
    columns["protocol"] = text["protocol"].fillna(protocol) if "protocol" in text else protocol
    columns["strategy"] = text["strategy"].fillna("")
    dataset_number = pd.Series(codes, index=text.index)
    columns["seed"] = dataset_number if by_dataset else numbers(text["seed"])
    one_budget = pd.Series(1, index=text.index)
    columns["budget"] = numbers(text["budget"]) if "budget" in text else one_budget
    columns["value"] = pd.to_numeric(text["value"], errors="coerce")
    units = {number: str(name) for number, name in enumerate(names)} if by_dataset else {}
    return pd.DataFrame(columns)[list(COLUMNS)], units


def _places_of(dataset: pd.Series, regime: pd.Series) -> pd.Series:
    """Return data set and regime of each row as one name, "all" if both are empty."""
    (sets, set_names), (regimes, regime_names) = pd.factorize(dataset), pd.factorize(regime)
    names = np.array([f"{s}/{r}".strip("/") or "all" for s in set_names for r in regime_names], dtype=object)
    return pd.Series(names[sets * len(regime_names) + regimes], index=dataset.index, dtype=dataset.dtype)


def _wrong_cells(text: pd.DataFrame, frame: pd.DataFrame, where: str, by_dataset: bool) -> Iterator[Fault]:
    finite = {c: np.isfinite(frame[c].to_numpy(dtype=np.float64)) for c in ("seed", "budget", "value")}
    seed, budget, size = frame["seed"], frame["budget"], frame["value"].abs()
    wrong = {
        "strategy": (frame["strategy"] == "", "a name"),
        "dataset": ((frame["dataset"] == "") & by_dataset, "a name, as there are no seeds"),
        "seed": (~finite["seed"] | (seed % 1 != 0) | (seed.abs() >= WHOLE), "an integer"),
        "budget": (
            ~finite["budget"] | (budget % 1 != 0) | (budget < 0) | (budget >= WHOLE),
            "a whole number of at least 0",
        ),
        "value": (
            ~(finite["value"] & (size <= LARGEST)) & text["value"].notna(),
            f"a finite number, at most {LARGEST:g} in size",
        ),
    }
    for column, (bad, expected) in wrong.items():
        yield from _first_cells(text, where, column, np.flatnonzero(np.asarray(bad)), expected)


def _wrong_names(frame: pd.DataFrame, where: str, baseline: str) -> Iterator[Fault]:
    """Yield a fault for each name with unseen characters, and for each that looks like another one."""
    for column in ("strategy", "protocol", "dataset", "regime", "metric"):
        names = frame[column].astype(str)
        known = (baseline,) if column == "strategy" else ()
        found = [p for name in names.unique() if (p := name_problem(name))]
        found += look_alikes(names.unique(), known, strict=False) if not found else []
        for problem in found[:SHOWN]:
            yield Fault(f"{where}: {column}", "names that no reader mixes up", problem, "rename one of them")


def _first_cells(text: pd.DataFrame, where: str, column: str, rows: NDArray[np.intp], expected: str) -> Iterator[Fault]:
    """Yield a fault for each of the first wrong cells, the last with the number of further ones."""
    for place, row in enumerate(rows[:SHOWN]):
        cell, line = text[column].iloc[row], text[LINE].iloc[row]
        more = f", and {len(rows) - SHOWN} more cells like it" if place == SHOWN - 1 < len(rows) - 1 else ""
        yield Fault(
            f"{line if isinstance(line, str) else f'{where}:{line}'}: {column}",
            expected,
            ("an empty cell" if pd.isna(cell) else repr(cell)) + more,
            _fix(column, str(cell)),
        )


def _fix(column: str, cell: str) -> str:
    """Return what to do about a wrong cell."""
    if column == "value" and re.search(r"±|\+/-|\+-|\\pm|\d\s*\(\s*[\d.,]+\s*\)", cell):
        return "this is a mean with its spread. Means cannot be paired or tested: give the value of every seed"
    if column == "value" and cell.strip().endswith("%"):
        return "leave out the % in every cell; the margin of equivalence (--delta) is then in per cent"
    if column == "budget" and re.fullmatch(r"\d{4}-\d\d?-\d\d?.*|\d\d?[./]\d\d?[./]\d{2,4}.*", cell.strip()):
        return "a date is no budget: give the labels paid for, with --column budget=THEIRS if another column has them"
    if column == "budget" and re.fullmatch(r"\d{19,}(\.0+)?", cell.strip()):
        return "at most 18 digits"
    return FIXES[column]


def _check_no_repeats(text: pd.DataFrame, frame: pd.DataFrame, where: str, unit: str) -> None:
    repeated = frame.duplicated(["protocol", "strategy", "seed", "metric", "budget"], keep=False)
    if repeated.any():
        lines = ", ".join(str(text[LINE].iloc[i]) for i in np.flatnonzero(repeated)[:6])
        found, fix = (
            f"repeated in lines {lines}",
            "keep one of them, or add the column in which they differ (seed, regime, …)",
        )
        if (column := _telling_apart(text, frame)) is not None:
            names = [str(name) for name in text[column].dropna().unique()]
            found += f"; they differ in {column} ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
            role = next((role for role in ("regime", "dataset", "protocol") if role not in text), "protocol")
            fix = f"keep the rows of one {column}, or compare within each: --column {role}={column}"
        raise InputError(Fault(where, f"each (protocol, strategy, {unit}, metric, budget) once", found, fix))


def _telling_apart(text: pd.DataFrame, frame: pd.DataFrame) -> str | None:
    """Return the column without a role that tells repeated rows apart, if there is one with few names."""
    keys = frame[["protocol", "strategy", "seed", "metric", "budget"]]
    for column in (c for c in text.columns if c not in COLUMNS and c != LINE):
        if text[column].nunique() <= MOST_PLACES and not keys.assign(other=text[column]).duplicated().any():
            return str(column)
    return None


def _one_metric(frame: pd.DataFrame, metric: str | None, where: str) -> tuple[pd.DataFrame, dict[str, str]]:
    metrics = sorted(frame["metric"].unique())
    if metric is None and len(metrics) > 1:
        raise InputError(
            Fault(f"{where}: metric", "one metric, or a choice", ", ".join(metrics), "choose one of them (--metric)")
        )
    chosen = metric or metrics[0]
    if chosen not in metrics:
        raise InputError(unknown_name(f"{where}: metric", chosen, metrics))
    rows = frame[frame["metric"] == chosen]
    return rows, dict.fromkeys(rows["protocol"].unique(), chosen)


def _check_strategies(frame: pd.DataFrame, baseline: str, where: str) -> None:
    strategies = set(frame["strategy"].unique())
    if baseline not in strategies:
        raise InputError(unknown_name(f"{where}: baseline", baseline, sorted(strategies)))
    if strategies == {baseline}:
        raise InputError(
            Fault(
                f"{where}: strategy",
                f"at least one strategy besides {baseline}",
                f"only {baseline}",
                "add rows of the strategies to compare",
            )
        )


def _check_one_recipe_each(frame: pd.DataFrame, where: str) -> None:
    """Raise InputError if one protocol name covers several data sets or regimes."""
    faults = []
    recipes = frame[["protocol", "dataset", "regime"]].drop_duplicates()
    for protocol, part in recipes.groupby("protocol", sort=False):
        for column in ("dataset", "regime"):
            if len(found := part[column].unique()) > 1:
                names = ", ".join(sorted(found))
                faults.append(
                    Fault(f"{where}: protocol {protocol}", f"one {column}", names, "give each its own protocol name")
                )
    if faults:
        raise InputError(faults)


def _unit_note(frame: pd.DataFrame, plan: Plan) -> Iterator[str]:
    largest = float(frame["value"].abs().max()) if len(frame) else 0.0
    if largest > BEYOND_A_SHARE:
        yield (
            f"values reach {largest:g}, so they are not shares in [0, 1]; "
            f"the margin of equivalence, {plan.delta:g}, is in their units"
        )


def _places(frame: pd.DataFrame, units: Mapping[int, str]) -> dict[str, tuple[str, str]]:
    first = frame.groupby("protocol", sort=False)[["dataset", "regime"]].first()
    return {str(row.Index): ("" if units else str(row.dataset), str(row.regime)) for row in first.itertuples()}

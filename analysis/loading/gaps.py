"""Find empty cells, unequal budgets and seeds without a partner, and handle them as requested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.loading.curves import Mismatch, Missing
from protocol.errors import Fault, InputError
from protocol.spec.run_id import RunId

RUN = ["protocol", "strategy", "seed"]
SHOWN: Final = 12
"""Runs with different budgets that are listed one by one."""
Resolved = tuple[pd.DataFrame, tuple[RunId, ...], tuple[Missing, ...], tuple[str, ...]]


def resolve_gaps(
    frame: pd.DataFrame, where: str, baseline: str, mismatch: Mismatch, units: Mapping[int, str]
) -> Resolved:
    """Apply the mismatch policy to empty cells, unequal budgets and unmatched seeds.

    Args:
        frame: One row per (protocol, strategy, seed, budget); empty cells are NaN.
        where: Name of the table in error messages.
        baseline: The strategy to compare with.
        mismatch: The policy; see `analysis.loading.table.load_table`.
        units: Number -> name of each data set, if data sets are the pairs.

    Returns:
        Rows of complete runs on shared budgets, expected runs, missing runs, and notes on what was changed.

    Raises:
        InputError: Any gap with "refuse", unequal budgets with "list", and always curves that share no budget.
    """
    expected = tuple(_expected(frame, unpaired=mismatch == "unpaired"))
    in_table = set(frame.groupby(RUN).groups)
    empty = frame[frame["value"].isna()]
    if mismatch == "crop":
        frame = frame.dropna(subset="value")
        with_values = set(frame.groupby(RUN).groups)
        first_hole = empty[_mask(k not in with_values for k in _keys(empty))].groupby(RUN)["budget"].first()
    else:
        first_hole = empty.groupby(RUN)["budget"].first()
    missing = tuple(
        Missing(
            k,
            f"no value at budget {first_hole[k]}" if k in in_table else "no rows in the table",
            unit=units.get(k.seed, ""),
        )
        for k in expected
        if k not in in_table or k in first_hole
    )
    if mismatch == "refuse" and (len(empty) or missing):
        raise InputError(_gap_faults(empty, [m for m in missing if m.run not in in_table], where, units))
    left_out = {m.run for m in missing}
    frame = frame[_mask(k not in left_out for k in _keys(frame))]
    frame, notes = _on_shared_budgets(frame, where, units, crop=mismatch in ("crop", "unpaired"))
    if mismatch == "crop" and len(empty):
        notes = (f"{len(empty)} empty cells were treated as missing budgets", *notes)
    if mismatch == "unpaired":
        independent = f"unpaired: every seed of either side is used, {baseline} and the others as independent samples"
        notes = (independent, *notes)
    return frame, expected, missing, notes


def _gap_faults(empty: pd.DataFrame, absent: Sequence[Missing], where: str, units: Mapping[int, str]) -> list[Fault]:
    """List every empty cell and absent run; the last fault says what to do."""
    faults = [
        Fault(
            f"{where}: {k.protocol}/{k.strategy}/{units.get(k.seed, f'seed-{k.seed}')}",
            "a value in every cell",
            f"none at budget {budget}",
        )
        for k, budget in _cells(empty)
    ]
    faults += [
        Fault(f"{where}: {m}".rsplit(":", 1)[0], "a run of every strategy for every seed", m.reason) for m in absent
    ]
    last, fix = faults[-1], "complete the table, or choose --mismatch list, crop or unpaired"
    return [*faults[:-1], Fault(last.where, last.expected, last.found, fix)]


def _expected(frame: pd.DataFrame, *, unpaired: bool) -> Iterator[RunId]:
    """Yield all seeds of a protocol for each of its strategies; if unpaired, only its own seeds."""
    for protocol, part in frame.groupby("protocol", sort=False):
        for strategy in part["strategy"].unique():
            rows = part[part["strategy"] == strategy] if unpaired else part
            yield from (RunId(str(protocol), str(strategy), int(seed)) for seed in sorted(rows["seed"].unique()))


def _keys(frame: pd.DataFrame) -> Iterator[tuple[str, str, int]]:
    return zip(frame["protocol"], frame["strategy"], frame["seed"], strict=True)


def _mask(keep: Iterator[bool]) -> NDArray[np.bool_]:
    return np.fromiter(keep, dtype=np.bool_)


def _cells(empty: pd.DataFrame) -> Iterator[tuple[RunId, int]]:
    for key, budget in zip(_keys(empty), empty["budget"], strict=True):
        yield RunId(*key), budget


def _on_shared_budgets(
    frame: pd.DataFrame, where: str, units: Mapping[int, str], *, crop: bool
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    faults: list[Fault] = []
    notes: list[str] = []
    kept = []
    for protocol, part in frame.groupby("protocol", sort=False):
        sets = part.groupby(["strategy", "seed"])["budget"].agg(frozenset)
        shared = sorted(frozenset.intersection(*sets))
        every = sorted(frozenset.union(*sets))
        if shared == every:
            kept.append(part)
            continue
        odd = sets[sets != frozenset(sets.mode().iloc[0])] if len(sets) > 1 else sets
        runs = [
            f"{s} {units.get(n, f'seed {n}')} ({_short(sorted(b))})" for (s, n), b in zip(odd.index, odd, strict=True)
        ]
        names = ", ".join(runs[:SHOWN]) + (f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else "")
        if not crop or not shared:
            fix = (
                "complete the table, or ask to crop to the shared budgets (--mismatch crop)"
                if shared
                else "evaluate all runs at common budgets: these curves share no budget"
            )
            faults.append(
                Fault(
                    f"{where}: protocol {protocol}",
                    f"the same budgets in every run ({_short(every)})",
                    names,
                    fix,
                )
            )
        else:
            notes.append(
                f"{protocol}: cropped to the {len(shared)} of {len(every)} budgets that all runs share "
                f"({_short(shared)}); "
                f"runs with different budgets: {names}"
            )
            kept.append(part[part["budget"].isin(shared)])
    if faults:
        raise InputError(faults)
    return pd.concat(kept) if kept else frame, tuple(notes)


def _short(budgets: Sequence[int]) -> str:
    return ", ".join(map(str, budgets)) if len(budgets) <= 6 else f"{budgets[0]}, {budgets[1]}, …, {budgets[-1]}"

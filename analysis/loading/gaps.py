"""Empty cells, unequal budgets and seeds without partner: found, listed, and met as asked."""

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
"""Runs with other budgets that are named."""
Resolved = tuple[pd.DataFrame, tuple[RunId, ...], tuple[Missing, ...], tuple[str, ...]]


def resolve_gaps(
    frame: pd.DataFrame, where: str, baseline: str, mismatch: Mismatch, units: Mapping[int, str]
) -> Resolved:
    """Rows of complete runs on shared budgets, expected runs, missing runs, and notes on what was done.

    Raises:
        InputError: with "refuse" any gap, with "list" unequal budgets, and always curves that share no budget.
    """
    expected = tuple(_expected(frame, unpaired=mismatch == "unpaired"))
    there = set(frame.groupby(RUN).groups)
    empty = frame[frame["value"].isna()]
    if mismatch == "crop":
        frame = frame.dropna(subset="value")
        there_now = set(frame.groupby(RUN).groups)
        holes = empty[_mask(k not in there_now for k in _keys(empty))].groupby(RUN)["budget"].first()
    else:
        holes = empty.groupby(RUN)["budget"].first()
    missing = tuple(
        Missing(
            k,
            "no rows in the table" if k not in there else f"no value at budget {holes[k]}",
            unit=units.get(k.seed, ""),
        )
        for k in expected
        if k not in there or k in holes
    )
    if mismatch == "refuse" and (len(empty) or missing):
        faults = [
            Fault(
                f"{where}: {k.protocol}/{k.strategy}/{units.get(k.seed, f'seed-{k.seed}')}",
                "a value in every cell",
                f"none at budget {b}",
            )
            for k, b in _cells(empty)
        ]
        faults += [
            Fault(f"{where}: {m}".rsplit(":", 1)[0], "a run of every strategy for every seed", m.reason)
            for m in missing
            if m.run not in there
        ]
        faults[-1] = Fault(
            faults[-1].where,
            faults[-1].expected,
            faults[-1].found,
            "complete the table, or choose --mismatch list, crop or unpaired",
        )
        raise InputError(faults)
    left = {m.run for m in missing}
    frame = frame[_mask(k not in left for k in _keys(frame))]
    frame, notes = _on_shared_budgets(frame, where, units, crop=mismatch in ("crop", "unpaired"))
    if mismatch == "crop" and len(empty):
        notes = (f"{len(empty)} empty cells were treated as budgets that are not there", *notes)
    if mismatch == "unpaired":
        notes = (
            f"unpaired: every seed of either side is used, {baseline} and the others as independent samples",
            *notes,
        )
    return frame, expected, missing, notes


def _expected(frame: pd.DataFrame, *, unpaired: bool) -> Iterator[RunId]:
    """Every seed of a protocol for every strategy in it; unpaired, the seeds each strategy has."""
    for protocol, part in frame.groupby("protocol", sort=False):
        for strategy in part["strategy"].unique():
            own = part[part["strategy"] == strategy] if unpaired else part
            yield from (RunId(str(protocol), str(strategy), int(seed)) for seed in sorted(own["seed"].unique()))


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
        runs = [f"{s} {units.get(seed, f'seed {seed}')}" for s, seed in odd.index]
        names = ", ".join(runs[:SHOWN]) + (f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else "")
        if not crop or not shared:
            fix = (
                "complete the table, or ask to crop to the shared budgets (--mismatch crop)"
                if shared
                else "these curves share no budget: they cannot be compared"
            )
            faults.append(
                Fault(
                    f"{where}: protocol {protocol}",
                    f"the same budgets in every run ({_short(every)})",
                    f"others in {names}",
                    fix,
                )
            )
        else:
            notes.append(
                f"{protocol}: cropped to the {len(shared)} of {len(every)} budgets that all runs share ({_short(shared)}); others had {names}"
            )
            kept.append(part[part["budget"].isin(shared)])
    if faults:
        raise InputError(faults)
    return pd.concat(kept) if kept else frame, tuple(notes)


def _short(budgets: Sequence[int]) -> str:
    return ", ".join(map(str, budgets)) if len(budgets) <= 6 else f"{budgets[0]}, {budgets[1]}, …, {budgets[-1]}"

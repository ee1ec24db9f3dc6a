"""Find empty cells, absent rows and seeds without a partner, and handle them as requested.

An empty cell and an absent row are the same gap: a run without a value at a budget. Every strategy of the table stays
in the family of every protocol, with or without runs there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from analysis.loading.curves import Mismatch, Missing
from protocol.errors import Fault, InputError, NotDecidable
from protocol.spec.run_id import RunId

RUN: Final = ["protocol", "strategy", "seed"]
SHOWN: Final = 12
"""Runs with gaps that are listed one by one."""


@dataclass(frozen=True)
class Resolved:
    """Rows of complete runs on shared budgets, expected runs, missing runs, notes and warnings."""

    frame: pd.DataFrame
    expected: tuple[RunId, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def resolve_gaps(
    frame: pd.DataFrame,
    where: str,
    baseline: str,
    mismatch: Mismatch,
    units: Mapping[int, str],
    strategies: Sequence[str] = (),
) -> Resolved:
    """Apply the mismatch policy to empty cells, absent rows and unmatched seeds.

    Args:
        frame: One row per (protocol, strategy, seed, budget); empty cells are NaN.
        where: Name of the table in error messages.
        baseline: The strategy to compare with.
        mismatch: The policy; see `analysis.loading.table.load_table`.
        units: Number -> name of each data set, if data sets are the pairs.
        strategies: Every strategy of the table, whether it has rows in `frame` or not.

    Raises:
        InputError: Any gap with "refuse", a strategy that would lose all its runs with "list", and always curves that
            share no budget.
        NotDecidable: No strategy shares a seed with the baseline, and pairs are needed.
    """
    names = tuple(dict.fromkeys((*strategies, *frame["strategy"].unique())))
    expected = tuple(_expected(frame, names, unpaired=mismatch == "unpaired"))
    grids = [_Grid.of(str(p), part, units) for p, part in frame.groupby("protocol", sort=False)]
    reasons = {run: reason for grid in grids for run, reason in grid.reasons(mismatch).items()}
    in_table = {run for grid in grids for run in grid.runs}
    missing = tuple(
        Missing(k, reasons.get(k, "no rows in the table"), unit=units.get(k.seed, ""))
        for k in expected
        if k not in in_table or k in reasons
    )
    if mismatch == "refuse" and missing:
        raise InputError(_gap_faults(missing, where, units, grids))
    faults = [fault for grid in grids for fault in grid.faults(where, mismatch)]
    if faults:
        undecidable = mismatch == "crop" and all(grid.shared for grid in grids)
        raise (NotDecidable if undecidable else InputError)(faults)
    warnings = tuple(warning for grid in grids for warning in grid.warnings(mismatch))
    kept = [grid.kept(mismatch) for grid in grids]
    whole = pd.concat(kept) if kept else frame
    notes: tuple[str, ...] = ()
    if mismatch == "unpaired":
        notes = (f"unpaired: every seed of either side is used, {baseline} and the others as independent samples",)
    else:
        warnings = (*warnings, *_without_pairs(whole, expected, where, baseline, "data set" if units else "seed"))
    return Resolved(whole, expected, missing, notes, warnings)


@dataclass(frozen=True)
class _Grid:
    """Runs and budgets of one protocol: which run has a value where."""

    protocol: str
    part: pd.DataFrame
    runs: tuple[RunId, ...]
    budgets: tuple[int, ...]
    has: np.ndarray
    units: Mapping[int, str]

    @classmethod
    def of(cls, protocol: str, part: pd.DataFrame, units: Mapping[int, str]) -> _Grid:
        valued = part[part["value"].notna()]
        budgets = np.unique(valued["budget"].to_numpy())
        keys = part[["strategy", "seed"]].drop_duplicates()
        runs = tuple(RunId(protocol, str(s), int(n)) for s, n in keys.itertuples(index=False))
        place = pd.MultiIndex.from_frame(keys)
        has = np.zeros((len(runs), len(budgets)), dtype=np.bool_)
        rows = place.get_indexer(pd.MultiIndex.from_frame(valued[["strategy", "seed"]]))
        has[rows, np.searchsorted(budgets, valued["budget"].to_numpy())] = True
        return cls(protocol, part, runs, tuple(int(b) for b in budgets), has, units)

    @property
    def empty(self) -> np.ndarray:
        """Return which runs have no value at all."""
        return np.asarray(~self.has.any(axis=1))

    @property
    def gappy(self) -> np.ndarray:
        """Return which runs have some values, but not all."""
        return np.asarray(~self.empty & ~self.has.all(axis=1))

    @property
    def shared(self) -> list[int]:
        """Return the budgets at which every run with values has one."""
        keep = self.has[~self.empty].all(axis=0)
        return [b for b, k in zip(self.budgets, keep, strict=True) if k]

    @property
    def _only_start(self) -> bool:
        """Return whether cropping leaves nothing but the start, where no query has had an effect."""
        return len(self.shared) == 1 < len(self.budgets) and self.shared[0] == self.budgets[0]

    def reasons(self, mismatch: Mismatch) -> dict[RunId, str]:
        """Return why runs are not analysed; cropping keeps the runs with gaps."""
        out = {}
        crop = mismatch in ("crop", "unpaired")
        for i in np.flatnonzero(self.empty | (self.gappy & (not crop))):
            absent = [b for b, h in zip(self.budgets, self.has[i], strict=True) if not h]
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            out[self.runs[i]] = "no value in any cell" if self.empty[i] else f"no value at budget {absent[0]}{more}"
        return out

    def faults(self, where: str, mismatch: Mismatch) -> Iterator[Fault]:
        """Yield the fault of gaps that the policy cannot handle."""
        if not self.gappy.any():
            return
        spot = f"{where}: protocol {self.protocol}"
        same = f"the same budgets in every run ({_short(self.budgets)})"
        if mismatch in ("crop", "unpaired"):
            if not self.shared:
                fix = "evaluate all runs at common budgets: these curves share no budget"
                yield Fault(spot, same, self.named(), fix)
            elif self._only_start:
                fix = f"evaluate all runs at common budgets, or drop incomplete runs (--mismatch drop). {self.losses()}"
                only = f"only {self.shared[0]}, where the curves begin; runs with different budgets: {self.named()}"
                yield Fault(spot, "shared budgets after the first", only, fix)
            return
        strategies = np.array([run.strategy for run in self.runs])
        valued = set(strategies[~self.empty])
        lost = sorted(valued - set(strategies[self.has.all(axis=1)]))
        if lost:
            fix = (
                "complete the table, or ask to crop to the shared budgets (--mismatch crop)"
                if self.shared
                else "evaluate all runs at common budgets: these curves share no budget"
            )
            found = f"{self.named()}; no run of {', '.join(lost)} has all of them"
            yield Fault(spot, same, found, f"{fix}. {self.losses()}")

    def named(self) -> str:
        """Return the runs with gaps and the budgets they have, the first ones by name."""
        counts = self.has[~self.empty]
        usual = counts[np.unique(counts, axis=0, return_inverse=True)[1].reshape(-1) == _mode(counts)]
        odd = [i for i in np.flatnonzero(~self.empty) if not (self.has[i] == usual[0]).all()]
        runs = []
        for i in odd[:SHOWN]:
            own = [b for b, h in zip(self.budgets, self.has[i], strict=True) if h]
            unit = self.units.get(self.runs[i].seed, f"seed {self.runs[i].seed}")
            runs.append(f"{self.runs[i].strategy} {unit} ({_short(own)})")
        return ", ".join(runs) + (f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else "")

    def losses(self) -> str:
        """Return what each policy would lose."""
        total, every = int((~self.empty).sum()), len(self.budgets)
        drop, crop = int(self.gappy.sum()), every - len(self.shared)
        shared = f"{crop} of {every} budgets in all {total} runs" if self.shared else "everything"
        return f"Dropping incomplete runs (--mismatch drop) loses {drop} of {total} runs; cropping loses {shared}"

    def warnings(self, mismatch: Mismatch) -> Iterator[str]:
        """Yield what the policy lost, and what the others would."""
        drop, total = int(self.gappy.sum()), int((~self.empty).sum())
        crop, every = len(self.budgets) - len(self.shared), len(self.budgets)
        if not drop:
            return
        if mismatch in ("crop", "unpaired"):
            yield (
                f"{self.protocol}: cropped to the {len(self.shared)} of {every} budgets that all runs share "
                f"({_short(self.shared)}), because {drop} of {total} runs have gaps; runs with different budgets: "
                f"{self.named()}. Dropping incomplete runs (--mismatch drop) would lose {drop} of {total} runs and no "
                "budget."
            )
        else:
            other = f"lose {crop} of {every} budgets for all" if self.shared else "leave no budget"
            yield (
                f"{self.protocol}: {drop} of {total} runs left out, because they have no value at some budgets. "
                f"--mismatch crop would keep {'it' if drop == 1 else 'them'} and {other}; --mismatch refuse stops here."
            )

    def kept(self, mismatch: Mismatch) -> pd.DataFrame:
        """Return the rows of the runs and budgets that are analysed."""
        part = self.part
        if mismatch in ("crop", "unpaired"):
            if self.gappy.any():
                part = part[part["budget"].isin(self.shared)]
            return part[part["value"].notna()]
        if not (self.gappy | self.empty).any():
            return part[part["value"].notna()] if part["value"].isna().any() else part
        out = pd.MultiIndex.from_tuples(
            [(run.strategy, run.seed) for i, run in enumerate(self.runs) if self.gappy[i] or self.empty[i]]
        )
        rows = pd.MultiIndex.from_frame(part[["strategy", "seed"]]).isin(out)
        return part[~rows & part["value"].notna()]


def _mode(rows: np.ndarray) -> int:
    return int(np.bincount(np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)).argmax())


def _without_pairs(
    frame: pd.DataFrame, expected: Sequence[RunId], where: str, baseline: str, unit: str
) -> Iterator[str]:
    """Yield warnings of comparisons without data; refuse if runs of both sides exist, but no pair at all."""
    seeds = {(str(p), str(s)): set(part) for (p, s), part in frame.groupby(["protocol", "strategy"])["seed"]}
    comparisons = dict.fromkeys((k.protocol, k.strategy) for k in expected if k.strategy != baseline)
    alone, nothing, pairs = [], [], False
    for protocol, strategy in comparisons:
        ours, theirs = seeds.get((protocol, strategy), set()), seeds.get((protocol, baseline), set())
        if ours & theirs:
            pairs = True
        elif ours and theirs:
            alone.append(f"{protocol}/{strategy}")
        else:
            nothing.append(f"{protocol}/{strategy if not ours else baseline}")
    if alone and not pairs:
        raise NotDecidable(
            Fault(
                where,
                f"{unit}s that {baseline} shares with the strategies, to pair their runs",
                f"no {unit} in common: {', '.join(alone[:SHOWN])}",
                f"give paired runs the same {unit}; or compare independent runs with --mismatch unpaired",
            )
        )
    if alone:
        yield (
            f"No {unit} in common with {baseline}, so nothing was tested: {_listed(alone)}. They stay in the family; "
            "--mismatch unpaired compares them as independent runs."
        )
    if nothing:
        nothing = list(dict.fromkeys(nothing))
        yield f"No data: {_listed(nothing)}. The comparisons stay in the family, undecided."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _gap_faults(
    missing: Sequence[Missing], where: str, units: Mapping[int, str], grids: Sequence[_Grid]
) -> list[Fault]:
    """List every gap; the last fault says what to do and what each policy would lose."""
    faults = []
    for m in missing:
        k = m.run
        spot = f"{where}: {k.protocol}/{k.strategy}/{units.get(k.seed, f'seed-{k.seed}')}"
        if m.reason.startswith("no value at"):
            faults.append(Fault(spot, "a value at every budget", m.reason.replace("no value", "none", 1)))
        else:
            faults.append(Fault(spot, "a run of every strategy for every seed", m.reason))
    losses = "".join(f". {g.protocol}: {g.losses()}" for g in grids if g.gappy.any())
    fix = f"complete the table, or choose --mismatch drop, crop or unpaired{losses}"
    return [*faults[:-1], Fault(faults[-1].where, faults[-1].expected, faults[-1].found, fix)]


def _expected(frame: pd.DataFrame, strategies: Sequence[str], *, unpaired: bool) -> Iterator[RunId]:
    """Yield all seeds of a protocol for each strategy of the table; if unpaired, only its own seeds, if it has any."""
    for protocol, part in frame.groupby("protocol", sort=False):
        every = np.sort(part["seed"].unique())
        own = {s: np.sort(seeds.unique()) for s, seeds in part.groupby("strategy")["seed"]} if unpaired else {}
        for strategy in strategies:
            yield from (RunId(str(protocol), str(strategy), int(seed)) for seed in own.get(strategy, every))


def _short(budgets: Sequence[int]) -> str:
    return ", ".join(map(str, budgets)) if len(budgets) <= 6 else f"{budgets[0]}, {budgets[1]}, …, {budgets[-1]}"

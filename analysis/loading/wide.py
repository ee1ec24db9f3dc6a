"""Turn tables with one column per budget, strategy, seed, data set or metric into one row per value."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Final

import pandas as pd

from analysis.loading.curves import COLUMNS
from analysis.loading.reading import Reading
from analysis.loading.summaries import named_like_a_summary
from analysis.loading.text_cells import LINE
from protocol.errors import Fault, InputError, unknown_name

WIDE: Final = ("budget", "strategy", "seed", "dataset", "metric")
SEED: Final = re.compile(
    r"(?i)(?:(?P<before>.+?)[ _\-./])?(?:seeds?|runs?|reps?|repeats?|repetitions?|trials?|folds?|splits?|[sr])"
    r"[ _\-=.:#]*(?P<seed>\d+)(?:[ _\-./](?P<after>.+))?"
)
"""Names of columns of seeds: seed0, seed_1, run 3, s2, fold-4, acc_seed0."""
BUDGET: Final = re.compile(r"\d+(?:\.0+)?")
SHOWN: Final = 5


def spread_wide(reading: Reading, wide: str | None, baseline: str) -> None:
    """Melt a wide table, as requested or as its columns say; every guess is noted.

    A table that has neither a strategy nor a value column, but a column named like the baseline, has one column per
    strategy. Columns seed0, seed1, … or 0, 1, 2, … are seeds, if there are no seeds or values otherwise. Other columns
    of increasing whole numbers are budgets, if there are seeds or data sets.

    Raises:
        InputError: The table is not wide in the requested way, or columns could be seeds or budgets.
    """
    there = set(reading.frame.columns)
    if wide is None and baseline in there and not {"strategy", "value"} & there:
        wide = "strategy"
        reading.notes.append(
            f"read as one column per strategy (--wide strategy): there is a column {baseline}, but none named strategy "
            "or value"
        )
    if wide == "strategy" and not {"seed", "dataset", "strategy", "value"} & there:
        _name_datasets(reading)
    if wide is not None:
        _melt(reading, wide, _spread(reading, wide))
    elif not {"value", "seed"} & there and (seeds := seeds_in(reading.frame)):
        _refuse_doubt(reading, seeds)
        reading.notes.append(f"read as one column per seed (--wide seed): {_first(list(seeds))}")
        _melt(reading, "seed", seeds)
    elif not {"value", "budget"} & there and {"seed", "dataset"} & there and (budgets := _budgets_in(reading.frame)):
        reading.notes.append(f"read as one column per budget (--wide budget): {_first(list(budgets))}")
        _melt(reading, "budget", budgets)


def seeds_in(frame: pd.DataFrame) -> dict[str, str]:
    """Return column -> seed for a table with one column per seed, or per seed and metric; empty if it has none."""
    free = [c for c in frame.columns if c not in COLUMNS and c != LINE and not c.startswith("Unnamed: ")]
    plain = [c for c in free if c.strip().isdigit()]
    if len(plain) > 1 and [int(c) for c in plain] in (list(range(len(plain))), list(range(1, len(plain) + 1))):
        return {c: str(int(c)) for c in plain}
    named = {c: match for c in free if (match := SEED.fullmatch(c.strip()))}
    numbers = {c: str(int(match["seed"])) for c, match in named.items()}
    metrics = {(match["before"], match["after"]) for match in named.values()}
    once = len({(numbers[c], match["before"], match["after"]) for c, match in named.items()}) == len(named)
    same = len(named) == len(metrics) * len(set(numbers.values()))  # every metric has every seed
    return numbers if once and same and len(set(numbers.values())) > 1 else {}


def _budgets_in(frame: pd.DataFrame) -> dict[str, str]:
    """Return column -> budget, if all columns of numbers without a role are increasing whole numbers."""
    free = [c for c in frame.columns if c not in COLUMNS and c != LINE]
    budgets = {c: str(int(float(c))) for c in free if BUDGET.fullmatch(c.strip())}
    numbers = [int(b) for b in budgets.values()]
    other = [c for c in free if c not in budgets and pd.to_numeric(frame[c], errors="coerce").notna().any()]
    rising = all(a < b for a, b in itertools.pairwise(numbers))
    return budgets if len(numbers) > 1 and rising and not other else {}


def _refuse_doubt(reading: Reading, seeds: Mapping[str, str]) -> None:
    """Refuse columns 1, 2, 3, … that could be rounds of data sets as well as seeds."""
    there = set(reading.frame.columns)
    if "dataset" in there and "budget" not in there and all(c.strip().isdigit() for c in seeds):
        raise InputError(
            Fault(
                reading.where,
                "columns that can only be seeds, or only budgets",
                f"columns {_first(list(seeds))}, beside data sets",
                "say which: --wide seed, or --wide budget for rounds (data sets are then the pairs)",
            )
        )


def _name_datasets(reading: Reading) -> None:
    """Use the one column of text as data sets; without one, each row is a data set."""
    frame = reading.frame
    others = [c for c in frame.columns if c not in COLUMNS and c != LINE]
    text = [c for c in others if pd.to_numeric(frame[c], errors="coerce").isna().all() and frame[c].notna().any()]
    if len(text) > 1:
        fix = f"choose one, for example with --column dataset={text[0]}"
        raise InputError(Fault(reading.where, "one column that names the data sets", ", ".join(text), fix))
    if text:
        reading.rename({text[0]: "dataset"}, "the one column of text")
        reading.notes.append(f"column {text[0]} names the data sets")
    elif "budget" not in frame.columns:  # with budgets it is one mean curve per strategy: a column is missing
        reading.frame = frame.assign(dataset=[f"row {line}" for line in frame[LINE]])
        reading.notes.append(
            "no column names seeds or data sets: each row, named after its line in the file, is read as a data set"
        )


def _spread(reading: Reading, wide: str) -> dict[str, str]:
    """Return column -> what it stands for, in the requested way."""
    where = f"{reading.where}: --wide {wide}"
    frame = reading.frame
    if wide not in WIDE:
        raise InputError(unknown_name(f"{reading.where}: --wide", wide, WIDE))
    if not reading.header:
        raise InputError(Fault(where, f"a header that names the {wide}s", "no header", "write a header"))
    taken = [c for c in (wide, "value") if c in frame.columns]
    if taken:
        raise InputError(Fault(where, f"no columns {wide} and value", f"{', '.join(taken)}", "omit --wide"))
    own = [c for c in frame.columns if c in COLUMNS or c == LINE]
    spread = {c: c for c in frame.columns if c not in own}
    if wide in ("budget", "seed"):
        found = {
            c: re.fullmatch(r"\D*?(\d+)(?:\.0+)?", c.strip()) for c in spread if not re.fullmatch(r"Unnamed: \d+", c)
        }
        spread = {c: match.group(1) for c, match in found.items() if match}
    if not spread:
        raise InputError(Fault(where, f"columns that are {wide}s", f"only {', '.join(c for c in own if c != LINE)}"))
    twice = sorted({c for c in spread if list(spread.values()).count(spread[c]) > 1})
    if twice:
        raise InputError(Fault(where, f"each {wide} in one column", ", ".join(twice), "rename or drop one of them"))
    return spread


def _melt(reading: Reading, wide: str, spread: Mapping[str, str]) -> None:
    """Melt columns into values of `wide`, one row per cell; empty cells stay."""
    frame = reading.frame
    own = [c for c in frame.columns if c in COLUMNS or c == LINE]
    ignored = [c for c in frame.columns if c not in own and c not in spread]
    for column, stands_for in spread.items():
        reading.use({column: "value"}, f"one column per {wide}: {stands_for}")
    long = frame[[*own, *spread]].melt(id_vars=own, var_name=wide, value_name="value")
    metrics = {c: _metric_around(c) for c in spread} if wide == "seed" and "metric" not in long.columns else {}
    if all(metrics.values()) and metrics:
        long["metric"] = long[wide].map(metrics)
    long[wide] = long[wide].map(dict(spread))
    reading.frame = long
    if ignored:
        summaries = [c for c in ignored if named_like_a_summary(c)]
        others = [c for c in ignored if c not in summaries]
        reading.use(dict.fromkeys(summaries, ""), "named like a summary of the others")
        if summaries:
            reading.notes.append(f"columns that summarise the others were ignored: {', '.join(summaries)}")
        if others:
            reading.notes.append(f"columns that are no {wide} were ignored: {', '.join(others)}")


def _metric_around(column: str) -> str:
    """Return what stands around the seed in the name of a column: "acc" of acc_seed0."""
    match = SEED.fullmatch(column.strip())
    return (match["before"] or match["after"] or "").strip() if match else ""


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")

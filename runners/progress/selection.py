"""Select runs of a plan: `--only 'strategy=entropy|margin,protocol=cifar*,seed<4'`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from protocol.errors import Fault, InputError, nearest
from runners.progress.plan import PlannedRun

KEYS: Final[dict[str, Callable[[PlannedRun], str | int]]] = {
    "strategy": lambda run: run.strategy.id,
    "protocol": lambda run: run.protocol.name,
    "data": lambda run: run.protocol.data.name,
    "regime": lambda run: run.protocol.regime.name,
    "seed": lambda run: run.seed,
}
NUMERIC: Final[dict[str, Callable[[int, int], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "!=": operator.ne,
    "=": operator.eq,
}
_CONDITION: Final = re.compile(r"\s*([a-z]+)\s*(<=|>=|!=|<|>|=)\s*(.*?)\s*$")


def select_runs(runs: Sequence[PlannedRun], text: str) -> list[PlannedRun]:
    """Return the runs that meet every comma-separated condition.

    `|` separates alternatives; `*` and `?` match in names.

    Raises:
        InputError: a condition cannot be parsed, or no run of the plan meets all of them.
    """
    faults: list[Fault] = []
    tests = [_test(part, faults) for part in text.split(",")]
    if faults:
        raise InputError(faults)
    selected = [run for run in runs if all(test(run) for test in tests)]
    if not selected:
        values = "; ".join(f"{key}: {', '.join(_values(runs, key))}" for key in ("strategy", "protocol", "seed"))
        raise InputError(
            Fault("--only", f"conditions that some planned run meets ({values})", repr(text), "change the condition")
        )
    return selected


def _values(runs: Sequence[PlannedRun], key: str) -> list[str]:
    return [str(value) for value in dict.fromkeys(KEYS[key](run) for run in runs)]


def _test(part: str, faults: list[Fault]) -> Callable[[PlannedRun], bool]:
    match = _CONDITION.match(part)
    if match is None or match[1] not in KEYS or not match[3]:
        keys = ", ".join(nearest(match[1], list(KEYS)) if match else KEYS)
        faults.append(
            Fault("--only", f"KEY=VALUE with a key of {keys}", repr(part), "e.g. --only 'strategy=entropy,seed<4'")
        )
        return lambda _: False
    key, sign, values = match[1], match[2], match[3].split("|")
    value_of = KEYS[key]
    if key == "seed":
        if not all(v.strip().isdecimal() for v in values):
            faults.append(Fault("--only", "whole numbers for seed", repr(part), "e.g. seed<4 or seed=0|3"))
            return lambda _: False
        numbers = [int(v) for v in values]
        every = all if sign == "!=" else any
        return lambda run: every(NUMERIC[sign](int(value_of(run)), n) for n in numbers)
    if sign not in ("=", "!="):
        faults.append(Fault("--only", f"= or != for {key}", repr(part)))
        return lambda _: False
    return lambda run: any(fnmatchcase(str(value_of(run)), v.strip()) for v in values) == (sign == "=")

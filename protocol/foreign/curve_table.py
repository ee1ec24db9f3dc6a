"""Check a table of curves from any source against a protocol: budgets, seeds, baseline, and values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import Fault, InputError
from protocol.foreign.partial_record import Partial, Runs, evidence, known_round, study_of
from protocol.record.events import EndEvent
from protocol.record.layout import StudyFolder
from protocol.rules.check import Body, evaluate
from protocol.rules.result import Compliance
from protocol.safe_read import read_named
from protocol.spec.base import EXACT
from protocol.spec.protocol import Protocol

_NEEDED = ("strategy", "seed", "budget", "value")
_OPTIONAL = ("protocol", "dataset", "regime", "metric")
_MOST_FAULTS = 20
_LARGEST = 2**26


@dataclass(frozen=True)
class _Row:
    line: int
    group: str
    metric: str
    strategy: str
    seed: int
    budget: int
    value: float


def check_table(path: Path, protocol: Protocol) -> Compliance:
    """Check a CSV table of learning curves; rules about labels, training and files cannot be verified.

    Args:
        path: table with columns strategy, seed, budget (labels) and value; optional protocol, dataset, regime and
            metric. Every strategy is expected with every seed that occurs.
        protocol: what the table is checked against.

    Raises:
        InputError: the table cannot be read, or names several protocols or metrics without the given one.
    """
    rows = _of_protocol(_rows(path), protocol, str(path))
    runs: Runs = {}
    for key in dict.fromkeys((r.strategy, r.seed) for r in rows):
        curve = sorted((r for r in rows if (r.strategy, r.seed) == key), key=lambda r: r.budget)
        rounds = [
            known_round(n, r.budget, r.budget - protocol.charged_validation, {protocol.metric: r.value})
            for n, r in enumerate(curve)
        ]
        places = tuple(f"{path}:{r.line}" for r in curve)
        runs[key] = Partial(str(path), (*rounds, EndEvent(rounds=len(rounds))), (*places, places[-1]))
    study, folder = study_of(path.stem, protocol, runs, str(path)), StudyFolder(path.parent)
    body = evidence(study, folder, runs, str(path))
    lacks = "a table of curves, which holds only budgets and metrics"
    planned = len(study.strategies) * len(study.seeds)
    return evaluate(
        Body(
            "table",
            str(path),
            study,
            folder,
            body,
            planned,
            frozenset({"presence", "peers", "curve", "budgets"}),
            lacks,
        )
    )


def _rows(path: Path) -> list[_Row]:
    try:
        text = read_named(path, _LARGEST).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        _refuse_other_columns(list(reader.fieldnames or ()), str(path))
        read = list(_parsed(reader, str(path)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(Fault(str(path), "a readable CSV table in UTF-8", str(error))) from None
    faults = [r for r in read if isinstance(r, Fault)]
    if faults or not read:
        raise InputError(faults[:_MOST_FAULTS] or Fault(str(path), "at least one row", "only a header"))
    return [r for r in read if isinstance(r, _Row)]


def _refuse_other_columns(names: list[str], where: str) -> None:
    absent = [c for c in _NEEDED if c not in names]
    if absent:
        found = f"no {', '.join(absent)} among {', '.join(names) or 'nothing'}"
        raise InputError(Fault(where, f"columns {', '.join(_NEEDED)}", found, "rename the columns"))
    if twice := sorted({c for c in (*_NEEDED, *_OPTIONAL) if names.count(c) > 1}):
        raise InputError(Fault(where, "every column once", f"{', '.join(twice)} more than once", "remove the others"))


def _parsed(reader: csv.DictReader[str], where: str) -> Iterator[_Row | Fault]:
    for cells in reader:
        place, line = f"{where}:{reader.line_num}", reader.line_num
        if None in cells:  # for example a decimal comma in a comma-separated table
            yield Fault(
                place,
                f"{len(reader.fieldnames or ())} cells",
                f"{len(cells[None])} more",
                "quote cells that hold a comma",
            )
            continue
        text = {c: (cells.get(c) or "").strip() for c in (*_NEEDED, *_OPTIONAL)}
        wrong = [
            c
            for c in ("seed", "budget")
            if not text[c].isdecimal() or len(text[c]) > len(str(EXACT)) or int(text[c]) > EXACT
        ]
        yield from (Fault(f"{place}: {c}", "a whole number up to 2**53 - 1", repr(text[c][:40])) for c in wrong)
        if not text["strategy"]:
            yield Fault(f"{place}: strategy", "a name", "nothing")
        try:
            value = float(text["value"])
        except ValueError:
            yield Fault(f"{place}: value", "a number", repr(text["value"]))
            continue
        if text["strategy"] and not wrong:
            group = text["protocol"] or "/".join(filter(None, (text["dataset"], text["regime"])))
            yield _Row(line, group, text["metric"], text["strategy"], int(text["seed"]), int(text["budget"]), value)


def _of_protocol(rows: list[_Row], protocol: Protocol, where: str) -> list[_Row]:
    """Return the rows of this protocol and its metric.

    A table that names only one protocol or metric needs no match.
    """
    for what, wanted, column in (("protocol", protocol.name, "group"), ("metric", protocol.metric, "metric")):
        names = dict.fromkeys(getattr(r, column) for r in rows)
        if len(names) > 1 and wanted not in names:
            fix = f"give the matching protocol, or keep only the rows of one {what}"
            raise InputError(Fault(f"{where}: {what}", f"{wanted}, or a single {what}", ", ".join(sorted(names)), fix))
        rows = [r for r in rows if len(names) == 1 or getattr(r, column) == wanted]
    return rows

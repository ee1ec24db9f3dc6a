"""`merge`: one study made on several machines, put together; conflicts are told, never decided."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import typer

from protocol.errors import Fault, InputError, RecordError
from protocol.record.chain import essence, open_record, read
from protocol.record.layout import RunFolder, StudyFolder
from protocol.spec.study import Study
from runners.progress.plan import planned_runs
from runners.verbs.shared.console import console

Outcome = Literal["copied", "went on", "equal", "behind", "conflict", "unreadable"]
SAID = {
    "copied": "copied",
    "went on": "taken over further on",
    "equal": "there already",
    "behind": "further on here",
    "conflict": "in conflict, left as they are in both places",
    "unreadable": "unreadable, left where they are",
}


def merge(target: Path, sources: Sequence[Path]) -> None:
    """See `beatrandom merge --help`."""
    into = StudyFolder(target)
    study = into.read_plan()
    _same_plan(study, sources)
    outcomes: dict[str, list[str]] = {}
    for source in map(StudyFolder, sources):
        _take_shared(source, into)
        for run in planned_runs(study):
            theirs = source.run(run.id)
            if theirs.events.exists():
                outcomes.setdefault(_take(theirs, into.run(run.id)), []).append(str(theirs.path))
    for outcome, said in SAID.items():
        if runs := outcomes.get(outcome):
            console.print(f"{len(runs)} runs {said}")
            if outcome in ("conflict", "unreadable"):
                console.print("\n".join(f"  {run}" for run in runs), markup=False)
    if outcomes.get("conflict") or outcomes.get("unreadable"):
        raise typer.Exit(1)


def _same_plan(study: Study, sources: Sequence[Path]) -> None:
    faults: list[Fault] = []
    for source in sources:
        try:
            other = StudyFolder(source).read_plan()
        except InputError as error:
            faults += error.faults
            continue
        if other.fingerprint != study.fingerprint:
            found = f"another plan: {other.name} ({other.fingerprint[:12]})"
            faults.append(
                Fault(
                    str(source),
                    f"a folder of the plan {study.fingerprint[:12]}",
                    found,
                    "leave it out; nothing was changed",
                )
            )
    if faults:
        raise InputError(faults)


def _take_shared(source: StudyFolder, into: StudyFolder) -> None:
    """Splits, look-alikes, units and pretrained bodies, named by what they are made from, so that equal names hold equal content."""
    for path in sorted(
        p for shared in ("splits/*.npz", "data/*.npz", "pretrained/*/[!.]*") for p in source.path.glob(shared)
    ):
        copy = into.path / path.relative_to(source.path)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=copy.parent) as scratch:
                os.replace(shutil.copy2(path, scratch), copy)


def _take(theirs: RunFolder, ours: RunFolder) -> Outcome:
    """Copy a run that is missing here, or further on there; both records are read whole before anything is written."""
    try:
        there = read(theirs.events)
        if there.breaks:
            return "unreadable"
        if not ours.events.exists():
            _copy(theirs, ours)
            return "copied"
        here = read(ours.events)
    except RecordError:
        return "unreadable"
    a, b = essence(there), essence(here)
    if here.breaks or a[: min(len(a), len(b))] != b[: min(len(a), len(b))]:
        return "conflict"
    if len(a) <= len(b):
        return "equal" if len(a) == len(b) else "behind"
    with open_record(ours):  # nobody may be at work on what is set aside
        aside = ours.path.with_name(
            f".{ours.path.name}.before-merge-{len(list(ours.path.parent.glob('.*.before-merge-*')))}"
        )
        os.replace(ours.path, aside)
    _copy(theirs, ours)
    return "went on"


def _copy(theirs: RunFolder, ours: RunFolder) -> None:
    """All of a run's files under a temporary name, then one rename."""
    ours.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ours.path.parent, prefix=".merge-") as scratch:
        copy = Path(scratch) / ours.path.name
        shutil.copytree(theirs.path, copy, ignore=shutil.ignore_patterns(".lock", ".claims"))
        if ours.path.exists() and not any(p.name not in (".lock", ".claims", "run.log") for p in ours.path.iterdir()):
            shutil.rmtree(ours.path)  # an attempt that never began
        copy.rename(ours.path)

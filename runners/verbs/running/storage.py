"""`merge`: combine parts of one study from several machines. Conflicts are only reported."""

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
from runners.terminal.console import console

Outcome = Literal["copied", "went on", "equal", "behind", "conflict", "unreadable"]
MESSAGES = {
    "copied": "copied",
    "went on": "replaced by a copy with more rounds",
    "equal": "already present",
    "behind": "have more rounds here",
    "conflict": "in conflict, left unchanged in both folders",
    "unreadable": "unreadable, left unchanged",
}


def merge(folder: Path, sources: Sequence[Path]) -> None:
    """See `beatrandom merge --help`."""
    into = StudyFolder(folder)
    study = into.read_plan()
    _refuse_other_plans(study, sources)
    for each in (into, *map(StudyFolder, sources)):
        each.refuse_links()
    outcomes: dict[str, list[str]] = {}
    for source in map(StudyFolder, sources):
        _copy_shared(source, into)
        for run in planned_runs(study):
            theirs = source.run(run.id)
            if theirs.events.exists():
                outcomes.setdefault(_merge_run(theirs, into.run(run.id)), []).append(str(theirs.path))
    for outcome, message in MESSAGES.items():
        if runs := outcomes.get(outcome):
            console.print(f"{len(runs)} runs {message}")
            if outcome in ("conflict", "unreadable"):
                console.print("\n".join(f"  {run}" for run in runs), markup=False)
    if outcomes.get("conflict") or outcomes.get("unreadable"):
        raise typer.Exit(1)


def _refuse_other_plans(study: Study, sources: Sequence[Path]) -> None:
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


def _copy_shared(source: StudyFolder, into: StudyFolder) -> None:
    """Copy splits, duplicates, units and pretrained bodies. Equal names mean equal content."""
    for path in sorted(
        p for shared in ("splits/*.npz", "data/*.npz", "pretrained/*/[!.]*") for p in source.path.glob(shared)
    ):
        copy = into.path / path.relative_to(source.path)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=copy.parent) as scratch:
                os.replace(shutil.copy2(path, scratch, follow_symlinks=False), copy)


def _merge_run(theirs: RunFolder, ours: RunFolder) -> Outcome:
    """Copy a run that is missing here or has more rounds there, after reading both records."""
    try:
        there = read(theirs.events, theirs.root)
        if there.breaks:
            return "unreadable"
        if not ours.events.exists():
            _copy(theirs, ours)
            return "copied"
        here = read(ours.events, ours.root)
    except RecordError:
        return "unreadable"
    a, b = essence(there), essence(here)
    if here.breaks or a[: min(len(a), len(b))] != b[: min(len(a), len(b))]:
        return "conflict"
    if len(a) <= len(b):
        return "equal" if len(a) == len(b) else "behind"
    with open_record(ours):  # no process may be writing the run that is renamed
        aside = ours.path.with_name(
            f".{ours.path.name}.before-merge-{len(list(ours.path.parent.glob('.*.before-merge-*')))}"
        )
        os.replace(ours.path, aside)
    _copy(theirs, ours)
    return "went on"


def _copy(theirs: RunFolder, ours: RunFolder) -> None:
    """Copy all files of a run under a temporary name, then rename it."""
    ours.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ours.path.parent, prefix=".merge-") as scratch:
        copy = Path(scratch) / ours.path.name
        shutil.copytree(theirs.path, copy, symlinks=True, ignore=shutil.ignore_patterns(".lock", ".claims"))
        if ours.path.exists() and not any(p.name not in (".lock", ".claims", "run.log") for p in ours.path.iterdir()):
            shutil.rmtree(ours.path)  # an attempt that never started
        copy.rename(ours.path)

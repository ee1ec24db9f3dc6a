"""`replay`: does training give again what the record says it gave, and does the strategy choose again what it chose?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from protocol.errors import Fault, InputError
from protocol.record.layout import RunFolder, StudyFolder
from protocol.record.replay_answers import Attempt, Replayed, keep
from protocol.spec.run_id import RunId
from runners.machine.environment import describe
from runners.progress.plan import planned
from runners.run.replay import read_intact_record, replay_run
from runners.verbs.shared.console import console, print_json, table
from runners.verbs.shared.inputs import device_of

COLOURS = {"equal": "green", "differs": "bold red", "undecided": "yellow"}


def replay(
    path: Path,
    round_: int | None,
    every: bool,
    sample: int | None,
    seed: int,
    data_root: Path | None,
    device: str,
    trials: bool,
    keeps: bool,
    json: bool,
) -> None:
    """See `beatrandom replay --help`."""
    runs = _runs(path, every, sample, seed)
    found = []
    for run in runs:
        study = StudyFolder(run.path.parents[3])
        with console.status(f"replaying {run.path.relative_to(study.records)}"):
            outcomes = _outcomes(run, round_, data_root, None if device == "recorded" else device_of(device), trials)
        found.append((run, outcomes))
        if keeps:
            keep(
                study.replays(_run_id(run)),
                Attempt(head=read_intact_record(run)[0].head, rounds=tuple(outcomes), environment=describe("cpu", 1)),
            )
    _show(found, json)
    answers = {o.answer for _, outcomes in found for o in outcomes}
    code = 1 if "differs" in answers else 3 if "undecided" in answers or not answers else 0
    if code:
        raise typer.Exit(code)


def _outcomes(
    run: RunFolder, round_: int | None, data_root: Path | None, device: str | None, trials: bool
) -> list[Replayed]:
    return list(replay_run(run, None if round_ is None else [round_], data_root, device, trials=trials))


def _run_id(run: RunFolder) -> RunId:
    return RunId.parse("/".join(run.path.parts[-3:]))


def _runs(path: Path, every: bool, sample: int | None, seed: int) -> list[RunFolder]:
    """One run, or a study's finished ones: all, or so many drawn by the seed."""
    path = path.resolve()
    if not StudyFolder(path).plan.exists():
        run = RunFolder(path.parent if path.is_file() else path)
        if not run.events.is_file() or not StudyFolder(run.path.parents[3]).plan.exists():
            raise InputError(
                Fault(
                    str(path),
                    "a run's folder inside a study's records/, or a study folder",
                    "neither",
                    "check the path",
                )
            )
        if every or sample is not None:
            raise InputError(Fault("--all, --sample", "a study folder", "one run", "leave the option out"))
        return [run]
    if every == (sample is not None):
        raise InputError(
            Fault("replay of a study", "either --all or --sample N", "both" if every else "neither", "choose one")
        )
    folder = StudyFolder(path)
    runs = [folder.run(p.id) for p in planned(folder.read_plan())]
    runs = [run for run in runs if run.events.is_file()]
    if not runs:
        raise InputError(Fault(str(path), "at least one run", "none", "run the study first"))
    if sample is None:
        return runs
    drawn = np.random.default_rng(seed).choice(len(runs), min(sample, len(runs)), replace=False)
    return [runs[i] for i in sorted(drawn)]


def _show(found: list[tuple[RunFolder, list[Replayed]]], json: bool) -> None:
    named = [("/".join(run.path.parts[-3:]), outcome) for run, outcomes in found for outcome in outcomes]
    if json:
        print_json(
            {
                "schema": "beatrandom/replay/1",
                "rounds": [{"run": name, **o.model_dump(mode="json")} for name, o in named],
            }
        )
        return
    rows = [
        [name, "start" if o.round < 0 else o.round, f"[{COLOURS[o.answer]}]{o.answer}[/]", o.said] for name, o in named
    ]
    console.print(table("Replay", ["run", "round", "again", "detail"], rows, ["round"]))

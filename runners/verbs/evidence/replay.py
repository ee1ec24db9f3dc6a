"""`replay`: repeat recorded rounds, and compare training and queries with the record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer
from rich.text import Text

from protocol.errors import Fault, InputError
from protocol.plain_text import visible
from protocol.record.layout import RunFolder, StudyFolder
from protocol.record.replay_answers import Attempt, Replayed, add_attempt
from protocol.spec.run_id import RunId
from runners.machine.device import choose_device
from runners.machine.environment import describe
from runners.progress.plan import planned_runs
from runners.run.replay import read_intact_record, replay_run
from runners.terminal.console import console, print_json, table

COLOURS = {"equal": "green", "differs": "bold red", "undecided": "yellow"}


def replay(
    *,
    path: Path,
    round_: int | None,
    every: bool,
    sample: int | None,
    seed: int,
    data_root: Path | None,
    device: str,
    trials: bool,
    keep: bool,
    json: bool,
) -> None:
    """See `beatrandom replay --help`."""
    rounds = None if round_ is None else [round_]
    chosen = None if device == "recorded" else choose_device(device)
    replayed: list[tuple[RunFolder, list[Replayed]]] = []
    for run in _runs(path, every=every, sample=sample, seed=seed):
        study = StudyFolder(run.path.parents[3])
        if keep:
            study.refuse_links()
        with console.status(Text(visible(f"replaying {run.path.relative_to(study.records)}"))):
            outcomes = list(replay_run(run, rounds, data_root, chosen, trials=trials))
        replayed.append((run, outcomes))
        if keep:
            attempt = Attempt(
                head=read_intact_record(run)[0].head, rounds=tuple(outcomes), environment=describe("cpu", 1)
            )
            add_attempt(study.replays(_run_id(run)), attempt, study.path)
    _show(replayed, json)
    answers = {outcome.answer for _, outcomes in replayed for outcome in outcomes}
    if "differs" in answers:
        raise typer.Exit(1)
    if "undecided" in answers or not answers:
        raise typer.Exit(3)


def _run_id(run: RunFolder) -> RunId:
    return RunId.parse("/".join(run.path.parts[-3:]))


def _runs(path: Path, *, every: bool, sample: int | None, seed: int) -> list[RunFolder]:
    """Return one run, or the started runs of a study: all, or `sample` of them drawn by `seed`."""
    path = path.resolve()
    if not StudyFolder(path).plan.exists():
        return [_one_run(path, from_study=every or sample is not None)]
    if every == (sample is not None):
        found = "both" if every else "neither"
        raise InputError(Fault("replay of a study", "either --all or --sample N", found, "choose one"))
    folder = StudyFolder(path)
    runs = [folder.run(p.id) for p in planned_runs(folder.read_plan())]
    runs = [run for run in runs if run.events.is_file()]
    if not runs:
        raise InputError(Fault(str(path), "at least one run", "none", "run the study first"))
    if sample is None:
        return runs
    drawn = np.random.default_rng(seed).choice(len(runs), min(sample, len(runs)), replace=False)
    return [runs[i] for i in sorted(drawn)]


def _one_run(path: Path, *, from_study: bool) -> RunFolder:
    run = RunFolder(path.parent if path.is_file() else path)
    if not run.events.is_file() or not StudyFolder(run.path.parents[3]).plan.exists():
        expected = "the folder of a run inside a study's records/, or a study folder"
        raise InputError(Fault(str(path), expected, "neither", "check the path"))
    if from_study:
        raise InputError(Fault("--all, --sample", "a study folder", "one run", "leave the option out"))
    return run


def _show(replayed: Sequence[tuple[RunFolder, Sequence[Replayed]]], json: bool) -> None:
    named = [("/".join(run.path.parts[-3:]), outcome) for run, outcomes in replayed for outcome in outcomes]
    if json:
        rounds = [{"run": name, **outcome.model_dump(mode="json")} for name, outcome in named]
        print_json({"schema": "beatrandom/replay/1", "rounds": rounds})
        return
    rows = [[name, "start" if o.round < 0 else o.round, Text(o.answer, COLOURS[o.answer]), o.said] for name, o in named]
    console.print(table("Replay", ["run", "round", "replay", "detail"], rows, ["round"]))

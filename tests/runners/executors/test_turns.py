"""Short runs that take turns in a process: the same bytes alone and in company, and every accident costs one run."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.record.chain import essence, read
from protocol.record.events import FailureEvent, ResumeEvent
from protocol.record.layout import StudyFolder
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from runners.executors import local
from runners.executors.base import Executor, Limits, Stop
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.progress.job import Job, Result
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, resolve
from runners.progress.status import jobs as jobs_of
from runners.run.kept_inputs import KeptInputs
from runners.run.replay import replay_run
from runners.run.turns import takes_turns


def solved_table(**changes: Any) -> dict[str, Any]:
    """A protocol whose heads are solved on the digits' pixels."""
    table = {"name": "solved", "data": {"name": "digits"}, "splits": {"test_size": 200}, "budgets": [20, 30, 45, 60]}
    return table | {"model": {"name": "linear"}, "regime": {"name": "solved", "solver": {}}} | changes


def study_of(*names: str, seeds: int = 3, **changes: Any) -> Study:
    told = {"name": "solved", "protocols": [solved_table(**changes)], "strategies": [{"name": n} for n in names]}
    return parse(Study, told | {"seeds": list(range(seeds))}, "solved")


def with_own(folder: Path) -> Study:
    (folder / "own.py").write_text("def mine(view, n, rng):\n    return view.unlabelled[:n]\n")
    own = StrategySpec(name=f"{folder}/own.py:mine", label="mine")
    return resolve(study_of("random").with_strategies((StrategySpec(name="random"), own)), folder)


def jobs_in(study: Study, path: Path) -> list[Job]:
    adopt(StudyFolder(path), study, path)
    return jobs_of(StudyFolder(path), study, None, "cpu", 1, planned_runs(study))


def states(executor: Executor, jobs: list[Job]) -> list[str]:
    return sorted(m.state for m in executor.execute(jobs) if isinstance(m, Result))


def bytes_of(study: Study, path: Path) -> dict[str, tuple[list[bytes], list[bytes]]]:
    """What a repetition must give: the essence of every record, and its sidecars, but no draft of a killed process."""
    folders = {str(r.id): StudyFolder(path).run(r.id) for r in planned_runs(study)}
    return {
        name: (essence(read(run.events)), [p.read_bytes() for p in sorted((run.path / "predictions").glob("round-*"))])
        for name, run in folders.items()
    }


def processes_of(study: Study, path: Path) -> list[str]:
    """The process of every attempt, as the logs say."""
    logs = [StudyFolder(path).run(r.id).log.read_text() for r in planned_runs(study)]
    return [number for log in logs for number in re.findall(r"process (\d+)", log)]


STUDY = ("random", "margin", "core-set", "badge")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run in a process of its own."""
    path, study = tmp_path_factory.mktemp("alone") / "s", study_of(*STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "takes_turns", lambda _: False)
        assert states(Local(2), jobs_in(study, path)) == ["done"] * 12
    assert len(set(processes_of(study, path))) == 12
    return path


def test_runs_in_company_give_the_bytes_that_they_give_alone(alone: Path, tmp_path: Path) -> None:
    study = study_of(*STUDY)
    jobs = jobs_in(study, tmp_path / "s")
    random.Random(3).shuffle(jobs)
    assert states(Local(2), jobs) == ["done"] * 12
    assert len(set(processes_of(study, tmp_path / "s"))) == 2
    assert bytes_of(study, tmp_path / "s") == bytes_of(study, alone)


def test_inline_runs_give_the_same_bytes_again(alone: Path, tmp_path: Path) -> None:
    study = study_of(*STUDY)
    assert states(Inline(), jobs_in(study, tmp_path / "s")) == ["done"] * 12
    assert bytes_of(study, tmp_path / "s") == bytes_of(study, alone)


def test_a_run_made_in_company_is_replayed_alone(alone: Path) -> None:
    for run in planned_runs(study_of(*STUDY))[::5]:
        answers = list(replay_run(StudyFolder(alone).run(run.id), None, None, None))
        assert [a.answer for a in answers] == ["equal"] * 4


def test_processes_killed_at_random_moments_cost_one_run_each(alone: Path, tmp_path: Path) -> None:
    study, rng = study_of(*STUDY), random.Random(11)
    jobs, kills, ended = jobs_in(study, tmp_path / "s"), list[int](), threading.Event()
    executor = Local(2, Limits(retries=50))

    def kill() -> None:
        while not ended.wait(rng.uniform(0.05, 0.4)) and len(kills) < 6:
            for log in sorted((tmp_path / "s").rglob("run.log"), key=lambda p: -p.stat().st_mtime)[:1]:
                numbers = re.findall(r"process (\d+)", log.read_text())
                try:
                    os.kill(int(numbers[-1]), signal.SIGKILL)
                except (ProcessLookupError, IndexError):
                    continue
                kills.append(int(numbers[-1]))

    killer = threading.Thread(target=kill)
    killer.start()
    found = states(executor, jobs)
    ended.set()
    killer.join()
    assert found == ["done"] * 12
    assert len(kills) >= 2
    assert bytes_of(study, tmp_path / "s") == bytes_of(study, alone)
    records = [read(StudyFolder(tmp_path / "s").run(r.id).events) for r in planned_runs(study)]
    hit = sum(len([*r.of(FailureEvent), *r.of(ResumeEvent)]) > 0 for r in records)
    assert hit <= len(set(kills))


def test_a_stopped_study_continues_to_the_same_bytes(alone: Path, tmp_path: Path) -> None:
    study, stop = study_of(*STUDY), Stop()
    jobs, ended = jobs_in(study, tmp_path / "s"), list[Result]()
    for message in Local(2, stop=stop).execute(jobs):
        if isinstance(message, Result):
            ended.append(message)
        if len(ended) >= 3:
            stop.request()
    assert {r.state for r in ended} <= {"done", "stopped"}
    assert len(ended) < 12
    assert states(Local(2), jobs) == ["done"] * 12
    assert bytes_of(study, tmp_path / "s") == bytes_of(study, alone)


def test_a_failing_run_costs_no_other_and_its_process_is_not_used_again(tmp_path: Path) -> None:
    study = study_of("random", seeds=5)
    jobs = jobs_in(study, tmp_path / "s")
    broken = StudyFolder(tmp_path / "s").run(jobs[1].run)
    broken.path.mkdir(parents=True)
    broken.events.write_text('{"event":"nothing"}\n')
    assert states(Local(1), jobs) == ["done"] * 4 + ["failed"]
    processes = processes_of(study, tmp_path / "s")
    assert processes[0] == processes[1] != processes[2] == processes[3] == processes[4]


def test_a_run_beyond_its_time_ends_alone(tmp_path: Path) -> None:
    study = study_of("random", seeds=3)
    jobs = jobs_in(study, tmp_path / "s")
    slow = solved_table(
        name="slow", regime={"name": "solved", "solver": {"tolerance": 1e-8, "max_iterations": 100_000}}
    )
    table = {"name": "slow", "protocols": [slow], "strategies": [{"name": "random"}], "seeds": [0]}
    slow_job = replace(jobs_in(parse(Study, table, "slow"), tmp_path / "t")[0])
    began = time.monotonic()
    assert states(Local(1, Limits(run_seconds=4.0)), [jobs[0], slow_job, *jobs[1:]])[:3] == ["done"] * 3
    assert time.monotonic() - began < 60


def test_processes_are_replaced_after_some_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST_TURNS", 2)
    study = study_of("random", seeds=5)
    assert states(Local(1), jobs_in(study, tmp_path / "s")) == ["done"] * 5
    processes = processes_of(study, tmp_path / "s")
    assert [processes.count(p) for p in dict.fromkeys(processes)] == [2, 2, 1]


def test_only_short_runs_of_our_own_strategies_take_turns(toy_study: Study, tmp_path: Path) -> None:
    study = with_own(tmp_path)
    ours, *_, theirs = jobs_in(study, tmp_path / "s")
    assert takes_turns(ours)
    assert not takes_turns(theirs)
    assert not takes_turns(replace(ours, device="cuda"))
    assert not takes_turns(replace(ours, isolate=True))
    assert not takes_turns(jobs_in(toy_study, tmp_path / "t")[0])  # trains a network


def test_own_strategies_keep_processes_of_their_own(tmp_path: Path) -> None:
    study = with_own(tmp_path)
    assert states(Local(1), jobs_in(study, tmp_path / "s")) == ["done"] * 6
    processes = processes_of(study, tmp_path / "s")
    assert len(set(processes[:3])) == 1
    assert len(set(processes[3:])) == 3
    assert not set(processes[:3]) & set(processes[3:])


def test_what_was_read_is_kept_until_foreign_code_runs(tmp_path: Path) -> None:
    study = with_own(tmp_path)
    ours, second, *_, theirs = jobs_in(study, tmp_path / "s")
    kept = KeptInputs()
    shelf = kept.shelf_for(ours)
    assert shelf is not None
    first = shelf.load(ours.protocol.data, None)
    assert kept.shelf_for(second) is shelf
    assert shelf.load(second.protocol.data, None) is first
    assert kept.shelf_for(theirs) is None
    assert shelf.load(ours.protocol.data, None) is not first

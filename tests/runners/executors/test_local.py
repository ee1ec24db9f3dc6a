"""Processes that die, hang and are interrupted cost their own run only."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from protocol.folders import StudyFolder
from protocol.record import essence, read
from protocol.spec import StrategySpec, Study
from runners.executors.base import Executor, Update
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.jobs import Job, Result
from runners.study import adopt, counts, planned, resolve, status
from runners.study import jobs as jobs_of


def jobs_in(study: Study, path: Path) -> list[Job]:
    adopt(StudyFolder(path), study, path)
    return jobs_of(StudyFolder(path), study, None, "cpu", 1, planned(study))


def essences(study: Study, path: Path) -> dict[str, list[bytes]]:
    folder = StudyFolder(path)
    return {
        f"{r.protocol.name}/{r.strategy.id}/{r.seed}": essence(read(folder.run(r.protocol.name, r.strategy.id, r.seed).events))
        for r in planned(study)
    }


def add_own(study: Study, tmp_path: Path, body: str) -> Study:
    (tmp_path / "own.py").write_text(f"import os, signal, time\ndef mine(view, n, rng):\n    {body}\n")
    own = StrategySpec(name=f"{tmp_path}/own.py:mine", label="mine")
    return resolve(study.with_strategies((*study.strategies, own)), tmp_path)


@pytest.mark.parametrize("executor", [Inline(), Local(2)], ids=["inline", "local"])
def test_all_runs_are_made_and_equal_those_made_one_by_one(executor: Executor, toy_study: Study, tmp_path: Path) -> None:
    messages = list(executor.execute(jobs_in(toy_study, tmp_path / "a")))
    assert sorted(m.state for m in messages if isinstance(m, Result)) == ["done"] * 4
    assert max(m.rounds for m in messages if isinstance(m, Update)) == 3
    list(Inline().execute(jobs_in(toy_study, tmp_path / "b")))
    assert essences(toy_study, tmp_path / "a") == essences(toy_study, tmp_path / "b")


@pytest.mark.parametrize(
    ("body", "said"),
    [("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"), ("raise MemoryError", "MemoryError")],
)
def test_a_dying_strategy_costs_only_its_own_runs(body: str, said: str, toy_study: Study, tmp_path: Path) -> None:
    study = add_own(toy_study, tmp_path, body)
    results = [m for m in Local(2).execute(jobs_in(study, tmp_path / "s")) if isinstance(m, Result)]
    states = {r.id: r.state for r in results}
    assert sum(s == "done" for s in states.values()) == 4
    failed = [r for r in results if r.state == "failed"]
    assert len(failed) == 2
    assert all(said in r.message for r in failed)


def test_stopped_in_the_middle_the_same_jobs_continue(toy_study: Study, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    study = add_own(toy_study, tmp_path, f"os.path.exists('{tmp_path}/go') or time.sleep(60); return view.unlabelled[:n]")
    stream = Local(2).execute(jobs_in(study, tmp_path / "s"))
    for message in stream:
        if isinstance(message, Update) and "/mine/" in message.id and message.rounds == 0:
            break
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 8
    folder = StudyFolder(tmp_path / "s")
    before = counts(status(folder, study))
    assert before["running"] == 0
    assert before["done"] < 6
    (tmp_path / "go").touch()
    list(Local(2).execute(jobs_in(study, tmp_path / "s")))
    assert counts(status(folder, study))["done"] == 6
    list(Inline().execute(jobs_in(study, tmp_path / "t")))
    assert essences(study, tmp_path / "s") == essences(study, tmp_path / "t")


def test_a_second_process_on_the_same_run_is_turned_away(toy_study: Study, tmp_path: Path) -> None:
    study = add_own(toy_study, tmp_path, f"os.path.exists('{tmp_path}/go') or time.sleep(60); return view.unlabelled[:n]")
    job = next(j for j in jobs_in(study, tmp_path / "s") if j.strategy.id == "mine")
    first, second = Local(1).execute([job]), Local(1).execute([job])
    assert isinstance(next(first), Update)
    assert [m.state for m in second if isinstance(m, Result)] == ["busy"]
    first.close()


def test_a_worker_killed_from_outside_is_reported_and_the_run_continues(toy_study: Study, tmp_path: Path) -> None:
    study = add_own(
        toy_study,
        tmp_path,
        f"open('{tmp_path}/pid', 'w').write(str(os.getpid())); os.path.exists('{tmp_path}/go') or time.sleep(60); return view.unlabelled[:n]",
    )
    job = next(j for j in jobs_in(study, tmp_path / "s") if j.strategy.id == "mine")

    def kill() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (tmp_path / "pid").exists():
            time.sleep(0.05)
        time.sleep(0.2)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    results = [m for m in Local(1).execute([job]) if isinstance(m, Result)]
    killer.join()
    assert [r.state for r in results] == ["failed"]
    assert "SIGKILL" in results[0].message
    (tmp_path / "go").touch()
    assert [m.state for m in Local(1).execute([job]) if isinstance(m, Result)] == ["done"]

"""Processes that die, hang and are interrupted cost their own run only."""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from protocol.record.chain import Record, essence, read
from protocol.record.events import FailureEvent
from protocol.record.layout import StudyFolder
from protocol.spec.study import StrategySpec, Study
from runners.executors.base import Executor, Limits, Stop, Update
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.machine.memory import MIB, available_mib
from runners.progress.job import Job, Result
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, count_states, resolve, status
from runners.progress.status import jobs as jobs_of


def jobs_in(study: Study, path: Path) -> list[Job]:
    adopt(StudyFolder(path), study, path)
    return jobs_of(StudyFolder(path), study, None, "cpu", 1, planned_runs(study))


def essences(study: Study, path: Path) -> dict[str, list[bytes]]:
    folder = StudyFolder(path)
    return {
        f"{r.protocol.name}/{r.strategy.id}/{r.seed}": essence(read(folder.run(r.id).events))
        for r in planned_runs(study)
    }


def add_own(study: Study, tmp_path: Path, body: str) -> Study:
    (tmp_path / "own.py").write_text(f"import os, signal, time\ndef mine(view, n, rng):\n    {body}\n")
    own = StrategySpec(name=f"{tmp_path}/own.py:mine", label="mine")
    return resolve(study.with_strategies((*study.strategies, own)), tmp_path)


@pytest.mark.parametrize("executor", [Inline(), Local(2)], ids=["inline", "local"])
def test_all_runs_are_made_and_equal_those_made_one_by_one(
    executor: Executor, toy_study: Study, tmp_path: Path
) -> None:
    messages = list(executor.execute(jobs_in(toy_study, tmp_path / "a")))
    assert sorted(m.state for m in messages if isinstance(m, Result)) == ["done"] * 4
    assert max(m.rounds for m in messages if isinstance(m, Update)) == 3
    list(Inline().execute(jobs_in(toy_study, tmp_path / "b")))
    assert essences(toy_study, tmp_path / "a") == essences(toy_study, tmp_path / "b")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("raise MemoryError", "MemoryError"),
    ],
)
def test_a_dying_strategy_costs_only_its_own_runs(body: str, said: str, toy_study: Study, tmp_path: Path) -> None:
    study = add_own(toy_study, tmp_path, body)
    results = [m for m in Local(2).execute(jobs_in(study, tmp_path / "s")) if isinstance(m, Result)]
    states = {r.id: r.state for r in results}
    assert sum(s == "done" for s in states.values()) == 4
    failed = [r for r in results if r.state == "failed"]
    assert len(failed) == 2
    assert all(said in r.message for r in failed)


def test_runs_do_not_load_the_main_module(toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a script without a guard, or a scheduler's worker that takes seconds."""
    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "main.py")
    (tmp_path / "main.py").write_text(f"open('{tmp_path}/loaded', 'w').close()\n")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert [r.state for r in results_of(Local(1), jobs_in(toy_study, tmp_path / "s")[:1])] == ["done"]
    assert not (tmp_path / "loaded").exists()
    assert sys.modules["__main__"] is main


def test_stopped_in_the_middle_the_same_jobs_continue(toy_study: Study, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    study = add_own(
        toy_study, tmp_path, f"os.path.exists('{tmp_path}/go') or time.sleep(60); return view.unlabelled[:n]"
    )
    stream = Local(2).execute(jobs_in(study, tmp_path / "s"))
    for message in stream:
        if isinstance(message, Update) and "/mine/" in message.id and message.rounds == 0:
            break
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 8
    folder = StudyFolder(tmp_path / "s")
    before = count_states(status(folder, study))
    assert before["running"] == 0
    assert before["done"] < 6
    (tmp_path / "go").touch()
    list(Local(2).execute(jobs_in(study, tmp_path / "s")))
    assert count_states(status(folder, study))["done"] == 6
    list(Inline().execute(jobs_in(study, tmp_path / "t")))
    assert essences(study, tmp_path / "s") == essences(study, tmp_path / "t")


def test_a_second_process_on_the_same_run_is_turned_away(toy_study: Study, tmp_path: Path) -> None:
    study = add_own(
        toy_study, tmp_path, f"os.path.exists('{tmp_path}/go') or time.sleep(60); return view.unlabelled[:n]"
    )
    job = next(j for j in jobs_in(study, tmp_path / "s") if j.strategy.id == "mine")
    first, second = Local(1).execute([job]), Local(1).execute([job])
    assert isinstance(next(first), Update)
    assert [m.state for m in second if isinstance(m, Result)] == ["busy"]
    first.close()


def results_of(executor: Executor, jobs: list[Job]) -> list[Result]:
    return [m for m in executor.execute(jobs) if isinstance(m, Result)]


def record_of(job: Job) -> Record:
    return read(StudyFolder(job.study).run(job.run).events)


DIES_ONCE = (
    "os.path.exists('{0}/died') or (open('{0}/died', 'w').close(), os.kill(os.getpid(), signal.{1})); "
    "return view.unlabelled[:n]"
)


def own_job(study: Study, tmp_path: Path, body: str) -> Job:
    return next(j for j in jobs_in(add_own(study, tmp_path, body), tmp_path / "s") if j.strategy.id == "mine")


@pytest.mark.parametrize("retries", [0, 1])
def test_a_worker_killed_from_outside_is_kept_and_tried_again(retries: int, toy_study: Study, tmp_path: Path) -> None:
    job = own_job(toy_study, tmp_path, DIES_ONCE.format(tmp_path, "SIGKILL"))
    results = results_of(Local(1, Limits(retries=retries)), [job])
    assert [r.state for r in results] == ["done" if retries else "failed"]
    assert "SIGKILL" in record_of(job).of(FailureEvent)[0].message
    assert results_of(Local(1), [job])[0].state == "done"


def test_a_crash_of_the_strategy_is_not_tried_again_and_leaves_its_stack(toy_study: Study, tmp_path: Path) -> None:
    job = own_job(toy_study, tmp_path, DIES_ONCE.format(tmp_path, "SIGSEGV"))
    assert [r.state for r in results_of(Local(1), [job])] == ["failed"]
    failure = record_of(job).of(FailureEvent)[0]
    assert "SIGSEGV" in failure.message
    assert "Segmentation fault" in failure.details
    assert re.search(r"line 3 in mine", failure.details)


def test_a_hanging_run_ends_at_its_limit_with_all_it_started(toy_study: Study, tmp_path: Path) -> None:
    body = (
        "import subprocess; p = subprocess.Popen(['sleep', '600']); "
        f"open('{tmp_path}/pid', 'w').write(str(p.pid)); time.sleep(600)"
    )
    job = own_job(toy_study, tmp_path, body)
    results = results_of(Local(1, Limits(run_seconds=4.0)), [job])
    assert "an end within 4 s" in results[0].message
    assert len(record_of(job).of(FailureEvent)) == 1  # not tried again
    until = time.monotonic() + 5
    while time.monotonic() < until and psutil.pid_exists(int((tmp_path / "pid").read_text())):
        time.sleep(0.05)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_leaking_run_ends_at_its_limit(toy_study: Study, tmp_path: Path) -> None:
    job = own_job(toy_study, tmp_path, "hog = bytearray(3 * 2**30); time.sleep(600)")
    results = results_of(Local(1, Limits(memory_mib=2500.0)), [job])
    assert "at most 2500 MiB" in results[0].message
    assert "raise --memory" in record_of(job).of(FailureEvent)[0].message


def test_a_silent_worker_is_ended_and_tried_again(toy_study: Study, tmp_path: Path) -> None:
    job = own_job(toy_study, tmp_path, DIES_ONCE.format(tmp_path, "SIGSTOP"))
    assert [r.state for r in results_of(Local(1, Limits(silence_seconds=7.0)), [job])] == ["done"]
    assert "no sign of life" in record_of(job).of(FailureEvent)[0].message


def test_asked_to_stop_it_finishes_the_round_and_starts_nothing(toy_study: Study, tmp_path: Path) -> None:
    study = add_own(
        toy_study, tmp_path, f"open('{tmp_path}/in', 'w').close(); time.sleep(1.5); return view.unlabelled[:n]"
    )
    jobs = sorted(jobs_in(study, tmp_path / "s"), key=lambda j: j.strategy.id != "mine")
    stop = Stop()

    def ask_in_the_first_round() -> None:
        while not (tmp_path / "in").exists():
            time.sleep(0.02)
        stop.request()

    asking = threading.Thread(target=ask_in_the_first_round)
    asking.start()
    results = results_of(Local(1, stop=stop), jobs)
    asking.join()
    assert [(r.id, r.state) for r in results] == [("toy/mine/seed-0", "stopped")]
    assert len(record_of(jobs[0]).rounds) == 1
    assert not record_of(jobs[0]).of(FailureEvent)
    assert results_of(Inline(), jobs[:1])[0].state == "done"


def test_a_round_longer_than_the_grace_period_is_given_up(toy_study: Study, tmp_path: Path) -> None:
    job = own_job(toy_study, tmp_path, "time.sleep(600)")
    stop = Stop()
    for _ in Local(1, stop=stop).execute([job]):
        stop.request(0.5)
    record = record_of(job)
    assert not record.rounds
    assert not record.of(FailureEvent)  # an interruption, not a failure


def test_runs_are_spread_over_the_gpus(toy_study: Study, tmp_path: Path) -> None:
    study = add_own(
        toy_study,
        tmp_path,
        "print('gpu', os.environ['CUDA_VISIBLE_DEVICES']); time.sleep(1); return view.unlabelled[:n]",
    )
    jobs = [j for j in jobs_in(study, tmp_path / "s") if j.strategy.id == "mine"]
    assert [r.state for r in results_of(Local(2, gpus=("3", "5")), jobs)] == ["done", "done"]
    logs = sorted(
        next(line for line in log.read_text().splitlines() if line.startswith("gpu"))
        for log in tmp_path.rglob("run.log")
    )
    assert logs == ["gpu 3", "gpu 5"]


def test_no_further_run_starts_while_memory_is_missing(
    toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.executors.local.available_mib", lambda: 1.0)
    begun: list[str] = []
    local = Local(2)
    jobs = jobs_in(toy_study, tmp_path / "s")
    assert results_of(local, jobs[:1])[0].state == "done"  # now it knows how large a run is
    open_runs: set[str] = set()
    for message in local.execute(jobs[1:]):
        if isinstance(message, Update):
            open_runs.add(message.id)
            begun.append(message.id)
            assert len(open_runs) == 1
        else:
            open_runs.discard(message.id)
    assert len(set(begun)) == 3


def test_memory_of_a_container_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{300 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{250 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 7\ninactive_file {20 * MIB}\n")
    assert available_mib(tmp_path) == 70.0
    (tmp_path / "memory.max").write_text("max\n")
    assert available_mib(tmp_path) > 70.0


@pytest.mark.slow
def test_a_job_whose_processes_were_all_terminated_is_tried_again(toy_study: Study, tmp_path: Path) -> None:
    """As SLURM does when it preempts: the fork server, which alone would know how the run ended, is gone as well."""
    kill = "(os.kill(os.getppid(), signal.SIGTERM), time.sleep(0.3), os.kill(os.getpid(), signal.SIGTERM))"
    died = f"{tmp_path}/died"
    body = f"os.path.exists('{died}') or (open('{died}', 'w').close(), {kill}); return view.unlabelled[:n]"
    job = own_job(toy_study, tmp_path, body)
    assert [r.state for r in results_of(Local(1, Limits(retries=1)), [job])] == ["done"]
    assert "fork server" in record_of(job).of(FailureEvent)[0].message

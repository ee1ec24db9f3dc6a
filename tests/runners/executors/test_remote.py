"""Runs handed to a scheduler: what becomes of tasks that are lost, doubled, never started or asked to stop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import InputError
from protocol.record.chain import essence, read
from protocol.record.events import LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from runners.executors.base import Limits, Stop, Update
from runners.executors.config import read_config
from runners.executors.inline import Inline
from runners.executors.ray import RayBackend, use_driver_environment
from runners.executors.remote import Backend, FlagStop, Lost, Remote, Task, stop_flag
from runners.executors.slurm import SlurmBackend
from runners.progress.job import Job, Result
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, resolve

QUIETLY = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Schedulers leave processes of their own to the system."""


class Threads:
    """A scheduler of threads in this process, with an answer of its own for some tasks."""

    def __init__(self, room: int = 2, answers: Callable[[Task, int], Result | Lost | None] = lambda *_: None) -> None:
        self.room, self._answers = room, answers
        self.submitted: list[Task] = []
        self.cancelled: list[Any] = []
        self.most = 0
        self.closed = False

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        handles = []
        for task in tasks:
            self.submitted.append(task)
            said = self._answers(task, sum(t.job.id == task.job.id for t in self.submitted))
            box: list[Result | Lost] = [said] if said is not None else []
            thread = threading.Thread(target=self._work, args=(task, box))
            if said is None:
                thread.start()
            handles.append((thread, box))
        return handles

    def _work(self, task: Task, box: list[Result | Lost]) -> None:
        task.begun.touch()
        stop = FlagStop(stop_flag(task.desk))
        results = [m for m in Inline(stop).execute([task.job]) if isinstance(m, Result)]
        box.append(results[-1] if results else Result(task.job.id, "stopped"))

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:
        return handle[1][0] if handle[1] else None

    def cancel(self, handle: Any) -> None:
        self.cancelled.append(handle)

    def close(self) -> None:
        self.closed = True


def jobs_in(study: Study, path: Path) -> list[Job]:
    adopt(StudyFolder(path), study, path)
    return jobs(StudyFolder(path), study, None, "cpu", 1, planned_runs(study))


def essences(study: Study, path: Path) -> list[list[bytes]]:
    found = [read(StudyFolder(path).run(r.id).events) for r in planned_runs(study)]
    for record in found:
        bought = [index for event in record.of(LabelsEvent) for index in event.indices]
        assert len(bought) == len(set(bought))
    return [essence(record) for record in found]


def results_of(executor: Remote, work: Sequence[Job]) -> dict[str, Result]:
    results = [m for m in executor.execute(work) if isinstance(m, Result)]
    assert len({r.id for r in results}) == len(results)
    return {r.id: r for r in results}


@pytest.fixture
def undisturbed(toy_study: Study, tmp_path: Path) -> Iterator[list[list[bytes]]]:
    list(Inline().execute(jobs_in(toy_study, tmp_path / "alone")))
    return essences(toy_study, tmp_path / "alone")  # type: ignore[return-value]


def test_all_runs_are_made_and_equal_those_made_one_by_one(
    toy_study: Study, tmp_path: Path, undisturbed: list[list[bytes]]
) -> None:
    backend = Threads(room=3)
    messages = list(Remote(backend).execute(jobs_in(toy_study, tmp_path / "s")))
    assert sorted(m.state for m in messages if isinstance(m, Result)) == ["done"] * 4
    assert max(m.rounds for m in messages if isinstance(m, Update)) == 3
    assert essences(toy_study, tmp_path / "s") == undisturbed
    assert backend.closed
    assert not list((tmp_path / "s" / ".desk").iterdir())  # nothing is left of the call


def test_a_task_lost_with_its_machine_is_handed_over_again_and_waits_for_the_lock(
    toy_study: Study, tmp_path: Path, undisturbed: list[list[bytes]]
) -> None:
    first = "toy/random/seed-0"
    answers: dict[int, Result | Lost] = {
        1: Lost("the machine is gone"),
        2: Result(first, "busy", "another process holds it"),
    }
    backend = Threads(answers=lambda task, tries: answers.get(tries) if task.job.id == first else None)
    results = results_of(Remote(backend), jobs_in(toy_study, tmp_path / "s"))
    assert {r.state for r in results.values()} == {"done"}
    assert sum(t.job.id == first for t in backend.submitted) == 3
    assert essences(toy_study, tmp_path / "s") == undisturbed


def test_what_is_lost_too_often_fails_as_the_machines_fault_and_alone(toy_study: Study, tmp_path: Path) -> None:
    first = "toy/random/seed-0"
    backend = Threads(answers=lambda task, _: Lost("no answer") if task.job.id == first else None)
    results = results_of(Remote(backend, Limits(retries=1)), jobs_in(toy_study, tmp_path / "s"))
    assert (results[first].state, results[first].cause) == ("failed", "machine")
    assert "no answer" in results[first].message
    assert sum(t.job.id == first for t in backend.submitted) == 2
    assert sorted(r.state for r in results.values()) == ["done", "done", "done", "failed"]


def test_busy_is_an_answer_where_nothing_was_lost(toy_study: Study, tmp_path: Path) -> None:
    backend = Threads(answers=lambda task, _: Result(task.job.id, "busy", "held"))
    results = results_of(Remote(backend), jobs_in(toy_study, tmp_path / "s"))
    assert {r.state for r in results.values()} == {"busy"}


def test_asked_to_stop_it_hands_nothing_over_and_takes_back_what_has_not_begun(
    toy_study: Study, tmp_path: Path
) -> None:
    class Never(Threads):
        def submit(self, tasks: Sequence[Task]) -> list[Any]:
            self.submitted += tasks
            stop.request()
            return [(None, []) for _ in tasks]

    stop, backend = Stop(), Never(room=1)
    assert not results_of(Remote(backend, stop=stop), jobs_in(toy_study, tmp_path / "s"))
    assert (len(backend.submitted), len(backend.cancelled)) == (1, 1)


def test_asked_to_stop_a_task_under_way_finishes_its_round(toy_study: Study, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import time\ndef mine(view, n, rng):\n"
        f"    open('{tmp_path}/in', 'w').close(); time.sleep(1.5); return view.unlabelled[:n]\n"
    )
    spec = StrategySpec(name=f"{tmp_path}/own.py:mine", label="mine")
    study = resolve(toy_study.with_strategies((*toy_study.strategies, spec)), tmp_path)
    work = [j for j in jobs_in(study, tmp_path / "s") if j.strategy.id == "mine"][:1]
    stop = Stop()

    def ask() -> None:
        while not (tmp_path / "in").exists():
            time.sleep(0.02)
        stop.request()

    asking = threading.Thread(target=ask)
    asking.start()
    results = results_of(Remote(Threads(room=1), stop=stop), work)
    asking.join()
    assert [r.state for r in results.values()] == ["stopped"]
    assert len(read(StudyFolder(work[0].study).run(RunId("toy", "mine", work[0].seed)).events).rounds) == 1


def test_a_configuration_is_read_and_its_faults_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEATRANDOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_config().executor == "local"
    (tmp_path / "beatrandom").mkdir()
    file = tmp_path / "beatrandom" / "config.toml"
    file.write_text('executor = "slurm"\n[slurm]\nparameters = { timeout_min = 60 }\n')
    assert (read_config().executor, read_config().slurm.parameters) == ("slurm", {"timeout_min": 60})
    file.write_text('executor = "cloud"\n[ray]\ngpus = -1\n')
    with pytest.raises(InputError) as faults:
        read_config()
    assert {fault.where.split(": ")[-1] for fault in faults.value.faults} == {"executor", "ray.gpus"}


def test_what_is_missing_for_a_scheduler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="the extra slurm is not installed: uv sync --extra slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="sbatch"):
        SlurmBackend(tmp_path, 1)
    with pytest.raises(InputError, match="slurm_partitio"):
        SlurmBackend(tmp_path, 1, cluster="local", parameters={"slurm_partitio": "x"})


@pytest.fixture(params=["ray", "submitit"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "submitit":
        pytest.importorskip("submitit", reason="the extra slurm is not installed: uv sync --extra slurm")
        yield SlurmBackend(tmp_path / "submitit", 1, 2, cluster="local", parameters={"timeout_min": 5})
        return
    use_driver_environment()
    pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
    yield RayBackend(1, 2)


@QUIETLY
@pytest.mark.slow
def test_a_real_scheduler_makes_the_same_records(
    backend: Backend, toy_study: Study, tmp_path: Path, undisturbed: list[list[bytes]]
) -> None:
    results = results_of(Remote(backend), jobs_in(toy_study, tmp_path / "s"))
    assert {r.state for r in results.values()} == {"done"}
    assert essences(toy_study, tmp_path / "s") == undisturbed


@pytest.mark.parametrize("given", [None, "1"])
def test_workers_of_ray_run_in_the_environment_of_their_driver(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray reads it while it is imported; who wants an environment a worker may say so."""
    name, seen = "RAY_ENABLE_UV_RUN_RUNTIME_ENV", list[str | None]()

    def imports(_: str) -> None:
        seen.append(os.environ.get(name))
        raise ImportError

    monkeypatch.setenv(name, "1")
    if given is None:
        monkeypatch.delenv(name)
    monkeypatch.setattr("runners.executors.ray.importlib.import_module", imports)
    with pytest.raises(InputError, match="not installed"):
        RayBackend(1)
    assert seen == [given or "0"]

"""Trials are progress: executors report them, and the bar counts them.

The time left follows from the work that was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from protocol.record.chain import Record, essence, read
from protocol.record.events import TrialEvent
from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.executors import remote
from runners.executors.base import Executor, Limits, Update
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.progress.job import Job, Result, Stopped
from runners.progress.plan import planned_runs
from runners.progress.status import RunStatus, adopt
from runners.progress.status import jobs as jobs_of
from runners.run.perform import perform
from runners.terminal.progress_bar import Left, Tally
from runners.verbs.running.live import study_page
from tests.support.front_door import beatrandom

TABLE: dict[str, Any] = {
    "name": "toy",
    "seeds": [0],
    "strategies": [{"name": "random"}, {"name": "margin"}],
    "protocols": [
        {
            "name": "toy",
            "data": {"name": "digits"},
            "splits": {"test_size": 200, "validation_size": 24, "validation_counted": False},
            "budgets": [20, 30, 45],
            "model": {"name": "small-cnn", "width": 4},
            "regime": {
                "name": "plain",
                "epochs": 4,
                "batch_size": 16,
                "optimizer": {"name": "adam", "lr": 0.01},
                "tuning": {
                    "policy": "every-round",
                    "trials": 3,
                    "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "scale": "log"}},
                },
            },
        }
    ],
}
FAR = [(rounds, trials) for rounds in range(3) for trials in range(4)] + [(3, 0)]
"""All that one run tells, in order."""


@pytest.fixture
def tuned() -> Study:
    """Three trials before each of three rounds, for random and margin: 24 trainings."""
    return parse(Study, TABLE, "toy")


def work_in(path: Path, study: Study) -> list[Job]:
    adopt(StudyFolder(path), study, path)
    return jobs_of(StudyFolder(path), study, None, "cpu", 1, planned_runs(study))


def record_of(job: Job) -> Record:
    return read(StudyFolder(job.study).run(job.run).events)


@pytest.mark.parametrize("executor", [Inline(), Local(1)], ids=["inline", "local"])
def test_executors_tell_of_trials(executor: Executor, tuned: Study, tmp_path: Path) -> None:
    job = work_in(tmp_path / "s", tuned)[0]
    updates = [m for m in executor.execute([job]) if isinstance(m, Update)]
    assert updates == [Update(job.id, *far) for far in FAR]


def test_drivers_of_other_machines_read_them_off_the_record(tuned: Study, tmp_path: Path) -> None:
    job = work_in(tmp_path / "s", tuned)[0]
    item = remote._Running(remote.Task(job, Limits(), tmp_path, 0), None)
    assert list(remote._progress(item)) == []
    told: list[tuple[int, int]] = []

    def tells(*far: int) -> None:
        assert list(remote._progress(item)) == [Update(job.id, *far)]
        assert list(remote._progress(item)) == []
        told.append((far[0], far[1]))

    assert perform(job, tells).state == "done"
    assert told == FAR


def test_asked_to_stop_between_trials_it_goes_on_from_there(tuned: Study, tmp_path: Path) -> None:
    job, alone = (work_in(tmp_path / name, tuned)[1] for name in ("a", "b"))

    def stop(*far: int) -> None:
        if far == (1, 2):
            raise Stopped

    assert perform(job, stop).state == "stopped"
    assert (len(record_of(job).rounds), len(record_of(job).of(TrialEvent))) == (1, 3 + 2)
    assert [r.state for r in Inline().execute([job, alone]) if isinstance(r, Result)] == ["done", "done"]
    assert essence(record_of(job)) == essence(record_of(alone))


def statuses(study: Study, *far: tuple[int, int]) -> list[RunStatus]:
    return [
        RunStatus(run, "partial", rounds, 0, trials=trials)
        for run, (rounds, trials) in zip(planned_runs(study), far, strict=True)
    ]


def test_work_is_counted_by_steps_of_rounds_and_trials(tuned: Study, tmp_path: Path) -> None:
    """Trainings of the rounds take 8, 8 and 12 steps, so that a run takes 4 * 28 = 112."""
    work = work_in(tmp_path / "s", tuned)
    tally = Tally(work, statuses(tuned, (0, 0), (1, 2)), [10.0, 30.0])
    before = 30 * (4 * 8 + 2 * 8) / 112
    assert tally.before == pytest.approx(before)
    assert tally.label == "6/24 trainings"
    tally.take(Update(work[0].id, 0, 2))
    assert tally.label == "8/24 trainings"
    assert tally.bar == pytest.approx({"completed": before + 10 * 16 / 112, "total": 40.0})
    tally.take(Result(work[0].id, "failed"))
    assert tally.label == "8/14 trainings"
    assert tally.bar == pytest.approx({"completed": before + 10 * 16 / 112, "total": 30 + 10 * 16 / 112})
    tally.take(Result(work[1].id, "stopped"))
    assert tally.label == "8/14 trainings"
    tally.take(Result(work[1].id, "done"))
    assert tally.label == "14/14 trainings"
    assert tally.bar["completed"] == pytest.approx(tally.bar["total"])


def test_without_trials_rounds_are_counted(toy_study: Study, tmp_path: Path) -> None:
    one = toy_study.model_copy(update={"seeds": (0,)})
    tally = Tally(work_in(tmp_path / "s", one), statuses(one, (1, 0), (2, 0)), [3.0, 9.0])
    assert tally.label == "3/6 rounds"
    assert tally.bar == pytest.approx({"completed": 1 + 6, "total": 12})


def left(times: Sequence[tuple[float, float]], total: float, before: float) -> list[str]:
    """What the column says after each (seconds since the start, work completed by then)."""
    now, said, column = [0.0], list[str](), Left()
    with Progress(column, get_time=lambda: now[0], auto_refresh=False, disable=True) as bar:
        task = bar.add_task("", total=total, completed=before, before=before)  # type: ignore[arg-type]  # floats count too
        for now[0], completed in times:
            bar.update(task, completed=completed)
            said.append(column.render(bar.tasks[0]).plain)
    return said


def test_the_time_left_follows_from_the_work_since_the_start() -> None:
    """However far apart the ends of trainings are, and however many come at once."""
    assert left([(50, 20), (100, 25), (100.1, 30), (4000, 100)], 100, 20) == [
        "-:--:--",
        "0:25:00",
        "0:11:41",
        "0:00:00",
    ]


def test_the_page_of_a_study_says_what_is_being_tried(tuned: Study, tmp_path: Path) -> None:
    job, pages = work_in(tmp_path / "s", tuned)[0], list[str]()
    perform(job, lambda *far: pages.append(study_page(StudyFolder(job.study))) if far == (1, 2) else None)
    assert "toy/random/seed-0: round 1, 2 of 3 settings tried" in pages[0]


def test_run_says_how_many_trainings_there_were(tuned: Study, tmp_path: Path) -> None:
    work_in(tmp_path / "s", tuned)
    said = beatrandom("run", "s", "--executor", "inline", cwd=tmp_path).stdout
    assert "2/2 runs" in said
    assert "24/24 trainings" in said

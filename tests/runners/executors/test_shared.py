"""Runs that another process makes are waited for, taken over or left to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from protocol.record.chain import lock_run
from protocol.record.events import FailureEvent, ResumeEvent
from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from runners.executors import shared
from runners.executors.base import Stop
from runners.executors.inline import Inline
from runners.executors.shared import Shared
from runners.progress.job import Job, Result
from tests.support.conformance import ACCIDENTS, ended, equal_undisturbed, jobs_in, record_of, with_mine


class Another:
    """Another process that holds the run of `mine`, and what it does while it is waited for."""

    def __init__(self, toy: Study, tmp_path: Path) -> None:
        self.study = with_mine(toy.model_copy(update={"seeds": (0,)}), tmp_path)
        self.place = tmp_path / "a"
        self.work: list[Job] = jobs_in(self.place / "s", self.study)
        self.stop, self.told, self.again = Stop(), list[int](), 0
        self._held = ExitStack()

    def shared_with(self, does: Callable[[], object]) -> list[Result]:
        job = self.work[0]
        with self._held:
            self._held.enter_context(lock_run(StudyFolder(job.study).run(job.run)))

            def waiting(runs: int) -> None:
                self.told.append(runs)
                does()

            def again() -> Inline:
                self.again += 1
                return Inline()

            return [m for m in Shared(Inline(), again, self.stop, waiting).execute(self.work) if isinstance(m, Result)]

    def lets_go(self) -> None:
        self._held.close()

    def makes_it(self) -> None:
        self.lets_go()
        ended(Inline(), self.work[:1])

    def fails(self) -> None:
        (self.place / "accident").write_text(ACCIDENTS["raises"])
        self.makes_it()


@pytest.fixture
def another(toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Another:
    monkeypatch.setattr(shared, "LOOK_SECONDS", 0.02)
    return Another(toy_study, tmp_path)


def test_what_another_process_makes_is_answered_for(another: Another, tmp_path: Path) -> None:
    results = another.shared_with(another.makes_it)
    assert [(r.id, r.state) for r in results] == [("toy/random/seed-0", "done"), ("toy/mine/seed-0", "done")]
    assert (another.told, another.again) == ([1], 0)
    equal_undisturbed(another.work, another.study, tmp_path / "b")
    assert not record_of(another.work[0]).of(ResumeEvent)


def test_what_it_leaves_unfinished_is_made_here(another: Another, tmp_path: Path) -> None:
    results = another.shared_with(another.lets_go)
    assert [r.state for r in results] == ["done", "done"]
    assert another.again == 1
    equal_undisturbed(another.work, another.study, tmp_path / "b")


def test_what_fails_there_has_failed_and_is_not_tried_again(another: Another) -> None:
    results = another.shared_with(another.fails)
    assert [r.state for r in results] == ["done", "failed"]
    assert "no idea" in results[1].message
    assert another.again == 0
    assert len(record_of(another.work[0]).of(FailureEvent)) == 1


def test_asked_to_stop_it_is_left_to_the_other(another: Another) -> None:
    results = another.shared_with(another.stop.request)
    assert [(r.id, r.state) for r in results] == [("toy/random/seed-0", "done")]
    assert another.again == 0

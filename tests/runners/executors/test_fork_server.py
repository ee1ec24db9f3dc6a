"""The fork server dies while a run is being started: another one takes its place."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil
import pytest

from protocol.record.events import FailureEvent
from protocol.spec.study import Study
from runners.executors import local, worker
from runners.executors.base import Limits
from runners.executors.local import Local
from runners.machine.fork_server import server_pid, warm_up
from runners.progress.job import Result
from tests.support.conformance import ended, finishes_undisturbed, jobs_in, record_of, with_mine

SERVER: Any = forkserver._forkserver


def kill_the_server() -> None:
    """It is gone when this returns, what it had forked has another parent, and nobody has been told."""
    process = psutil.Process(server_pid())
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE or process.children():
        time.sleep(0.01)


def once(accident: Callable[[], None], around: Callable[..., Any], *, first: bool) -> Callable[..., Any]:
    """The function, with an accident before or after its first call."""
    left = [accident]

    def called(*given: Any) -> Any:
        if first and left:
            left.pop()()
        result = around(*given)
        if left:
            left.pop()()
        return result

    return called


def between(moment: str, patch: pytest.MonkeyPatch) -> None:
    """Let the server die at a moment of the next start."""
    if moment == "before it is asked":
        patch.setattr(SERVER, "ensure_running", once(kill_the_server, SERVER.ensure_running, first=False))
    elif moment == "before it answers":
        patch.setattr(
            SERVER,
            "ensure_running",
            once(lambda: os.kill(server_pid(), signal.SIGSTOP), SERVER.ensure_running, first=False),
        )
        patch.setattr(forkserver, "read_signed", once(kill_the_server, forkserver.read_signed, first=True))
    else:
        patch.setattr(forkserver, "read_signed", once(kill_the_server, forkserver.read_signed, first=False))


MOMENTS = [
    "before it answers",
    *(pytest.param(m, marks=pytest.mark.slow) for m in ("before it is asked", "after it has answered")),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_is_killed_while_a_run_is_started(
    moment: str, toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = with_mine(toy_study, tmp_path)
    work = jobs_in(tmp_path / "a" / "s", study)
    warm_up()
    with monkeypatch.context() as patch:
        between(moment, patch)
        results = ended(Local(1, Limits(retries=int(moment == "after it has answered"))), work)
    assert [r.state for r in results] == ["done", "done"], results
    finishes_undisturbed(Local(1), work, study, tmp_path / "b")


def test_a_machine_that_gives_no_process_fails_the_run_as_a_machine_does(
    toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = jobs_in(tmp_path / "a" / "s", with_mine(toy_study, tmp_path))
    asked: list[int] = []

    def refuses() -> None:
        asked.append(1)
        raise EOFError if len(asked) == 1 else OSError(24, "Too many open files")

    monkeypatch.setattr(SERVER, "ensure_running", refuses)
    results = [m for m in Local(2, Limits(retries=1)).execute(work[:1]) if isinstance(m, Result)]
    assert len(asked) == 2 * local.STARTS
    assert [(r.state, r.cause) for r in results] == [("failed", "machine")]
    assert "a new process for the run" in results[0].message
    assert "Too many open files" in results[0].message
    monkeypatch.undo()
    assert [r.state for r in ended(Local(1), work[:1])] == ["done"]
    assert not record_of(work[0]).of(FailureEvent)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_a_run_whose_server_died_before_it_looked_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, told = os.pipe()
    server_id = os.fork()
    if not server_id:
        monkeypatch.setattr(worker, "_LOADER", os.getpid())
        if not os.fork():
            while os.getppid() == worker._LOADER:
                time.sleep(0.01)
            worker._end_with_the_server()
            os.write(told, b"it lives on")
        os._exit(0)
    os.waitpid(server_id, 0)
    os.close(told)
    assert os.read(ours, 100) == b""
    os.close(ours)

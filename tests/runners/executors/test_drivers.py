"""Drivers that are killed, asked to stop, started twice or moved in time: repeating the command finishes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from protocol.errors import RunLocked
from protocol.record.events import FailureEvent, ResumeEvent
from protocol.record.layout import RunFolder, StudyFolder
from protocol.record.machine_lock import claim_run
from protocol.spec.study import Study
from runners.progress.job import Job
from tests.support.conformance import (
    DYING,
    QUIETLY,
    end_ray,
    equal_undisturbed,
    jobs_in,
    record_of,
    start_ray_once,
    with_mine,
)
from tests.support.drivers import CONFIG, NOHUP, WallClock, driving, in_a_terminal, wait_until
from tests.support.front_door import beatrandom

SLOWLY = [pytest.param(name, marks=(pytest.mark.slow, QUIETLY)) for name in ("inline", "local", "ray", "slurm")]
MOSTLY_SLOWLY = ["inline", *SLOWLY[1:]]
OF_THE_STUDY = {"ENV-01", "STA-01", "TRN-05", "CMP-06"}
"""Rules that a study of one seed breaks whatever happens to its drivers, and the note that there were interruptions."""
TOLD_SECONDS = 4.0
"""By then the run knows that its driver was asked to stop: drivers and tasks look every half second."""


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    """Drivers over Ray join one that this process starts; it ends with the module."""
    yield
    end_ray()


def over(name: str) -> list[str]:
    """The executor, and further words of the command: where the Ray is that runs already."""
    start_ray_once(name)
    return [name, "--address", sys.modules["ray"].get_runtime_context().gcs_address] if name == "ray" else [name]


class Here:
    """A study of one run that can be held in its second round, and one of the baseline, in folders of a test."""

    def __init__(self, toy: Study, tmp_path: Path) -> None:
        self.study = with_mine(toy.model_copy(update={"seeds": (0,), "strategies": toy.strategies[:1]}), tmp_path)
        self.place, self._elsewhere = tmp_path / "a", tmp_path / "b"
        self.folder = self.place / "s"
        self.work: list[Job] = jobs_in(self.folder, self.study)
        (self.place / "config.toml").write_text(CONFIG)

    def hold(self) -> None:
        (self.place / "hold").touch()

    def let_go(self) -> None:
        (self.place / "hold").unlink()

    @property
    def run_folder(self) -> RunFolder:
        """Of the run that can be held."""
        job = self.work[0]
        return StudyFolder(job.study).run(job.run)

    def inside(self) -> bool:
        """Whether the run is in its second round."""
        return bool(self.process())

    def process(self) -> int:
        """Of that run."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.place / "inside").read_text())
        return 0

    def again(self, executor: str) -> None:
        """The same command once more finishes, and its records are as they should be."""
        said = beatrandom("run", str(self.folder), "--jobs", "2", "--executor", *over(executor), cwd=self.place)
        assert "All runs are done" in said.stdout, said
        self.is_as_undisturbed()

    def is_as_undisturbed(self, known: AbstractSet[str] = frozenset()) -> None:
        equal_undisturbed(self.work, self.study, self._elsewhere)
        said = json.loads(beatrandom("check", str(self.folder), "--json", cwd=self.place, check=None).stdout)
        assert {rule["id"] for rule in said["rules"] if rule["answer"] == "broken"} <= OF_THE_STUDY | known


@pytest.fixture
def here(toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setenv("BEATRANDOM_CONFIG", str(tmp_path / "a" / "config.toml"))
    return Here(toy_study, tmp_path)


@pytest.mark.parametrize("name", MOSTLY_SLOWLY)
def test_a_driver_that_is_killed(name: str, here: Here) -> None:
    here.hold()
    with driving(here.folder, *over(name)) as driver:
        wait_until(here.inside, driver)
        driver.remember(*([] if name == "inline" else [here.process()]))
        driver.send(signal.SIGKILL)
        assert driver.code() == -signal.SIGKILL
        if name != "slurm":  # whose jobs outlive who submitted them
            assert not driver.survivors()
        here.let_go()
        here.again(name)
        assert not driver.survivors()


HANGING = "import ctypes; (HERE / 'inside').write_text(str(os.getpid())); ctypes.PyDLL(None).sleep(600)"
"""In C, without giving Python up: no thread of the process runs on."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_a_driver_that_is_killed_while_a_run_hangs_beyond_python(here: Here) -> None:
    (here.place / "accident").write_text(HANGING)
    with driving(here.folder, "local") as driver:
        wait_until(here.inside, driver)
        driver.remember(here.process())
        driver.send(signal.SIGKILL)
        assert not driver.survivors()
    here.again("local")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("name", SLOWLY)
def test_a_driver_that_is_asked_to_stop(name: str, how: signal.Signals, here: Here) -> None:
    here.hold()
    with driving(here.folder, *over(name)) as driver:
        wait_until(here.inside, driver)
        driver.remember(*([] if name == "inline" else [here.process()]))
        driver.send(how)
        wait_until(lambda: "stopping after the current rounds" in driver.said(), driver)
        time.sleep(TOLD_SECONDS)
        here.let_go()
        assert driver.code() == 130, driver.said()
        assert "same command continues" in driver.said()
        assert len(record_of(here.work[0]).rounds) == 2  # the round under way was finished, the last one not begun
        assert not driver.survivors()
        here.again(name)


@pytest.mark.parametrize("name", SLOWLY)
def test_a_driver_whose_terminal_is_closed(name: str, here: Here) -> None:
    here.hold()
    with in_a_terminal(here.folder, *over(name)) as (driver, terminal):
        wait_until(here.inside, driver)
        driver.remember(*([] if name == "inline" else [here.process()]))
        terminal.close()
        if name != "slurm":  # whose jobs are of another machine; those that play it are of the driver's group
            driver.send_to_all(signal.SIGHUP)  # as the system does as well once the shell has ended
        time.sleep(TOLD_SECONDS)
        here.let_go()
        assert driver.code() == 130, driver.said()
        assert len(record_of(here.work[0]).rounds) == 2
        assert not record_of(here.work[0]).of(FailureEvent)
        assert not driver.survivors()
        here.again(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inline", "local"])
def test_a_driver_under_nohup(name: str, here: Here) -> None:
    here.hold()
    with driving(here.folder, name, first=NOHUP) as driver:
        wait_until(here.inside, driver)
        driver.send_to_all(signal.SIGHUP)
        os.kill(here.process(), signal.SIGHUP)
        time.sleep(TOLD_SECONDS)
        here.let_go()
        assert driver.code() == 0, driver.said()
    here.is_as_undisturbed()
    assert not record_of(here.work[0]).of(ResumeEvent)


@pytest.mark.parametrize("name", SLOWLY)
def test_a_driver_that_is_told_twice_to_stop(name: str, here: Here) -> None:
    here.hold()
    with driving(here.folder, *over(name)) as driver:
        wait_until(here.inside, driver)
        driver.remember(*([] if name == "inline" else [here.process()]))
        driver.send(signal.SIGTERM)
        wait_until(lambda: "stopping after the current rounds" in driver.said(), driver)
        driver.send(signal.SIGTERM)
        assert driver.code(30) == 130, driver.said()
        assert len(record_of(here.work[0]).rounds) == 1
        assert not driver.survivors()
        here.let_go()
        here.again(name)


@pytest.mark.slow
@pytest.mark.parametrize("accident", DYING)
def test_a_strategy_that_takes_an_inline_driver_with_it(accident: str, here: Here) -> None:
    """Which has no process of its own to lose; told to end by its own strategy, it finishes the round."""
    (here.place / "accident").write_text(DYING[accident])
    with driving(here.folder, "inline") as driver:
        ends = {"exits": 3, "segfault": -signal.SIGSEGV, "killed": -signal.SIGKILL, "terminated": 130}
        assert driver.code() == ends[accident], driver.said()
    here.again("inline")


PAIRS = [
    ("inline", "local"),
    ("local", "local"),
    ("local", "ray"),
    ("ray", "ray"),
    ("slurm", "slurm"),
    ("ray", "slurm"),
    ("slurm", "inline"),
]


@pytest.mark.slow
@QUIETLY
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_drivers_at_once(one: str, other: str, here: Here) -> None:
    """The second finds a run that the first is making, makes the rest and waits for it."""
    here.hold()
    with driving(here.folder, *over(one)) as first:
        wait_until(here.inside, first)
        with driving(here.folder, *over(other)) as second:
            wait_until(lambda: "being made by another process; waiting" in second.said(), first, second)
            here.let_go()
            assert (first.code(), second.code()) == (0, 0), first.said() + second.said()
    assert "All runs are done" in first.said()
    assert "All runs are done" in second.said()
    here.is_as_undisturbed()
    assert not record_of(here.work[0]).of(ResumeEvent)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inline", "local"])
def test_what_another_driver_leaves_unfinished_is_taken_over(name: str, here: Here) -> None:
    here.hold()
    with driving(here.folder, "local") as first:
        wait_until(here.inside, first)
        with driving(here.folder, *over(name)) as second:
            wait_until(lambda: "being made by another process; waiting" in second.said(), first, second)
            first.remember(here.process())
            first.send(signal.SIGKILL)
            assert not first.survivors()
            here.let_go()
            assert second.code() == 0, second.said()
    here.is_as_undisturbed()
    assert len(record_of(here.work[0]).of(ResumeEvent)) == 1


DAYS = 86_400


@pytest.mark.parametrize("days", [3, -3])
@pytest.mark.parametrize("name", SLOWLY)
def test_a_clock_that_jumps(name: str, days: int, here: Here, tmp_path: Path) -> None:
    """Move the clock of driver and run at once, and that of the disk.

    The stamps on the disk then make the run's claim look as old to other machines.
    """
    here.hold()
    clock = WallClock(tmp_path)
    with driving(here.folder, name, env=clock.env) as driver:
        wait_until(here.inside, driver)
        clock.move(days * DAYS)
        claims = here.run_folder.claims
        for claim in claims.iterdir():
            stamp = time.time() - days * DAYS
            os.utime(claim, (stamp, stamp))
        with pytest.raises(RunLocked), claim_run(claims, "another machine"):
            pass
        here.let_go()
        assert driver.code() == 0, driver.said()
    times = [event.time for event in record_of(here.work[0]).events]
    jumps = [datetime.fromisoformat(b) - datetime.fromisoformat(a) for a, b in pairwise(times)]
    assert any(abs(jump - timedelta(days=days)) < timedelta(hours=1) for jump in jumps)  # the run did see it
    here.is_as_undisturbed({"QRY-05"} if days < 0 else set())

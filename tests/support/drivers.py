"""The real `beatrandom run` in its own process, over any executor: killed, stopped, started twice, or moved in time."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

CONFIG = '[slurm]\ncluster = "local"\nparameters = { timeout_min = 10 }\n'
"""SLURM is played by submitit's local executor."""
PATIENCE_SECONDS = 240.0


@dataclass
class Driver:
    """Running driver; its output is written to a file."""

    process: subprocess.Popen[bytes]
    log: Path
    family: list[psutil.Process] = field(default_factory=list)
    """What `remember` found."""

    def remember(self, *others: int) -> None:
        """Note the processes that must end with the driver: its descendants and `others`."""
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        self.family += [psutil.Process(pid) for pid in others]

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def send(self, how: signal.Signals) -> None:
        """Send a signal to the driver process alone."""
        self.process.send_signal(how)

    def send_to_all(self, how: signal.Signals) -> None:
        """Send a signal to the driver's process group, as shells, `timeout` and schedulers do."""
        os.killpg(self.process.pid, how)

    def code(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Return the exit code, negative for a signal. Fails the test if the driver does not end within `seconds`."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the driver has not ended within {seconds:.0f} s\n{self.said()}") from None
        assert "Traceback" not in self.said(), self.said()
        return code

    def survivors(self, seconds: float = 30.0) -> list[psutil.Process]:
        """Return the driver's processes that are still alive after the given time."""
        until = time.monotonic() + seconds
        while (alive := [process for process in self.family if lives(process)]) and time.monotonic() < until:
            time.sleep(0.05)
        return alive


def lives(process: psutil.Process) -> bool:
    """Return whether a process is alive. A zombie is not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


NOHUP = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
OWN_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"


def command(study: Path, executor: str, *more: str, first: str = "pass") -> list[str]:
    code = f"{first}; from runners.cli import main; main()"
    return [sys.executable, "-c", code, "run", str(study), "--executor", executor, "--jobs", "2", *more]


class Terminal:
    """Terminal that writes what it shows to a file until it is closed."""

    def __init__(self, log: Path) -> None:
        self._window, self.inside = os.openpty()
        self.log, self._closing = log, threading.Event()
        self._shows = threading.Thread(target=self._show)
        self._shows.start()

    def _show(self) -> None:
        with self.log.open("ab", buffering=0) as log:
            while not self._closing.is_set():
                if select.select([self._window], [], [], 0.05)[0]:
                    try:
                        log.write(os.read(self._window, 4096))
                    except OSError:  # nobody holds the other side any more
                        break
        os.close(self._window)

    def close(self) -> None:
        """Close the terminal: the system signals the driver and refuses further output."""
        self._closing.set()
        self._shows.join()


@contextmanager
def in_a_terminal(study: Path, executor: str, *more: str) -> Iterator[tuple[Driver, Terminal]]:
    """Start a driver from a terminal."""
    terminal = Terminal(study.parent / f"terminal-{time.monotonic_ns()}.log")
    try:
        with driving(study, executor, *more, first=OWN_TERMINAL, terminal=terminal) as driver:
            yield driver, terminal
    finally:
        terminal.close()


@contextmanager
def driving(
    study: Path,
    executor: str,
    *more: str,
    env: Mapping[str, str] | None = None,
    first: str = "pass",
    terminal: Terminal | None = None,
) -> Iterator[Driver]:
    """Start a driver on a study's folder; at the end it is gone, with everything it started.

    Args:
        first: a statement that is run before all else.
        terminal: its standard streams, instead of a file.
    """
    place = study.parent
    config = place / "config.toml"
    config.write_text(CONFIG)
    log = place / f"driver-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(study, executor, *more, first=first),
            cwd=place,
            env=os.environ | {"BEATRANDOM_CONFIG": str(config)} | dict(env or {}),
            stdin=terminal.inside if terminal else None,
            stdout=terminal.inside if terminal else out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if terminal:
        os.close(terminal.inside)
        log = terminal.log
    driver = Driver(process, log)
    try:
        yield driver
    finally:
        if process.poll() is None:
            driver.remember()
            process.kill()
            process.wait()
        for left in driver.family:
            if lives(left):
                left.kill()


class WallClock:
    """Time that processes started with `env` read from the system clock; `move` shifts it.

    It skips the test without a C compiler or on another system.
    """

    def __init__(self, place: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("moving the clock under a process needs Linux and a C compiler (cc)")
        library, self._shift = place / "clock.so", place / "clock"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        self._shift.write_text("0")
        self.env = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._shift)}

    def move(self, seconds: int) -> None:
        draft = self._shift.with_suffix(".draft")
        draft.write_text(str(seconds))
        draft.rename(self._shift)


def wait_until(there: Callable[[], bool], *drivers: Driver, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that happens while drivers run; one that ends before fails the test, with what it said."""
    until = time.monotonic() + seconds
    while not there():
        for driver in drivers:
            assert driver.process.poll() is None, driver.said()
        assert time.monotonic() < until, "\n".join(driver.said() for driver in drivers)
        time.sleep(0.02)

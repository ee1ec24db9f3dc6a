"""Server of strategies: a process that has loaded what strategies use, and no label, and forks one process per round.

In a worker it is forked before the data are loaded (`fork_now`). Elsewhere it comes from the fork server (`start`),
because the calling process may hold labels.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from typing import Any, Final

import psutil

from runners.confine import kernel
from runners.confine.child import descriptors_but, live
from runners.confine.wire import ChannelClosed
from runners.machine.fork_server import context, thread_caps, without_main_module

LOOK_SECONDS: Final = 0.25
"""Time between two looks at the memory and the processes of a round."""
MOST_PROCESSES: Final = 256
MEMORY_SHARE: Final = 0.8
"""Share of the machine's memory that a strategy's processes may hold together."""
_PATIENCE_S: Final = 300.0
_GRACE_S: Final = 10.0
_CLOSING_S: Final = 2.0
"""Time for which a process that closed its connection is awaited, to learn how it ends."""


@dataclass
class RoundProcess:
    """The process of one round, as its run sees it.

    Attributes:
        channel: connection to it.
        pid: its process id.
    """

    channel: socket.socket
    pid: int


class StrategyServer:
    """Connection to a server of strategies. One round at a time.

    Args:
        control: connection to the server's process.
        pid: its process id; 0 if another process reaps it.
    """

    def __init__(self, control: socket.socket, pid: int = 0) -> None:
        self._control, self._pid = control, pid

    @classmethod
    def fork_now(cls) -> StrategyServer:
        """Fork the server from this process, which must have one thread and no label yet."""
        ours, theirs = socket.socketpair()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            try:
                kernel.end_with(parent, signal.SIGKILL)
                serve(theirs)
            finally:
                os._exit(0)
        theirs.close()
        return cls(ours, pid)

    @classmethod
    def start(cls) -> StrategyServer:
        """Start the server from the fork server.

        Raises:
            OSError: no process could be started.
        """
        ours, theirs = socket.socketpair()
        with theirs, thread_caps(1), without_main_module():
            # a daemon: a process that ends must not wait for its server, which waits for it
            context().Process(target=_served, args=(theirs,), name="strategies", daemon=True).start()
        return cls(ours)

    def begin(self) -> RoundProcess:
        """Start the process of a round.

        Raises:
            ChannelClosed: the server ended.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"R"], [theirs.fileno()])
            return RoundProcess(ours, int(self._answer()["pid"]))
        except (OSError, ValueError) as error:
            ours.close()
            raise ChannelClosed(f"the server of strategies ended ({error})") from None

    def end(self, process: RoundProcess, *, gone: bool = False) -> str:
        """End the process and all that it started; return how it had ended by itself, else empty text.

        Args:
            process: the process.
            gone: whether it closed its connection, so that it is probably about to end by itself.
        """
        process.channel.close()
        try:
            self._control.sendall(b"G" if gone else b"E")
            return str(self._answer()["how"])
        except (OSError, ValueError):
            return "with the server of strategies"

    def _answer(self) -> dict[str, Any]:
        self._control.settimeout(_PATIENCE_S)
        text = b""
        while not text.endswith(b"\n"):
            part = self._control.recv(4096)
            if not part:
                raise OSError("no answer")
            text += part
        answer: dict[str, Any] = json.loads(text)
        return answer

    def close(self) -> None:
        """End the server and all that it started."""
        self._control.close()
        if self._pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0


@contextlib.contextmanager
def strategy_server() -> Iterator[StrategyServer]:
    """Open a server from the fork server, and close it."""
    server = StrategyServer.start()
    try:
        yield server
    finally:
        server.close()


def _served(control: socket.socket) -> None:
    """Serve in a process of the fork server."""
    multiprocessing.process.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # strategies may start processes
    serve(control)
    os._exit(0)


def serve(control: socket.socket) -> None:
    """Fork rounds on request until the control connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when to stop
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for descriptor in list(descriptors_but(control.fileno())):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    forget_helpers()
    kernel.adopt_orphans()
    gc.collect()
    gc.freeze()  # keeps pages shared with the forked processes
    round_: _Round | None = None
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([control], [], [], LOOK_SECONDS if round_ and not round_.over else None)
            if not ready:
                if round_:
                    round_.look()
                continue
            request, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not request:
                break
            if request == b"R":
                round_ = _Round.fork(control, descriptors[0])
                answer: dict[str, Any] = {"pid": round_.pid}
            else:
                answer = {"how": round_.end(_CLOSING_S if request == b"G" else 0.0) if round_ else ""}
                round_ = None
            control.sendall(json.dumps(answer).encode() + b"\n")
    end_descendants()


def forget_helpers() -> None:
    """Forget multiprocessing's helper processes, whose connections are closed: a strategy starts its own."""
    tracker: Any = resource_tracker._resource_tracker  # no public name for it
    tracker._fd = tracker._pid = None
    forks: Any = forkserver._forkserver  # as above
    forks._forkserver_address = forks._forkserver_alive_fd = forks._forkserver_pid = None


class _Round:
    """A forked round in the server's process."""

    def __init__(self, pid: int) -> None:
        self.pid, self.over, self._how = pid, False, ""
        self._most = MEMORY_SHARE * psutil.virtual_memory().total

    @classmethod
    def fork(cls, control: socket.socket, descriptor: int) -> _Round:
        """Fork the process; the descriptor is its connection to the run."""
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            status = 1
            try:
                kernel.end_with(parent, signal.SIGKILL)
                control.close()
                with socket.socket(fileno=descriptor) as channel:
                    live(channel)
                status = 0
            finally:
                os._exit(status)
        os.close(descriptor)
        return cls(pid)

    def look(self) -> None:
        """Note whether it ended by itself; end it if it takes too much."""
        if self._reaped():
            return
        family = psutil.Process().children(recursive=True)
        held = 0
        for process in family:
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
        if len(family) > MOST_PROCESSES:
            self._stop(f"{len(family)} processes, more than {MOST_PROCESSES}")
        elif held > self._most:
            self._stop(f"{held / 2**20:.0f} MiB in use, more than {self._most / 2**20:.0f}")

    def _stop(self, why: str) -> None:
        end_descendants()
        self.over, self._how = True, why

    def _reaped(self) -> bool:
        if not self.over:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.over, self._how = True, _ending(status)
        return self.over

    def end(self, seconds: float) -> str:
        """End it with all that it started, after waiting for it; return how it had ended before."""
        until = time.monotonic() + seconds
        while not self._reaped() and time.monotonic() < until:
            time.sleep(0.002)
        end_descendants()
        self.over = True
        return self._how


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def end_descendants() -> None:
    """Kill every process below this one, again and again until none is left."""
    until = time.monotonic() + _GRACE_S
    while time.monotonic() < until:
        family = psutil.Process().children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)

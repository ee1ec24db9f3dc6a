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
import pickle
import select
import shutil
import signal
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from typing import Any, Final

import psutil

from runners.confine import kernel
from runners.confine.child import descriptors_but, live
from runners.confine.walls import code_places
from runners.confine.wire import ChannelClosed
from runners.machine.fork_server import context, thread_caps, without_main_module

LOOK_SECONDS: Final = 0.25
"""Time between two looks at the memory and the processes of a round."""
MOST_PROCESSES: Final = 256
MEMORY_SHARE: Final = 0.8
"""Share of the machine's memory that a strategy's processes may hold together."""
_PATIENCE_S: Final = 300.0
_GRACE_S: Final = 10.0
_LENGTH: Final = struct.Struct("<Q")
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
        pid: its process id, if it is a child of this process.
        process: the same as the fork server started it, if it did.
    """

    def __init__(self, control: socket.socket, pid: int = 0, process: ForkServerProcess | None = None) -> None:
        self._control, self._pid, self._process = control, pid, process
        self._given = b""

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
            process = context().Process(target=_served, args=(theirs,), name="strategies", daemon=True)
            process.start()
        return cls(ours, process=process)

    def begin(self, given: bytes) -> RoundProcess:
        """Start the process of a round.

        Args:
            given: pickle of what it is given at its start. While it stays the same, the server has the next process
                ready behind its walls.

        Raises:
            ChannelClosed: the server ended.
        """
        try:
            self._control.settimeout(_PATIENCE_S)
            if given != self._given:
                self._control.sendall(b"B" + _LENGTH.pack(len(given)) + given)
                self._given = given
            self._control.sendall(b"R")
            told, descriptors, _, _ = socket.recv_fds(self._control, _LENGTH.size, 1)
            return RoundProcess(socket.socket(fileno=descriptors[0]), *_LENGTH.unpack(told))
        except (OSError, IndexError, struct.error) as error:
            raise ChannelClosed(f"the server of strategies ended ({error})") from None

    def end(self, process: RoundProcess) -> None:
        """End the process and all that it started, without waiting for it."""
        process.channel.close()
        with contextlib.suppress(OSError):
            self._control.sendall(b"E")

    def ended(self, process: RoundProcess) -> str:
        """End what the process started; return how the process had ended by itself, else empty text."""
        process.channel.close()
        try:
            self._control.sendall(b"G")
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
        if self._process is not None:
            self._process.join(_GRACE_S)
            self._process = None


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
    gc.freeze()  # a collection would write to every page that is shared with the forked processes
    code_places()  # looked up once
    given: dict[str, Any] = {}
    spare, round_ = _Round.none(), _Round.none()
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([control], [], [], None if round_.over else LOOK_SECONDS)
            if not ready:
                round_.look()
                continue
            request = control.recv(1)
            if request == b"B":
                given = pickle.loads(_exactly(control, *_LENGTH.unpack(_exactly(control, _LENGTH.size))))
                spare.end(0.0)
                spare = _Round.fork(control, given)
            elif request == b"R":
                round_.end(0.0)
                round_ = _Round.fork(control, given) if spare.over else spare
                spare = _Round.none()
                socket.send_fds(control, [_LENGTH.pack(round_.pid)], [round_.channel])
                os.close(round_.channel)
            elif request == b"G":
                how = round_.end(_CLOSING_S)
                empty(given["ground"].scratch)
                control.sendall(json.dumps({"how": how}).encode() + b"\n")
            elif request == b"E":
                round_.end(0.0)
                empty(given["ground"].scratch)
                spare = _Round.fork(control, given)  # gets ready while the run trains
            else:
                break
    end_descendants()


def _exactly(control: socket.socket, size: int) -> bytes:
    """Read so many bytes from the run. Raises OSError if it closes before."""
    parts = bytearray()
    while len(parts) < size:
        more = control.recv(size - len(parts))
        if not more:
            raise OSError("the run closed the channel")
        parts += more
    return bytes(parts)


def empty(folder: str) -> None:
    """Remove everything in a scratch folder; where it is not a mount of the round, the round's files are in it."""
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():  # noqa: PTH112
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108


def forget_helpers() -> None:
    """Forget multiprocessing's helper processes, whose connections are closed: a strategy starts its own."""
    tracker: Any = resource_tracker._resource_tracker  # no public name for it
    tracker._fd = tracker._pid = None
    forks: Any = forkserver._forkserver  # as above
    forks._forkserver_address = forks._forkserver_alive_fd = forks._forkserver_pid = None


class _Round:
    """A forked process in the server's process, and the run's end of its channel."""

    def __init__(self, pid: int, channel: int) -> None:
        self.pid, self.channel, self.over, self._how = pid, channel, pid == 0, ""
        self._ended = False
        self._most = MEMORY_SHARE * psutil.virtual_memory().total

    @classmethod
    def none(cls) -> _Round:
        """Return a round that is over."""
        return cls(0, -1)

    @classmethod
    def fork(cls, control: socket.socket, given: Mapping[str, Any]) -> _Round:
        """Fork a process, which confines itself and waits for its round."""
        ours, theirs = socket.socketpair()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            status = 1
            try:
                kernel.end_with(parent, signal.SIGKILL)
                control.close()
                ours.close()
                with theirs:
                    live(theirs, given)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        return cls(pid, ours.detach())

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
        if not self.pid or self._ended:
            return self._how
        self._ended = True
        until = time.monotonic() + seconds
        while not self._reaped() and time.monotonic() < until:
            time.sleep(0.002)
        if not self.over:
            os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.over = True
        end_descendants()
        return self._how


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def end_descendants() -> None:
    """Kill every process below this one, again and again until none is left."""
    until = time.monotonic() + _GRACE_S
    while time.monotonic() < until:
        try:  # most rounds started nothing: there is nothing to look for
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.002)

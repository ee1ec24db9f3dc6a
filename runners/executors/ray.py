"""Execution with Ray Core, one task per run, on a cluster or on this machine (extra `ray`)."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Sequence
from typing import Any, Final

from protocol.errors import Fault, InputError
from runners.executors.remote import Lost, Task
from runners.progress.job import Result

PENDING_SECONDS: Final = 900.0
"""Longest time that a task may wait while no machine of the cluster is large enough for a run.

Such a task waits for a machine that is gone; Ray itself would wait for ever, without a message. If a machine is large
enough, the task only queues behind others and may wait longer.
"""


def use_driver_environment() -> None:
    """Make Ray's workers use the environment of the driver or of the running cluster.

    Call it before importing Ray.

    Under `uv run`, Ray otherwise packs the working folder, and each worker resolves its own environment from it.
    Installed extras are missing there, so that no worker starts and Ray waits without a message; versions may differ.
    """
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")


class RayBackend:
    """Backend that submits tasks to Ray.

    Args:
        threads: processors per run.
        slots: largest number of parallel runs; None: as many as fit on the cluster.
        address: address of a running cluster, e.g. "auto" or "ray://head:10001"; None: RAY_ADDRESS, else Ray is started
            on this machine.
        gpus: GPUs per run, may be a fraction; 0: none.

    Raises:
        InputError: Ray is not installed, no cluster answers, or no machine of the cluster is large enough for one run.
    """

    def __init__(self, threads: int, slots: int | None = None, address: str | None = None, gpus: float = 0.0) -> None:
        use_driver_environment()
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise InputError(Fault("--executor ray", "Ray", "it is not installed", "uv sync --extra ray")) from None
        self._ours = not self._ray.is_initialized()
        if self._ours:
            try:
                self._ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            except Exception as error:  # Ray raises many types when it cannot start
                where = f"--address {address}" if address else "Ray"
                fix = "see `ray status`" if address else "try again when this machine is less busy"
                raise InputError(Fault(where, "a running cluster", str(error).split("\n")[0], fix)) from None
        self._resources = {"num_cpus": threads, "num_gpus": gpus}
        fits = self._fits()
        if not fits:
            self.close()
            expected = f"a machine with {threads} processors" + (f" and {gpus:g} GPU" if gpus else "")
            raise InputError(Fault("the Ray cluster", expected, "no such machine", "lower --threads, or add a machine"))
        self._slots = slots
        self._since: dict[Any, float] = {}

    @property
    def room(self) -> int:
        """Return the number of tasks that may run at a time now; machines may join and leave."""
        fits = self._fits()
        return min(self._slots, fits) if self._slots else fits

    def _fits(self) -> int:
        """Return the number of runs that fit on the machines that are alive."""
        count = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                resources = node["Resources"]
                shares = [resources.get("CPU", 0) / max(1, self._resources["num_cpus"])]
                if self._resources["num_gpus"]:
                    shares.append(resources.get("GPU", 0) / self._resources["num_gpus"])
                count += math.floor(min(shares))
        return count

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Submit tasks; see `Backend`. Ray's own retries are off, because the driver counts the attempts."""
        run = self._ray.remote(**self._resources, max_retries=0)(_call)
        handles = [run.remote(task) for task in tasks]
        now = time.monotonic()
        self._since.update(dict.fromkeys(handles, now))
        return handles

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:
        """Return the outcome of a task; see `Backend`."""
        ready, _ = self._ray.wait([handle], timeout=0)
        if ready:
            self._since.pop(handle, None)
            try:
                result: Result = self._ray.get(handle)
            except self._ray.exceptions.RayError as error:  # worker or machine is gone, or the task could not start
                return Lost(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
            return result
        if time.monotonic() - self._since[handle] > PENDING_SECONDS and not task.begun.exists() and not self._fits():
            self.cancel(handle)
            return Lost(
                f"no machine started the run within {PENDING_SECONDS:.0f} s, and none of the cluster is large enough"
            )
        return None

    def cancel(self, handle: Any) -> None:
        """End a task; see `Backend`. The run's process ends itself when its parent, Ray's worker, is gone."""
        self._since.pop(handle, None)
        self._ray.cancel(handle, force=True)

    def close(self) -> None:
        """Disconnect from the cluster, and shut it down if it was started here."""
        if self._ours:
            self._ray.shutdown()


def _call(task: Task) -> Result:
    return task()

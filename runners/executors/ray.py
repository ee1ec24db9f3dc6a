"""Ray Core: one task a run, on a cluster by its address or on this machine (extra `ray`)."""

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
"""A task that has waited so long, while no machine of the cluster has room for a run, waits for one that is gone: Ray itself would
wait for ever, and say nothing. Where there is room, it only queues behind others."""


def as_the_driver() -> None:
    """Before Ray is imported: its workers shall run in the driver's environment, or in the one that a cluster was started in.

    Under `uv run`, Ray otherwise packs up the working folder and has each worker resolve an environment of its own from it: extras
    that were installed before are missing there, so no worker ever starts and Ray waits without a word; others may differ in versions.
    """
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")


class RayBackend:
    """Hands tasks to Ray.

    Args:
        threads: processors a run takes.
        slots: runs side by side at most; None: as many as the cluster has room for.
        address: of a running cluster, e.g. "auto" or "ray://head:10001"; None: RAY_ADDRESS, else one is started here.
        gpus: share of a GPU a run takes, 0: none.

    Raises:
        InputError: Ray is not installed, no cluster answers, or no machine of it has room for a single run.
    """

    def __init__(self, threads: int, slots: int | None = None, address: str | None = None, gpus: float = 0.0) -> None:
        as_the_driver()
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise InputError(Fault("--executor ray", "Ray", "it is not installed", "uv sync --extra ray")) from None
        self._ours = not self._ray.is_initialized()
        if self._ours:
            try:
                self._ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            except Exception as error:  # Ray has no class of its own for what keeps it from starting
                where, fix = (
                    (f"--address {address}", "see `ray status`")
                    if address
                    else ("Ray", "try again when this machine is less busy")
                )
                raise InputError(Fault(where, "a cluster that answers", str(error).split("\n")[0], fix)) from None
        self._resources = {"num_cpus": threads, "num_gpus": gpus}
        fits = self._fits()
        if not fits:
            self.close()
            wanted = f"a machine with {threads} processors" + (f" and {gpus:g} GPU" if gpus else "")
            raise InputError(Fault("the Ray cluster", wanted, "none", "lower --threads, or add a machine"))
        self._slots = slots
        self._since: dict[Any, float] = {}

    @property
    def room(self) -> int:
        """Runs that may be handed over now: machines come and go."""
        fits = self._fits()
        return min(self._slots, fits) if self._slots else fits

    def _fits(self) -> int:
        """Runs that fit on the machines that are alive."""
        count = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                shares = [has.get("CPU", 0) / max(1, self._resources["num_cpus"])]
                if self._resources["num_gpus"]:
                    shares.append(has.get("GPU", 0) / self._resources["num_gpus"])
                count += math.floor(min(shares))
        return count

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """See `Backend`. Ray's own retries are off: a run's attempts are counted, and said, by the driver."""
        run = self._ray.remote(**self._resources, max_retries=0)(_call)
        handles = [run.remote(task) for task in tasks]
        now = time.monotonic()
        self._since.update(dict.fromkeys(handles, now))
        return handles

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:
        """See `Backend`."""
        ready, _ = self._ray.wait([handle], timeout=0)
        if ready:
            self._since.pop(handle, None)
            try:
                result: Result = self._ray.get(handle)
            except (
                self._ray.exceptions.RayError
            ) as error:  # the worker or its machine is gone, or the task never could run
                return Lost(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
            return result
        if time.monotonic() - self._since[handle] > PENDING_SECONDS and not task.begun.exists() and not self._fits():
            self.cancel(handle)
            return Lost(
                f"no machine took the run within {PENDING_SECONDS:.0f} s, and none of the cluster has room for one"
            )
        return None

    def cancel(self, handle: Any) -> None:
        """See `Backend`. The run's process ends itself when its parent, Ray's worker, is gone."""
        self._since.pop(handle, None)
        self._ray.cancel(handle, force=True)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._ours:
            self._ray.shutdown()


def _call(task: Task) -> Result:
    return task()

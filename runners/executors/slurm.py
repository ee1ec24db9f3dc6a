"""Execution on SLURM through submitit (extra `slurm`).

Runs are job arrays that are requeued after preemption.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from protocol.errors import Fault, InputError
from runners.executors.remote import Lost, Task
from runners.progress.job import FULL, Result

ARRAY: Final = 1000
"""Largest number of tasks per array; SLURM's default limit is 1,001."""
LOOK_SECONDS: Final = 15.0
"""Interval between two queries of SLURM's queue."""
UNSEEN_SECONDS: Final = 45.0
"""A job that is not in the queue and has no result for this long is lost. Without accounting, SLURM keeps no reason."""


class SlurmBackend:
    """Backend that submits tasks through submitit.

    Args:
        desk: folder for submitit's scripts and logs, on a disk shared by all machines.
        threads: processors per run.
        slots: largest number of parallel runs; None: as SLURM decides.
        cluster: "slurm"; "local" (processes on this machine) and "debug" (in this process) need no SLURM.
        parameters: further parameters of submitit, e.g. slurm_partition, timeout_min, mem_gb, gpus_per_node.

    Raises:
        InputError: submitit or SLURM is not installed, or a parameter is not accepted.
    """

    def __init__(
        self,
        desk: Path,
        threads: int,
        slots: int | None = None,
        cluster: str = "slurm",
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            submitit = importlib.import_module("submitit")
        except ImportError:
            raise InputError(
                Fault("--executor slurm", "submitit", "it is not installed", "uv sync --extra slurm")
            ) from None
        if cluster == "slurm" and shutil.which("sbatch") is None:
            fix = "run on a machine that can submit to SLURM, or set cluster = 'local'"
            raise InputError(Fault("--executor slurm", "the command sbatch", "it is not on PATH", fix))
        settings = {
            "name": "beatrandom",
            "cpus_per_task": threads,
            "timeout_min": 24 * 60,
            "mem_gb": 4,
            **(parameters or {}),
        }
        try:
            self._executor: Any = submitit.AutoExecutor(folder=desk, cluster=cluster)
            self._executor.update_parameters(**settings)
        except (NameError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(Fault("the configuration's table slurm", "parameters of submitit", str(error))) from None
        self._slurm, self._local = cluster == "slurm", cluster == "local"
        # limits the parallel runs by submitting no more: an array's own limit would ignore other arrays
        self.room = min(ARRAY, slots or ARRAY) if self._slurm else (slots or 1)
        self._queried = -LOOK_SECONDS
        self._seen: dict[str, float] = {}

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Submit the tasks as one array; see `Backend`.

        Raises:
            OSError: the disk is full or read-only.
            InputError: SLURM refused the job.
        """
        try:
            if not self._slurm:
                return [self._executor.submit(task) for task in tasks]
            with self._executor.batch():
                handles = [self._executor.submit(task) for task in tasks]
        except Exception as error:  # submitit raises its own types if sbatch refuses
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            output = str(error).strip().splitlines()
            found = output[-1] if output else type(error).__name__
            raise InputError(Fault("sbatch", "a job that SLURM accepts", found)) from None
        now = time.monotonic()
        self._seen.update({handle.job_id: now for handle in handles})
        return handles

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:  # noqa: ARG002  # part of the interface
        """Return the outcome of a task; see `Backend`.

        The result is a file. SLURM is queried only for whether a job is still in its queue.
        """
        handle.paths.folder.stat()  # refreshes the folder listing that network disks cache
        if handle.paths.result_pickle.exists():
            self._seen.pop(handle.job_id, None)
            return _result(handle)
        if not self._slurm:
            return Lost(f"the process ended without a result (see {handle.paths.stderr})") if handle.done() else None
        now = time.monotonic()
        if now - self._queried > LOOK_SECONDS:
            self._query_queue(now)
        if now - self._seen[handle.job_id] > UNSEEN_SECONDS:
            return Lost(f"job {handle.job_id} left SLURM's queue without a result (see {handle.paths.stderr})")
        return None

    def _query_queue(self, now: float) -> None:
        """Note which jobs are in the queue, including those that wait after preemption."""
        command = ["squeue", "--me", "--noheader", "--array", "--format", "%i"]
        self._queried = now
        try:
            listed = set(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split())
        except (OSError, subprocess.SubprocessError):
            listed = set(self._seen)  # a controller that is restarting loses no job
        self._seen.update(dict.fromkeys(listed & set(self._seen), now))

    def cancel(self, handle: Any) -> None:
        """End a task; see `Backend`."""
        self._seen.pop(handle.job_id, None)
        if self._local:
            if not handle.done():
                _end(int(handle.job_id))
            return
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            handle.cancel(check=False)

    def close(self) -> None:
        """Do nothing: no connection is held open."""


def _end(pid: int) -> None:
    """End a job of submitit's local executor, whose id is a process id.

    submitit's own method prints a traceback.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        job = psutil.Process(pid)
        for process in (job, *job.children(recursive=True)):  # parent first: it would restart its tasks
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _result(handle: Any) -> Result | Lost:
    try:
        result: Result = handle.results()[0]
    except Exception as error:  # submitit raises what the task raised
        return Lost(f"the task failed: {str(error).strip().splitlines()[-1]}")
    return result

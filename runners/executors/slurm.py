"""SLURM through submitit: job arrays, put back into the queue on preemption (extra `slurm`)."""

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
"""Tasks in an array at most; SLURM's default limit is 1,001."""
LOOK_SECONDS: Final = 15.0
"""Between two looks into SLURM's queue."""
UNSEEN_SECONDS: Final = 45.0
"""A job that is neither in the queue nor has answered for so long is gone; without accounting, SLURM cannot tell how."""


class SlurmBackend:
    """Hands tasks to submitit.

    Args:
        desk: folder for submitit's scripts and logs, on a disk that all machines share.
        threads: processors a run takes.
        slots: runs side by side at most; None: as SLURM decides.
        cluster: "slurm"; "local" (processes on this machine) and "debug" (in this process) need no SLURM.
        parameters: more of submitit's parameters, e.g. slurm_partition, timeout_min, mem_gb, gpus_per_node.

    Raises:
        InputError: submitit or SLURM is not installed, or does not take a parameter.
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
            fix = "run on a machine that submits to SLURM, or set cluster = 'local'"
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
            raise InputError(
                Fault("the configuration's table slurm", "parameters that submitit takes", str(error))
            ) from None
        self._slurm, self._here = cluster == "slurm", cluster == "local"
        # slots are kept by handing over no more: an array's own limit would not count the arrays beside it
        self.room = min(ARRAY, slots or ARRAY) if self._slurm else (slots or 1)
        self._looked = -LOOK_SECONDS
        self._seen: dict[str, float] = {}

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """See `Backend`. One array for all of them. Raises OSError for a disk that takes nothing more, InputError for the rest."""
        try:
            if not self._slurm:
                return [self._executor.submit(task) for task in tasks]
            with self._executor.batch():
                handles = [self._executor.submit(task) for task in tasks]
        except Exception as error:  # submitit's own, for what sbatch refused
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            said = str(error).strip().splitlines()
            raise InputError(
                Fault("sbatch", "a job that SLURM takes", said[-1] if said else type(error).__name__)
            ) from None
        now = time.monotonic()
        self._seen.update({handle.job_id: now for handle in handles})
        return handles

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:  # noqa: ARG002  # the interface's
        """See `Backend`. The answer is a file; SLURM is asked only whether a job is still in its queue."""
        handle.paths.folder.stat()  # network disks cache what is in a folder
        if handle.paths.result_pickle.exists():
            self._seen.pop(handle.job_id, None)
            return _answer(handle)
        if not self._slurm:
            return Lost(f"the process ended without an answer (see {handle.paths.stderr})") if handle.done() else None
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._look(now)
        if now - self._seen[handle.job_id] > UNSEEN_SECONDS:
            return Lost(f"job {handle.job_id} left SLURM's queue without an answer (see {handle.paths.stderr})")
        return None

    def _look(self, now: float) -> None:
        """Note which jobs are in the queue; one that waits after preemption is."""
        command = ["squeue", "--me", "--noheader", "--array", "--format", "%i"]
        self._looked = now
        try:
            listed = set(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split())
        except (OSError, subprocess.SubprocessError):
            listed = set(self._seen)  # a controller that restarts loses no job
        self._seen.update(dict.fromkeys(listed & set(self._seen), now))

    def cancel(self, handle: Any) -> None:
        """See `Backend`."""
        self._seen.pop(handle.job_id, None)
        if self._here:
            if not handle.done():
                _end(int(handle.job_id))
            return
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            handle.cancel(check=False)

    def close(self) -> None:
        """Nothing is held open."""


def _end(pid: int) -> None:
    """End a job of submitit's local executor, which is named by its process; submitit's own way prints a traceback."""
    with contextlib.suppress(psutil.NoSuchProcess):
        job = psutil.Process(pid)
        for process in (job, *job.children(recursive=True)):  # first itself: it would start its tasks again
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _answer(handle: Any) -> Result | Lost:
    try:
        result: Result = handle.results()[0]
    except Exception as error:  # what the task raised, as submitit tells it
        return Lost(f"the task failed: {str(error).strip().splitlines()[-1]}")
    return result

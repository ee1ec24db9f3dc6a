"""Which runs may take turns in one process."""

from __future__ import annotations

from runners.progress.job import Job
from runners.strategies.resolve import is_built_in


def takes_turns(job: Job) -> bool:
    """Return whether the run may share a process with others.

    It is short, on the processor, of a strategy of the project itself, and its oracle has no process of its own.
    """
    return job.protocol.frozen_features and is_built_in(job.strategy) and job.device == "cpu" and not job.isolate

"""What runs in a worker process; importing it loads torch once, in the fork server."""

from __future__ import annotations

import contextlib
import signal
from multiprocessing.connection import Connection

import sklearn.datasets  # noqa: F401  # preloaded: half a second that a run need not pay

from runners.jobs import Job, perform


def work(job: Job, pipe: Connection) -> None:
    """Make the run and send rounds done, then the Result, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it sends SIGTERM
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def tell(rounds: int) -> None:
        with contextlib.suppress(OSError):  # the parent may have gone; the record is what counts
            pipe.send(rounds)

    result = perform(job, tell)
    with contextlib.suppress(OSError):
        pipe.send(result)
    pipe.close()

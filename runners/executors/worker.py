"""What runs in a worker process; importing it loads once, in the fork server, what every run would load anew."""

from __future__ import annotations

import contextlib
import signal
from multiprocessing.connection import Connection

import sklearn.datasets  # noqa: F401  # half a second
import torch

from runners.jobs import Job, perform

# torch imports its compiler when the first optimizer is built: seconds. No operation is run here, so no thread starts before the fork.
torch.optim.SGD([torch.nn.Parameter(torch.empty(1))], lr=1.0)


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

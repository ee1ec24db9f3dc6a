"""`python -m runners.run.oracle_process FD`: the oracle's process, talking over an inherited socket."""

from __future__ import annotations

import contextlib
import signal
import sys
from multiprocessing.connection import Connection

import runners.machine.stop_signals  # noqa: F401  # before what takes seconds to load
from protocol.errors import BeatRandomError, Fault, InputError
from protocol.oracle.process import OracleGone, refusal, send
from runners.run.session import Order, keep_shop


def main(descriptor: int) -> None:
    """Serve one run; whatever prevents it is told to the run, which keeps it in its record."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when to end; it hangs up
    with Connection(descriptor) as pipe, contextlib.suppress(EOFError, OracleGone):
        order = Order.model_validate_json(pipe.recv_bytes())
        try:
            keep_shop(order, pipe)
        except BeatRandomError as error:
            send(pipe, refusal(error))
        except Exception as error:  # the run must hear of it; this process has no terminal of its own
            send(
                pipe,
                refusal(
                    InputError(Fault("the oracle's process", "to serve the run", f"{type(error).__name__}: {error}"))
                ),
            )


if __name__ == "__main__":
    main(int(sys.argv[1]))

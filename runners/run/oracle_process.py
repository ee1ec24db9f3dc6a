"""`python -m runners.run.oracle_process FD`: the oracle's process, over an inherited socket."""

from __future__ import annotations

import contextlib
import signal
import sys
from multiprocessing.connection import Connection

import runners.machine.stop_signals  # noqa: F401  # before anything that takes seconds to import
from protocol.errors import BeatRandomError, Fault, InputError
from protocol.oracle.process import OracleGone, refusal, send
from runners.run.open_oracle import SessionSpec, serve_oracle


def main(descriptor: int) -> None:
    """Serve one run, and send it every error, which it writes to its record."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when to end, by closing the pipe
    with Connection(descriptor) as pipe, contextlib.suppress(EOFError, OracleGone):
        spec = SessionSpec.model_validate_json(pipe.recv_bytes())
        try:
            serve_oracle(spec, pipe)
        except BeatRandomError as error:
            send(pipe, refusal(error))
        except Exception as error:  # this process has no terminal of its own
            fault = Fault("oracle process", "to serve the run", f"{type(error).__name__}: {error}")
            send(pipe, refusal(InputError(fault)))


if __name__ == "__main__":
    main(int(sys.argv[1]))

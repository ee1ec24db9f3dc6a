"""Warm starts across interruptions: read a round's weights, or train them again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np

from protocol.errors import Fault, InputError, RecordError
from protocol.record.events import RoundEvent
from protocol.record.layout import RunFolder, write_atomically
from runners.models.state_file import arrays_of, read_state
from runners.regimes import EndState, digest_of, fit
from runners.regimes.tuner import Tuner
from runners.session import Session


def retrain(session: Session, tuner: Tuner, first: int, stop: int, before: EndState | None) -> Iterator[EndState]:
    """Train rounds `first` to `stop` - 1 again, without evaluation; yield each one's end state.

    Args:
        session: its oracle has sold the labels of these rounds.
        tuner: knows the trials of these rounds if the protocol is tuned.
        before: state that the round before `first` ended with.
    """
    for k in range(first, stop):
        inputs = session.inputs(k)
        setting = tuner.choose(session.protocol, k, inputs, session.oracle, session.resident, before)
        protocol = session.with_setting(setting).protocol
        before = fit(protocol, inputs, session.seed, k, session.resident, before).end
        if before is not None:
            yield before


def write_checkpoint(folder: RunFolder, round_: int, ended: EndState) -> None:
    """Write the state that a round ended with. Call it before the round is recorded."""
    buffer = io.BytesIO()
    # not compressed: weights hardly shrink, and it takes seconds
    np.savez(buffer, allow_pickle=False, **arrays_of(ended.state))
    write_atomically(folder.checkpoint(round_), buffer.getvalue())


def remove_checkpoints(folder: RunFolder, but: int | None = None) -> None:
    """Remove checkpoints, half-written ones included, except that of round `but`."""
    for path in folder.checkpoints():
        if but is None or path != folder.checkpoint(but):
            path.unlink()


def last_state(folder: RunFolder, done: Sequence[RoundEvent], session: Session, tuner: Tuner) -> EndState | None:
    """Return the state that the last complete round ended with: read, or trained again.

    Returns `None` if no further round starts from it.

    Args:
        done: all complete rounds of the record.

    Raises:
        RecordError: the checkpoint is lost, and training again gives other weights, as may happen on a GPU.
    """
    protocol = session.protocol
    if protocol.regime.start == "reset" or not 0 < len(done) < len(protocol.budgets):
        return None
    path, last = folder.checkpoint(len(done) - 1), done[-1]
    try:
        state = read_state(path, f"weights that round {last.round} ended with")
    except InputError as error:
        lost = error.faults[0]
    else:
        digest = digest_of(protocol, state, session.resident)
        if digest == last.final_weights:
            return EndState(state, digest)
        lost = Fault(str(path), f"weights with digest {last.final_weights[:16]}", digest[:16])
    ended: EndState | None = None
    for event, ended in zip(done, retrain(session, tuner, 0, len(done), None), strict=True):
        if ended.digest != event.final_weights:
            where = f"{folder.path}: round {event.round}, trained again because its weights were lost"
            fix = (
                "restore the file, or continue on the machine where the run began; else move the run's folder away "
                "to start over"
            )
            fault = Fault(where, f"weights with digest {event.final_weights[:16]}", ended.digest[:16], fix)
            raise RecordError([lost, fault])
    return ended

"""A warm start across interruptions: what a round ended with is kept beside the record, or trained again from what the record says."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from protocol.errors import Fault, InputError, RecordError
from protocol.oracle.oracle import Seller
from protocol.record.events import RoundEvent
from protocol.record.layout import RunFolder, write_atomically
from protocol.spec.protocol import Protocol
from runners.datasets import Images
from runners.loop import inputs_of
from runners.models.state_file import arrays_of, read_state
from runners.regimes import EndState, Resident, digest_of, fit
from runners.regimes.tuner import Tuner


@dataclass(frozen=True, eq=False)
class Training:
    """What a run is trained with, but for the weights it starts from; `oracle` has sold the labels of all rounds in question.

    `tuner` knows the trials of these rounds, where the protocol is tuned.
    """

    protocol: Protocol
    replicate: int
    images: Images
    oracle: Seller
    resident: Resident
    tuner: Tuner

    def rounds(self, first: int, stop: int, before: EndState | None) -> Iterator[EndState]:
        """Train rounds first … stop - 1 once more, without a look at the test images; yield what each ended with."""
        for k in range(first, stop):
            inputs = inputs_of(self.protocol, k, self.images, self.oracle)
            setting = self.tuner.chosen(self.protocol, k, inputs, self.oracle, self.resident, before)
            tuned = self.protocol.with_setting(setting) if setting else self.protocol
            before = fit(tuned, inputs, self.replicate, k, self.resident, before).end
            if before is not None:
                yield before


def keep(folder: RunFolder, round_: int, ended: EndState) -> None:
    """Write what a round ended with. To be called before the round is on the record, so that no whole round is without it."""
    buffer = io.BytesIO()
    np.savez(
        buffer, allow_pickle=False, **arrays_of(ended.state)
    )  # not compressed: weights hardly are, and it takes seconds
    write_atomically(folder.checkpoint(round_), buffer.getvalue())


def forget(folder: RunFolder, but: int | None = None) -> None:
    """Remove what rounds ended with, and what an interruption left half written, but for one round that is on the record by now."""
    for path in folder.checkpoints():
        if but is None or path != folder.checkpoint(but):
            path.unlink()


def resumed(folder: RunFolder, done: Sequence[RoundEvent], training: Training) -> EndState | None:
    """What the last whole round ended with: as it was kept, or else trained again, round after round; None where nothing goes on from it.

    Args:
        done: all whole rounds of the record.

    Raises:
        RecordError: nothing sound was kept, and training again gives other weights than the record says, as it may on a GPU.
    """
    protocol = training.protocol
    if protocol.regime.start == "reset" or not 0 < len(done) < len(protocol.budgets):
        return None
    path, last = folder.checkpoint(len(done) - 1), done[-1]
    try:
        state = read_state(path, f"weights that round {last.round} ended with")
    except InputError as error:
        lost = error.faults[0]
    else:
        found = digest_of(protocol, state, training.resident)
        if found == last.final_weights:
            return EndState(state, found)
        lost = Fault(str(path), f"weights with digest {last.final_weights[:16]}", found[:16])
    ended: EndState | None = None
    for event, ended in zip(done, training.rounds(0, len(done), None), strict=True):
        if ended.digest != event.final_weights:
            where = f"{folder.path}: round {event.round}, trained again because its weights were lost"
            fix = "put the file back, or make the run where it began; else move the run's folder away to start it anew"
            raise RecordError(
                [lost, Fault(where, f"weights with digest {event.final_weights[:16]}", ended.digest[:16], fix)]
            )
    return ended

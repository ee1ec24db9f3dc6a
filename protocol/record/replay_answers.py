"""Outcomes of `beatrandom replay --keep`: what came of choosing again, kept beside the records for the checker."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from protocol.digests import canonical_json
from protocol.errors import Fault, InputError
from protocol.record.layout import write_atomically
from protocol.safe_read import read_bytes
from protocol.spec.base import FrozenModel

Answer = Literal["equal", "differs", "undecided"]


class Replayed(FrozenModel):
    """One round chosen again: is the query the recorded one?"""

    round: int
    answer: Answer
    said: str


class Attempt(FrozenModel):
    """One replay of a run; `head` is the hash of the record's last line at that time."""

    head: str
    rounds: tuple[Replayed, ...]
    environment: dict[str, Any]


class Replays(FrozenModel):
    """All kept replays of one run, the oldest first; none is ever taken out."""

    attempts: tuple[Attempt, ...] = Field(default=())


def read_replays(path: Path) -> Replays:
    """The kept replays, none if there is no file. Raises InputError for a file that is something else."""
    try:
        return Replays.model_validate_json(read_bytes(path))
    except FileNotFoundError:
        return Replays()
    except OSError as error:
        raise InputError(Fault(str(path), "a readable file of replays", error.strerror or str(error))) from None
    except ValidationError as error:
        raise InputError(
            Fault(str(path), "replays as `replay --keep` writes them", error.errors()[0]["msg"], "move it away")
        ) from None


def add_attempt(path: Path, attempt: Attempt) -> None:
    """Add one replay to those that are kept."""
    kept = Replays(attempts=(*read_replays(path).attempts, attempt))
    write_atomically(path, canonical_json(kept.model_dump(mode="json")) + b"\n")

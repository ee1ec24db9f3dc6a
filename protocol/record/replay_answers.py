"""Read and write the outcomes of `beatrandom replay --keep`, which the checker reads, too."""

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
    """Answer for one round: does the replayed query equal the recorded one? `said`: in words."""

    round: int
    answer: Answer
    said: str


class Attempt(FrozenModel):
    """One replay of a run; `head` is the hash of the record's last line at that time."""

    head: str
    rounds: tuple[Replayed, ...]
    environment: dict[str, Any]


class Replays(FrozenModel):
    """All kept replays of one run, oldest first; replays are added, never removed."""

    attempts: tuple[Attempt, ...] = Field(default=())


def read_replays(path: Path, root: Path | None = None) -> Replays:
    """Read the kept replays, if any. Raises InputError if the file holds anything else."""
    try:
        return Replays.model_validate_json(read_bytes(path, root=root))
    except FileNotFoundError:
        return Replays()
    except OSError as error:
        raise InputError(Fault(str(path), "a readable file of replays", error.strerror or str(error))) from None
    except ValidationError as error:
        raise InputError(
            Fault(str(path), "replays as `replay --keep` writes them", error.errors()[0]["msg"], "move it away")
        ) from None


def add_attempt(path: Path, attempt: Attempt, root: Path | None = None) -> None:
    """Add one replay to the file."""
    replays = Replays(attempts=(*read_replays(path, root).attempts, attempt))
    write_atomically(path, canonical_json(replays.model_dump(mode="json")) + b"\n")

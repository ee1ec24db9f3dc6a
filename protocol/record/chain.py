"""Append-only records of runs: JSONL with a hash chain.

Each line holds its number and the hash of the previous line.

A hash chain locates an edit or a deletion inside the file. It cannot show that the owner rewrote the whole file, nor,
without the seal and the plan, that its tail was cut.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from protocol.digests import canonical_json, sha256
from protocol.errors import Fault, RecordError, RunLocked
from protocol.record.events import (
    EVENTS,
    SCHEMA,
    VOLATILE,
    AnyEvent,
    EndEvent,
    Event,
    FailureEvent,
    LabelsEvent,
    ResumeEvent,
    RoundEvent,
    RunEvent,
)
from protocol.record.layout import RunFolder
from protocol.record.machine_lock import claim_run
from protocol.safe_read import LARGEST_RECORD, read_bytes

E = TypeVar("E", bound=Event)
_LONG: Final = re.compile(rb"[0-9]{17}")


@dataclass(frozen=True)
class Record:
    """Events of a record's complete lines, and the places where its hash chain breaks.

    Attributes:
        head: SHA-256 of the last complete line.
        torn_bytes: bytes after the last complete line, left by an interrupted write.
        breaks: faults of chain or content, with file and line.
        lines: line number of each event in the file, from 1; lines that are not events are skipped.
    """

    path: Path
    events: tuple[AnyEvent, ...]
    head: str
    whole_bytes: int
    torn_bytes: int
    breaks: tuple[Fault, ...] = ()
    lines: tuple[int, ...] = ()

    def of(self, kind: type[E]) -> list[E]:
        """Return all events of one kind, in order."""
        return [e for e in self.events if isinstance(e, kind)]

    @property
    def run(self) -> RunEvent | None:
        """Return the first event if it begins a run."""
        return self.events[0] if self.events and isinstance(self.events[0], RunEvent) else None

    @property
    def rounds(self) -> list[RoundEvent]:
        """Return the complete rounds, in order."""
        return self.of(RoundEvent)

    @property
    def sealed(self) -> bool:
        """Return whether the run is finished: the last line is complete and an `end` event."""
        return bool(self.events) and isinstance(self.events[-1], EndEvent) and not self.torn_bytes

    @property
    def failed(self) -> bool:
        """Return whether the last event is a failure."""
        return bool(self.events) and isinstance(self.events[-1], FailureEvent)


def read(path: Path, root: Path | None = None) -> Record:
    """Read every complete line; faults of chain or content are listed in `breaks`, not raised.

    Args:
        path: the record.
        root: the study folder, below which no link is followed; None: the record's own folder.

    Raises:
        RecordError: the file cannot be opened, is not a regular file, is too large, or has a newer schema.
    """
    try:
        raw = read_bytes(path, LARGEST_RECORD, root)
    except OSError as error:
        raise RecordError(Fault(str(path), "a readable record", error.strerror or str(error))) from None
    whole = raw.rfind(b"\n") + 1
    events: list[AnyEvent] = []
    breaks: list[Fault] = []
    lines: list[int] = []
    prev = ""
    for number, line in enumerate(raw[:whole].split(b"\n")[:-1]):
        where = f"{path}:{number + 1}"
        event, fault = _parse(line, where)
        if event is None:
            breaks.append(fault or Fault(where, "an event", "nothing"))
        else:
            breaks += _chain_faults(event, line, where, number, prev)
            breaks += _order_faults(event, events, where)
            events.append(event)
            lines.append(number + 1)
        prev = sha256(line)
    return Record(path, tuple(events), prev, whole, len(raw) - whole, tuple(breaks), tuple(lines))


def _chain_faults(event: AnyEvent, line: bytes, where: str, number: int, prev: str) -> Iterator[Fault]:
    if not _canonical(line):
        yield Fault(where, "canonical JSON, as it was written", "the same event in other bytes", "the line was edited")
    if event.seq != number:
        yield Fault(where, f"line number {number}", str(event.seq), "a line was removed, added or moved")
    if event.prev != prev:
        expected = f"hash of the line before: {prev[:16] or '(empty)'}"
        yield Fault(where, expected, event.prev[:16] or "(empty)", "the line before was altered")


def _order_faults(event: AnyEvent, earlier: Sequence[AnyEvent], where: str) -> Iterator[Fault]:
    if not earlier and not isinstance(event, RunEvent):
        yield Fault(where, "a 'run' event first", repr(event.event))
    if earlier and isinstance(event, RunEvent):
        yield Fault(where, "a single 'run' event", "a second one", "the lines of two runs were put together")
    if earlier and isinstance(earlier[-1], EndEvent):
        yield Fault(where, "nothing after the seal", repr(event.event))


def _canonical(line: bytes) -> bool:
    """Return whether a line has the bytes that `Writer` writes: no repeated key, no space.

    Other bytes may be the same event here and a different one elsewhere: of a repeated key, JSON readers take the
    first or the last. A recomputed hash chain would not show it.
    """
    try:
        value = json.loads(line)
        if _LONG.search(line):  # perhaps a number that canonical JSON does not have
            return canonical_json(value) == line
        # equal for nearly all lines, and fast
        plain = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        return plain.encode() == line or canonical_json(value) == line
    except (ValueError, RecursionError):
        return False


def _parse(line: bytes, where: str) -> tuple[AnyEvent | None, Fault | None]:
    try:
        return EVENTS.validate_json(line), None
    except ValidationError as error:
        version = _schema_of(line)
        if version is not None and version > SCHEMA:
            raise RecordError(
                Fault(
                    where,
                    f"schema version up to {SCHEMA}",
                    f"{version}",
                    "install the version that wrote it",
                )
            ) from None
        first = error.errors()[0]
        spot = ".".join(str(p) for p in first["loc"])
        return None, Fault(where, "a valid event", f"{spot}: {first['msg']}" if spot else first["msg"])


def _schema_of(line: bytes) -> int | None:
    try:
        version = json.loads(line).get("schema_version")
    except (ValueError, AttributeError, RecursionError):
        return None
    return version if isinstance(version, int) else None


def essence(record: Record) -> list[bytes]:
    """Return what a repetition must reproduce byte for byte.

    Times, costs, environment and interruptions are left out.
    """
    events = [e for e in record.events if not isinstance(e, ResumeEvent | FailureEvent)]
    return [canonical_json(e.model_dump(mode="json", exclude=set(VOLATILE))) for e in events]


class Writer:
    """Appends to one record. Opened by `open_record`, which holds the run's exclusive lock."""

    def __init__(self, folder: RunFolder, record: Record | None, still_ours: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._still_ours = still_ours
        self._seq = len(record.events) if record else 0
        self._prev = record.head if record else ""
        self._file = os.open(folder.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)

    @property
    def started(self) -> bool:
        """Return whether the record has its first line."""
        return self._seq > 0

    def append(self, event: Event, *, sync: bool = True) -> None:
        """Append one line with a single write(); with `sync` it is on disk on return.

        Raises:
            OSError: the line was not written; the file is as before.
        """
        stamped = event.model_copy(
            update={"seq": self._seq, "prev": self._prev, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        )
        line = canonical_json(stamped.model_dump(mode="json"))
        data = line + b"\n"
        self._still_ours()
        start = os.fstat(self._file).st_size
        try:
            if os.write(self._file, data) != len(data):  # a full disk may accept part of a line
                raise OSError(errno.ENOSPC, "No space left on device: the line was not written completely")
            if sync:
                os.fsync(self._file)
        except OSError:  # a partial line must not become the beginning of the next one
            os.ftruncate(self._file, start)
            raise
        self._seq, self._prev = self._seq + 1, sha256(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


@contextmanager
def open_record(folder: RunFolder) -> Iterator[tuple[Writer, Record | None]]:
    """Lock the run and yield (writer, earlier record or `None`).

    An incomplete last line is moved to another file.

    Raises:
        RunLocked: another process is writing this run.
        RecordError: the record's chain is broken; it is left untouched.
    """
    with lock_run(folder) as still_ours:
        record = _intact_record(folder)
        writer = Writer(folder, record, still_ours)
        try:
            yield writer, record
        finally:
            writer.close()


@contextmanager
def lock_run(folder: RunFolder) -> Iterator[Callable[[], None]]:
    """Lock and claim the run, and yield a check that the claim still holds. Raises RunLocked."""
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        if not _locked(lock):
            raise RunLocked(
                Fault(str(folder.path), "no other process on this run", "a process that holds its lock")
            ) from None
        with claim_run(folder.claims) as still_ours:
            yield still_ours
    finally:
        os.close(lock)


def _locked(lock: int, patience_s: float = 0.5) -> bool:
    """Take the exclusive lock; wait a moment, since `status` locks it for microseconds."""
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        else:
            return True


def _intact_record(folder: RunFolder) -> Record | None:
    if not folder.events.exists():
        return None
    if folder.events.lstat().st_nlink > 1:  # what is appended here would appear there, for example in a backup
        expected, found = "a file with no other name", "a file that is linked from another folder, too"
        fix = "copy the run's folder, and put the copy in its place; nothing was changed"
        raise RecordError(Fault(str(folder.events), expected, found, fix))
    record = read(folder.events, folder.root)
    if record.breaks:
        raise RecordError(
            [
                *record.breaks,
                Fault(
                    str(folder.events),
                    "an intact record to continue",
                    "the faults above",
                    "move the run's folder away to start over; nothing was changed",
                ),
            ]
        )
    if record.torn_bytes:
        _move_tail(folder, record)
    return record if record.events else None


def _move_tail(folder: RunFolder, record: Record) -> None:
    raw = read_bytes(folder.events, LARGEST_RECORD, folder.root)
    earlier = list(folder.path.glob("events.torn-*"))
    (folder.path / f"events.torn-{len(earlier)}").write_bytes(raw[record.whole_bytes :])
    os.truncate(folder.events, record.whole_bytes)


def purchases(record: Record) -> list[LabelsEvent]:
    """Return every purchase, in order."""
    return record.of(LabelsEvent)

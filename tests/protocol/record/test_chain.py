"""A record is evidence: what was written stays, what was altered shows, what was torn is set aside."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import RecordError, RunLocked
from protocol.record.chain import essence, open_record, purchases, read
from protocol.record.events import EndEvent, FailureEvent, LabelsEvent, ResumeEvent, RoundEvent, RunEvent
from protocol.record.layout import RunFolder, StudyFolder
from tests.support.study_builder import build_run, lines, make_study, rewrite

Lines = list[dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run: run, validation, initial, then round and query in turn, and the seal: 9 lines."""
    study = make_study()
    return build_run(StudyFolder(tmp_path), study, study.protocols[0], study.strategies[1], 0)


def test_what_is_written_is_what_is_read(run: RunFolder) -> None:
    record = read(run.events)
    assert [type(e) for e in record.events] == [
        RunEvent,
        LabelsEvent,
        LabelsEvent,
        *[RoundEvent, LabelsEvent] * 2,
        RoundEvent,
        EndEvent,
    ]
    assert record.sealed
    assert not record.failed
    assert (record.breaks, record.torn_bytes, record.lines) == ((), 0, tuple(range(1, 10)))
    assert record.whole_bytes == run.events.stat().st_size
    assert [p.purpose for p in purchases(record)] == ["validation", "initial", "query", "query"]
    assert record.run is not None
    assert record.run.protocol == make_study().protocols[0]


@pytest.mark.parametrize(
    ("edit", "line", "expected"),
    [
        (lambda e: e[3]["metrics"].update(accuracy=0.99), 5, "hash of the line before"),
        (lambda e: e.pop(3), 4, "line number 3"),
        (lambda e: e.insert(4, e.pop(3)), 4, "line number 3"),
        (lambda e: e.insert(4, dict(e[3])), 5, "line number 4"),
        (lambda e: e.pop(0), 1, "line number 0"),
        (lambda e: e.append(dict(e[-1])), 10, "line number 9"),
        (lambda e: e[3].update(surprise=1), 4, "a valid event"),
        (lambda e: e[3]["metrics"].update(accuracy="0.9"), 4, "a valid event"),
        (lambda e: e[4].update(event="gift"), 5, "a valid event"),
    ],
)
def test_an_edit_is_located(run: RunFolder, edit: Callable[[Lines], Any], line: int, expected: str) -> None:
    rewrite(run.events, edit, rechain=False)
    first = read(run.events).breaks[0]
    assert first.where == f"{run.events}:{line}"
    assert expected in first.expected


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda e: e.pop(0), "a 'run' event first"),
        (lambda e: e.insert(3, e[0]), "a single 'run' event"),
        (lambda e: e.append(e[1]), "nothing after the seal"),
        (lambda e: e.insert(4, {"event": "gift"}), "a valid event"),
    ],
)
def test_order_is_checked_even_in_a_perfect_chain(run: RunFolder, edit: Callable[[Lines], Any], expected: str) -> None:
    rewrite(run.events, edit)
    assert [b.expected for b in read(run.events).breaks] == [expected]


@pytest.mark.parametrize(
    "edit", [(b'"rounds":', b'"rounds": '), (b'{"event"', b'{"event":"end","event"')], ids=["a space", "a key twice"]
)
def test_the_last_line_whose_bytes_no_other_line_holds_is_held_by_its_spelling(
    run: RunFolder, edit: tuple[bytes, bytes]
) -> None:
    raw = run.events.read_bytes()
    head, last = raw[:-1].rsplit(b"\n", 1)
    run.events.write_bytes(head + b"\n" + last.replace(*edit) + b"\n")
    [fault] = read(run.events).breaks
    assert fault.where == f"{run.events}:9"


def rewritten(path: Path, number: int, line: bytes) -> None:
    """Exchange a line (from 0) and mend the hashes of all that follow, byte for byte."""
    found = path.read_bytes().split(b"\n")[:-1]
    found[number] = line
    for at in range(number + 1, len(found)):
        prev = json.loads(found[at])["prev"].encode()
        found[at] = found[at].replace(prev, hashlib.sha256(found[at - 1]).hexdigest().encode())
    path.write_bytes(b"".join(each + b"\n" for each in found))


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.replace(b'{"budget":', b'{"budget":99999,"budget":', 1),
        lambda line: line.replace(b'"metrics":{', b'"metrics":{"accuracy":1,', 1),
        lambda line: line.replace(b",", b", ", 1),
        lambda line: line.replace(b'"event"', b'"\\u0065vent"', 1),
        lambda line: line + b"\r",
        lambda line: b"\t" + line,
    ],
    ids=["a key twice", "a metric twice", "a space", "an escape", "a carriage return", "a tab"],
)
def test_in_a_mended_chain_another_spelling_of_any_line_shows(run: RunFolder, edit: Callable[[bytes], bytes]) -> None:
    line = run.events.read_bytes().split(b"\n")[3]
    assert edit(line) != line
    rewritten(run.events, 3, line)
    assert not read(run.events).breaks
    rewritten(run.events, 3, edit(line))
    [fault] = read(run.events).breaks
    assert fault.where == f"{run.events}:4"


def test_a_byte_order_mark_shows(run: RunFolder) -> None:
    run.events.write_bytes(b"\xef\xbb\xbf" + run.events.read_bytes())
    assert read(run.events).breaks


def test_numbers_that_python_spells_otherwise_are_no_edit(run: RunFolder) -> None:
    rewrite(run.events, lambda e: e[3]["metrics"].update(nll=1.5))
    spelled = run.events.read_bytes().split(b"\n")[3].replace(b'"nll":1.5', b'"nll":1e-7')
    rewritten(run.events, 3, spelled)
    assert not read(run.events).breaks


@pytest.mark.parametrize(
    ("kind", "said"),
    [("pipe", "not a regular file"), ("folder", "Is a directory"), ("large", "at most 268435456 are read")],
)
def test_what_would_never_end_or_fill_the_memory_is_not_read(run: RunFolder, kind: str, said: str) -> None:
    if kind == "large":
        os.truncate(run.events, 2**30 + 1)  # sparse: takes no room
    else:
        run.events.unlink()
        os.mkfifo(run.events) if kind == "pipe" else run.events.mkdir()
    with pytest.raises(RecordError, match=said):
        read(run.events)


def test_a_line_that_is_no_event_does_not_shift_the_numbers_of_the_others(run: RunFolder) -> None:
    raw = run.events.read_bytes().split(b"\n")
    raw[3] = b"\x00 not json"
    run.events.write_bytes(b"\n".join(raw))
    record = read(run.events)
    assert record.lines == (1, 2, 3, 5, 6, 7, 8, 9)
    assert [b.where.rsplit(":", 1)[1] for b in record.breaks] == ["4", "5"]


@pytest.mark.parametrize(
    "line",
    [b"[" * 10_000, b'{"event": 1}', b"null", b'"run"', b"\xff\xfe", b'{"seq": ' + b"9" * 5000 + b"}", b"", b"NaN"],
)
def test_hostile_lines_are_faults_not_crashes(run: RunFolder, line: bytes) -> None:
    run.events.write_bytes(run.events.read_bytes() + line + b"\n")
    assert read(run.events).breaks


def test_a_newer_schema_is_refused_by_name(run: RunFolder) -> None:
    rewrite(run.events, lambda e: e[0].update(schema_version=2, new_field=1))
    with pytest.raises(RecordError, match="schema version up to 1"):
        read(run.events)


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="a readable record"):
        read(tmp_path / "none.jsonl")


def test_cut_at_any_byte_the_whole_lines_remain_and_it_can_go_on(run: RunFolder) -> None:
    raw = run.events.read_bytes()
    ends = [i + 1 for i, b in enumerate(raw) if b == 10]
    for cut in [0, 1, ends[0] - 1, ends[0], ends[0] + 1, ends[3] + 7, ends[-1] - 1]:
        run.events.write_bytes(raw[:cut])
        record = read(run.events)
        whole = sum(end <= cut for end in ends)
        assert (len(record.events), record.breaks, record.sealed) == (whole, (), False)
        assert record.whole_bytes + record.torn_bytes == cut
        with open_record(run) as (writer, before):
            assert (before is None) == (whole == 0)
            if before is not None:
                writer.append(ResumeEvent(next_round=0, environment={}))
        after = read(run.events)
        assert (after.breaks, after.torn_bytes, len(after.events)) == ((), 0, whole + (whole > 0))


def test_a_torn_tail_is_set_aside_never_lost(run: RunFolder) -> None:
    for tail in (b'{"event":"ro', b"second"):
        run.events.write_bytes(run.events.read_bytes() + tail)
        with open_record(run):
            pass
    assert (run.path / "events.torn-0").read_bytes() == b'{"event":"ro'
    assert (run.path / "events.torn-1").read_bytes() == b"second"
    assert read(run.events).sealed


def test_an_unsound_record_is_left_untouched(run: RunFolder) -> None:
    rewrite(run.events, lambda e: e.pop(3), rechain=False)
    before = run.events.read_bytes() + b"torn"
    run.events.write_bytes(before)
    with pytest.raises(RecordError, match="nothing was changed"), open_record(run):
        pass
    assert run.events.read_bytes() == before


def test_a_second_writer_is_refused_while_the_first_writes(run: RunFolder) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from protocol.record.layout import RunFolder\n"
        "from protocol.record.chain import open_record\n"
        "from protocol.errors import RunLocked\n"
        "try:\n    with open_record(RunFolder(Path(sys.argv[1]))): print('wrote')\n"
        "except RunLocked: print('locked')\n"
    )

    def other_process() -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(run.path)], capture_output=True, text=True, check=True
        ).stdout.strip()

    with open_record(run):
        with pytest.raises(RunLocked), open_record(run):
            pass
        assert other_process() == "locked"
    assert other_process() == "wrote"


def test_essence_ignores_times_costs_places_and_interruptions_and_nothing_else(run: RunFolder, tmp_path: Path) -> None:
    original = essence(read(run.events))
    assert len(original) == 9

    def harmless(events: Lines) -> None:
        for event in events:
            event["time"] = "2001-01-01T00:00:00.000+00:00"
        events[0]["environment"] = {"made": "elsewhere"}
        events[3]["cost"] = {"train_s": 99.0}
        events.insert(4, json.loads(ResumeEvent(next_round=1, environment={"pid": 3}).model_dump_json()))
        events.insert(4, json.loads(FailureEvent(round=1, kind="OSError", message="full").model_dump_json()))

    rewrite(run.events, harmless)
    assert read(run.events).breaks == ()
    assert essence(read(run.events)) == original
    rewrite(run.events, lambda e: e[3].update(steps=6))
    assert essence(read(run.events)) != original


def test_a_line_is_written_whole_then_synced_before_append_returns(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    write, fsync = os.write, os.fsync

    def noted_write(descriptor: int, data: bytes) -> int:
        calls.append(f"write {bytes(data).count(10)} line")
        return write(descriptor, data)

    def noted_fsync(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    rewrite(run.events, lambda e: e.pop())
    with open_record(run) as (writer, _):
        monkeypatch.setattr(os, "write", noted_write)
        monkeypatch.setattr(os, "fsync", noted_fsync)
        writer.append(EndEvent(rounds=3))
    assert calls == ["write 1 line", "fsync"]


@pytest.mark.parametrize("what", ["write", "fsync"])
def test_after_a_full_disk_the_record_is_still_sound(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The failure itself is recorded next; half a line before it would ruin the chain."""
    write = os.write

    def short(descriptor: int, data: bytes) -> int:
        return write(descriptor, bytes(data)[:20])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    rewrite(run.events, lambda e: e.pop())
    with open_record(run) as (writer, _):
        with monkeypatch.context() as patch:
            patch.setattr(os, what, short if what == "write" else full)
            with pytest.raises(OSError, match="No space left"):
                writer.append(EndEvent(rounds=3))
        writer.append(FailureEvent(round=3, kind="OSError", message="No space left on device"))
    record = read(run.events)
    assert (record.breaks, record.torn_bytes, record.failed, len(record.events)) == ((), 0, True, 9)
    assert lines(run.events)[-1]["event"] == "failure"


def test_a_record_with_a_second_name_is_read_but_not_continued(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "backup").hardlink_to(run.events)
    before = run.events.read_bytes()
    assert read(run.events).sealed
    with pytest.raises(RecordError, match="linked from another folder"), open_record(run):
        pass
    assert (tmp_path / "backup").read_bytes() == before


def test_a_linked_record_is_neither_read_nor_continued(run: RunFolder, tmp_path: Path) -> None:
    run.events.rename(tmp_path / "elsewhere")
    run.events.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="a link, which is not followed"):
        read(run.events)
    with pytest.raises(RecordError, match="a link, which is not followed"), open_record(run):
        pass

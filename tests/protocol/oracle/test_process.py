"""The oracle in another process: what crosses the pipe, what is refused, and what its own ledger keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from protocol.draws.splits import make_split
from protocol.errors import RecordError, RuleBroken
from protocol.oracle.oracle import Oracle
from protocol.oracle.process import OracleGone, OracleServer, RemoteOracle, receive, send
from protocol.record.chain import open_record, read
from protocol.record.events import ExaminedEvent, LabelsEvent
from protocol.record.layout import RunFolder
from tests.support.study_builder import IMAGES, first_event, make_labels, make_study, split_card

STUDY = make_study()
PROTOCOL = STUDY.protocols[0]
SPLIT = make_split(PROTOCOL, 0, IMAGES, 0)
LABELS = make_labels()
CARD = split_card(SPLIT, LABELS[SPLIT.test])


@contextmanager
def session(
    path: Path,
    write: Callable[..., None] = lambda *_: None,
    tell: Callable[..., None] | None = None,
    *,
    upper_line: bool = False,
) -> Iterator[RemoteOracle]:
    """Both sides in one process, a thread for the oracle's; leaving it hangs up."""
    ours, theirs = Pipe()
    with open_record(RunFolder(path)) as (writer, before):
        if before is None:
            writer.append(first_event(PROTOCOL, STUDY.strategies[0], 0, CARD, study=STUDY.fingerprint))
        server = OracleServer(PROTOCOL, 0, SPLIT, LABELS, writer, before, upper_line=upper_line)
        thread = Thread(target=server.serve, args=(theirs,))
        thread.start()
        try:
            yield RemoteOracle(PROTOCOL, ours, SPLIT, write, tell)
        finally:
            ours.close()
            thread.join()
            theirs.close()


def nothing(*_: Any) -> None:
    pass


def test_it_sells_what_the_oracle_beside_it_sells(tmp_path: Path) -> None:
    beside = Oracle(PROTOCOL, 0, SPLIT, LABELS, nothing)
    beside.start()
    written: list[tuple[str, int, int, int]] = []
    with session(
        tmp_path, lambda sale: written.append((sale.purpose, len(sale.indices), sale.before, sale.after))
    ) as far:
        far.start()
        for oracle in (beside, far):
            oracle.buy(oracle.unlabelled[3:9])
        assert np.array_equal(far.labelled, beside.labelled)
        assert np.array_equal(far.unlabelled, beside.unlabelled)
        assert np.array_equal(far.labels_of(far.labelled)[1], LABELS[far.labelled])
        for ours, theirs in zip(far.validation(), beside.validation(), strict=True):
            assert np.array_equal(ours, theirs)
        predicted = np.arange(40) % 3
        table = np.log(np.random.default_rng(1).dirichlet(np.ones(3), 40)).astype(np.float16)
        assert far.examine(predicted, table) == beside.examine(predicted, table)
    assert written == [("validation", 6, 0, 6), ("initial", 10, 6, 16), ("query", 6, 16, 22)]
    assert [e.event for e in read(tmp_path / "events.jsonl").events] == [
        "run",
        "labels",
        "labels",
        "labels",
        "examined",
    ]


def test_it_tells_labels_unpaid_to_the_upper_line_alone_and_writes_it_down_first(tmp_path: Path) -> None:
    told: list[list[int]] = []
    with session(tmp_path / "upper", nothing, lambda indices: told.append(indices.tolist()), upper_line=True) as far:
        far.start()
        assert np.array_equal(far.disclose(), LABELS[far.unlabelled])
        assert told == [far.unlabelled.tolist()]
    assert [e.event for e in read(tmp_path / "upper" / "events.jsonl").events][-1] == "disclosure"
    for name, tell in (
        ("asks", nothing),
        ("does not", None),
    ):  # a competitor whose own side is tampered with, and one as it is
        with session(tmp_path / name, nothing, tell) as far:
            far.start()
            with pytest.raises(RuleBroken, match="BUD-06"):
                far.disclose()
        assert [e.event for e in read(tmp_path / name / "events.jsonl").events][-1] == "labels"


def test_it_refuses_what_the_oracle_refuses_and_names_the_rule(tmp_path: Path) -> None:
    with session(tmp_path) as far:
        far.start()
        for wrong, rule in (
            (far.labelled[:6], "BUD-03"),
            (SPLIT.test[:6], "BUD-04"),
            (far.unlabelled[:7], "BUD-01"),
        ):
            with pytest.raises(RuleBroken) as caught:
                far.buy(wrong)
            assert caught.value.rule == rule
            assert str(caught.value).count(rule) == 1


def test_the_test_labels_are_looked_at_once_a_round(tmp_path: Path) -> None:
    with session(tmp_path) as far:
        far.start()
        far.examine(np.zeros(40, np.int64))
        with pytest.raises(RuleBroken, match="ISO-02"):
            far.examine(np.ones(40, np.int64))
        far.buy(far.unlabelled[:6])
        far.examine(np.ones(40, np.int64))
        far.buy(far.unlabelled[:8])
        with pytest.raises(RecordError, match="40 classes"):
            far.examine(np.ones(39, np.int64))


def test_a_later_session_goes_on_where_the_ledger_says(tmp_path: Path) -> None:
    with session(tmp_path) as far:
        far.start()
        first = far.labelled
        asked = far.unlabelled[:6]
        far.buy(asked)
    with session(tmp_path) as far:  # the run's record had lost its last purchase
        far.restore("validation", SPLIT.validation)
        far.restore("initial", first)
        far.buy(asked)
        far.buy(far.unlabelled[:8])
    assert [len(e.indices) for e in read(tmp_path / "events.jsonl").of(LabelsEvent)] == [6, 10, 6, 8]


def test_another_attempt_may_not_buy_something_else(tmp_path: Path) -> None:
    with session(tmp_path) as far:
        far.start()
        far.buy(far.unlabelled[:6])
    with session(tmp_path) as far:
        far.start()
        with pytest.raises(RuleBroken, match="ISO-01"):
            far.buy(far.unlabelled[6:12])


def test_a_claim_to_have_paid_is_not_believed(tmp_path: Path) -> None:
    with session(tmp_path) as far:
        with pytest.raises(RuleBroken, match="no further labels"):
            far.restore("initial", SPLIT.pool[:10])
        with pytest.raises(RuleBroken, match="ISO-01"):
            far.restore("validation", SPLIT.validation)
        far.start()
        assert not set(far.labels_of(far.labelled)[1].tolist()) - {0, 1, 2}
    assert [e.event for e in read(tmp_path / "events.jsonl").events] == ["run", "labels", "labels"]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"do":"labels","indices":[1.5]}',
        b'{"do":"all labels"}',
        b"[" * 100_000,
        b'{"do":"examine","indices":[99999999999]}',
        b'{"do":"labels","indices":[99999999999999999999]}',
        b'{"do":"examine","table":"?"}',
    ],
)
def test_what_is_no_request_is_refused_and_changes_nothing(tmp_path: Path, message: bytes) -> None:
    with session(tmp_path) as far:
        far.start()
        far._pipe.send_bytes(message)
        with pytest.raises(RecordError):
            receive(far._pipe)
        assert len(far.labels_of(far.labelled)[1]) == 10
    assert not read(tmp_path / "events.jsonl").of(ExaminedEvent)


def test_an_oracle_that_is_gone_is_an_error_of_its_own() -> None:
    ours, theirs = Pipe()
    theirs.close()
    with pytest.raises(OracleGone, match="run the command again"):
        receive(ours)
    with pytest.raises(OracleGone, match="run the command again"):
        send(ours, {})
    ours.close()


def test_answers_are_json_so_nothing_is_executed(tmp_path: Path) -> None:
    ours, theirs = Pipe()
    send(ours, {"a": [1]})
    assert json.loads(theirs.recv_bytes()) == {"a": [1]}
    ours.close()
    theirs.close()

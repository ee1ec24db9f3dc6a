"""Evidence of other tools: rules that it can answer are answered, all others cannot be verified."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.foreign.curve_table import check_table
from protocol.foreign.index_lists import check_indices
from protocol.foreign.one_record import check_record
from protocol.record.layout import StudyFolder
from protocol.rules import RULES, Compliance, check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.toml_files import parse
from protocol.testing import assert_compliant
from tests.support.study_builder import build_study, lines, protocol_table, rewrite

COMPARING = {r.id for r in RULES.values() if r.reads & {"presence", "peers"}}


def answered(result: Compliance, answer: str) -> set[str]:
    return {r.rule.id for r in result.results if r.answer == answer}


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return build_study(tmp_path / "study")


# One record


def test_a_record_in_its_study_answers_all_but_comparisons(study: StudyFolder) -> None:
    path = study.run(RunId("small", "first", 0)).events
    result = check_record(path)
    assert (result.planned, result.source, result.exit_code) == (1, "record", 3)
    assert answered(result, "unverifiable") == COMPARING
    assert answered(result, "broken") == set()
    rewrite(path, lambda e: e[5].update(budget=23))
    broken = [f for f in check_record(path).findings if f.answer == "broken"]
    assert [(f.rule, f.where) for f in broken] == [("BUD-02", "records/small/first/seed-0/events.jsonl:6")]


def test_a_record_alone_cannot_show_its_split_or_plan(study: StudyFolder, tmp_path: Path) -> None:
    alone = tmp_path / "mailed.jsonl"
    shutil.copy(study.run(RunId("small", "first", 0)).events, alone)
    rewrite(alone, lambda e: e[4]["indices"].reverse())
    result = check_record(alone)
    assert answered(result, "broken") == {"QRY-02"}
    assert {"PRO-02", "SPL-01", "EVL-01", "STA-02", "ISO-01"} <= answered(result, "unverifiable")
    assert {"PRO-01", "BUD-01", "SED-01", "TRN-02", "EVL-04", "QRY-01"} <= answered(result, "obeyed")
    assert {f.where for f in result.findings if f.rule == "QRY-02"} == {"mailed.jsonl:5"}


@pytest.mark.parametrize("content", [b"", b"garbage\n", b'{"event":"end","rounds":1}\n'])
def test_what_is_no_record_is_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(InputError, match="run"):
        check_record(tmp_path / "x.jsonl")


def test_an_unplanned_record_is_refused(study: StudyFolder) -> None:
    copy = study.run(RunId("small", "first", 7)).path
    shutil.copytree(study.run(RunId("small", "first", 0)).path, copy)
    with pytest.raises(InputError, match="in no plan"):
        check_record(copy / "events.jsonl")


# Tables


PROTOCOL = parse(Protocol, protocol_table(splits={"test_size": 40}), "p")
Rows = list[dict[str, Any]]


def rows() -> Rows:
    return [
        {
            "strategy": s,
            "seed": seed,
            "budget": b,
            "value": 0.5 + 0.01 * k + 0.001 * seed + (0.02 if s == "mine" else 0),
        }
        for s in ("random", "mine")
        for seed in range(6)
        for k, b in enumerate((16, 22, 30))
    ]


def table(path: Path, content: Rows) -> Path:
    columns = list(dict.fromkeys(c for row in content for c in row))
    path.write_text(
        "\n".join([",".join(columns), *(",".join(str(row.get(c, "")) for c in columns) for row in content)]) + "\n"
    )
    return path


ANSWERABLE = {"CMP-01", "CMP-04", "BUD-02", "EVL-03", "STA-01", "STA-02", "STA-03"}


def test_a_good_table_is_not_decidable_and_says_why(tmp_path: Path) -> None:
    result = check_table(table(tmp_path / "c.csv", rows()), PROTOCOL)
    assert (result.planned, result.sealed, result.exit_code) == (12, 12, 3)
    assert answered(result, "obeyed") == ANSWERABLE
    assert answered(result, "unverifiable") == set(RULES) - ANSWERABLE
    [finding] = [f for f in result.findings if f.rule == "TRN-01"]
    assert finding.found == "a table of curves, which holds only budgets and metrics"
    assert {r.evaluated for r in result.results if r.answer == "unverifiable"} == {0}


@pytest.mark.parametrize(
    ("change", "broken", "line"),
    [
        (lambda r: r.__delitem__(slice(33, 36)), "CMP-01", None),
        (lambda r: r.__delitem__(slice(0, 3)), "CMP-01 CMP-04", None),
        (lambda r: r.__delitem__(slice(0, 18)), "CMP-01 CMP-04", None),
        (lambda r: r[19].update(budget=23), "BUD-02", 21),
        (lambda r: r[20].update(budget=31), "BUD-02", 22),
        (lambda r: r.pop(20), "BUD-02", None),
        (lambda r: r.insert(20, dict(r[19])), "BUD-02", 22),
        (lambda r: r[19].update(value="nan"), "EVL-03", 21),
        (lambda r: r[19].update(value="inf"), "EVL-03", 21),
        (lambda r: r[19].update(value=93.1), "EVL-03", 21),
        (lambda r: [r[18 + k].update(value=r[21 + k]["value"]) for k in range(3)], "STA-02", 23),
        (lambda r: (r.__delitem__(slice(30, 36)), r.__delitem__(slice(12, 18))), "STA-01", None),
    ],
    ids=[
        "a seed dropped",
        "a random seed dropped",
        "no random",
        "budget",
        "over budget",
        "a round missing",
        "a round twice",
        "nan",
        "inf",
        "per cent",
        "same curves",
        "few seeds",
    ],
)
def test_what_a_table_can_show_is_found(
    tmp_path: Path, change: Callable[[Rows], object], broken: str, line: int | None
) -> None:
    content = rows()
    change(content)
    result = check_table(table(tmp_path / "c.csv", content), PROTOCOL)
    assert answered(result, "broken") == set(broken.split())
    if line is not None:
        assert f"{tmp_path / 'c.csv'}:{line}" in {f.where for f in result.findings if f.rule in broken}


def test_the_rows_of_the_protocol_are_chosen(tmp_path: Path) -> None:
    other = [row | {"protocol": "other", "budget": 5, "metric": "accuracy"} for row in rows()]
    own = [row | {"protocol": "small", "metric": "accuracy"} for row in rows()]
    noise = [row | {"metric": "loss", "value": 7} for row in own]
    assert answered(check_table(table(tmp_path / "c.csv", other + own + noise), PROTOCOL), "obeyed") == ANSWERABLE
    with pytest.raises(InputError, match="metric"):
        check_table(
            table(tmp_path / "d.csv", [row | {"metric": m} for m in ("f1", "loss") for row in rows()]), PROTOCOL
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no strategy, seed, budget, value"),
        ("strategy,seed,budget\nrandom,0,16\n", "no value"),
        ("strategy,seed,budget,value\n", "only a header"),
        ("strategy,seed,budget,value\n,x,1.5,high\n", r"(?s)seed.*budget.*strategy.*value"),
        ("strategy,seed,budget,value\nrandom,0,16,0.5\nrandom,-1,16,0.5\n", "c.csv:3: seed"),
        (f"strategy,seed,budget,value\nrandom,{'1' * 5000},16,0.5\n", "c.csv:2: seed"),
        (f"strategy,seed,budget,value\nrandom,0,{2**53},0.5\n", "c.csv:2: budget"),
        ("strategy,seed,budget,value\nrandom,0,16,0,5\n", "(?s)c.csv:2.*4 cells.*1 more"),
        ("strategy,seed,budget,value,value\nrandom,0,16,0.5,0.9\n", "value more than once"),
    ],
)
def test_all_faults_of_a_table_are_reported_at_once(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        check_table(tmp_path / "c.csv", PROTOCOL)


def test_a_pipe_in_place_of_a_table_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.csv")
    with pytest.raises(InputError, match="not a regular file"):
        check_table(tmp_path / "c.csv", PROTOCOL)


# Lists of indices


Lists = dict[str, list[list[int]]]


def lists() -> Lists:
    """Two strategies, two seeds, one start per seed; images 0-39 are the test set."""
    start = {seed: list(range(40 + 50 * seed, 56 + 50 * seed)) for seed in range(2)}
    return {
        f"{s}/seed-{seed}": [
            list(start[seed]),
            [56 + 50 * seed + k + 14 * shift for k in range(6)],
            [62 + 50 * seed + k + 14 * shift for k in range(8)],
        ]
        for shift, s in enumerate(("random", "mine"))
        for seed in range(2)
    }


def write_lists(folder: Path, content: Lists, kind: str, *, cumulative: bool = False) -> Path:
    for key, batches in content.items():
        told = (
            [[i for batch in batches[: k + 1] for i in batch] for k in range(len(batches))] if cumulative else batches
        )
        (folder / key).mkdir(parents=True)
        for number, batch in enumerate(told):
            path = folder / key / f"round-{number}.{kind}"
            if kind == "npy":
                np.save(path, np.asarray(batch, np.int64))
            else:
                path.write_text(json.dumps(batch) if kind == "json" else "\n".join(map(str, batch)))
    (folder / "test.json").write_text(json.dumps(list(range(40))))
    return folder


FROM_LISTS = {"CMP-01", "CMP-04", "BUD-01", "BUD-02", "BUD-03", "BUD-04", "SED-02", "SED-04", "SPL-03", "SPL-04"}


@pytest.mark.parametrize("kind", ["npy", "json", "csv", "txt"])
@pytest.mark.parametrize("cumulative", [False, True])
def test_lists_of_any_kind_give_the_same_answers(tmp_path: Path, kind: str, cumulative: bool) -> None:
    result = check_indices(write_lists(tmp_path / "runs", lists(), kind, cumulative=cumulative), PROTOCOL)
    assert answered(result, "obeyed") == FROM_LISTS
    assert answered(result, "broken") == {"STA-01"}
    assert answered(result, "unverifiable") == set(RULES) - FROM_LISTS - {"STA-01"}


def test_a_run_may_be_one_file(tmp_path: Path) -> None:
    for key, batches in lists().items():
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / f"{key}.json").write_text(json.dumps(batches))
    result = check_indices(tmp_path, PROTOCOL)
    assert answered(result, "obeyed") == FROM_LISTS - {"BUD-04", "SPL-03", "SPL-04"}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda c: c["mine/seed-0"][1].append(100), "BUD-01 BUD-02"),
        (lambda c: c["mine/seed-0"][2].pop(), "BUD-02"),
        (lambda c: c["mine/seed-0"].pop(), "BUD-02"),
        (lambda c: c["mine/seed-0"][1].__setitem__(0, 40), "BUD-03"),
        (lambda c: c["mine/seed-0"][1].__setitem__(0, 7), "BUD-04"),
        (lambda c: c["mine/seed-0"][0].__setitem__(0, 105), "SED-02"),
        (lambda c: [c[f"{s}/seed-1"].__setitem__(0, c[f"{s}/seed-0"][0]) for s in ("random", "mine")], "SED-04"),
        (lambda c: c.pop("random/seed-1"), "CMP-01 CMP-04"),
    ],
    ids=[
        "one more",
        "one fewer",
        "a round missing",
        "twice",
        "a test image",
        "another start",
        "the start of another seed",
        "random missing",
    ],
)
def test_what_lists_can_show_is_found(tmp_path: Path, change: Callable[[Lists], object], broken: str) -> None:
    content = lists()
    change(content)
    result = check_indices(write_lists(tmp_path / "runs", content, "npy"), PROTOCOL)
    assert answered(result, "broken") == {"STA-01", *broken.split()}
    wheres = {f.where for f in result.findings if f.rule == broken and f.run}
    assert all(str(tmp_path) in where for where in wheres)


def test_bad_lists_are_said_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="round-<k>"):
        check_indices(tmp_path, PROTOCOL)
    folder = write_lists(tmp_path / "runs", lists(), "json")
    (folder / "mine" / "seed-0" / "round-0.json").write_text("[1, 2.5]")
    (folder / "mine" / "seed-1" / "round-1.json").write_text("{")
    np.save(folder / "pool.npy", np.zeros((2, 2)))
    counted = parse(Protocol, protocol_table(), "p")
    with pytest.raises(InputError) as caught:
        check_indices(folder, counted)
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "mine/seed-0/round-1.json").write_text(f"[{10**300}]"), "round-1.json"),
        (lambda f: (f / "mine/seed-0/round-1.txt").write_text(str(2**53)), "round-1.txt"),
        (lambda f: np.save(f / "mine/seed-0/round-1.npy", np.asarray([2**63], np.uint64)), "round-1.npy"),
        (lambda f: (f / "test.json").write_text(f"[{10**300}]"), "test.json"),
        (lambda f: (f / "mine/seed-0.json").write_text(f"[[{2**53}]]"), "(?s)seed-0.json.*seed-0, too"),
        (lambda f: shutil.copytree(f / "mine/seed-0", f / "mine/seed-00"), "(?s)seed-00.*seed-0, too"),
        (lambda f: shutil.copytree(f / "mine/seed-0", f / f"mine/seed-{2**53}"), "seed-<n>"),
    ],
    ids=["json", "txt", "npy", "test", "a file beside a folder", "one seed by two names", "a seed beyond all"],
)
def test_lists_with_numbers_beyond_all_or_a_run_twice_are_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = write_lists(tmp_path / "runs", lists(), "json")
    change(folder)
    with pytest.raises(InputError, match=message):
        check_indices(folder, PROTOCOL)


# Other people's tests


def test_assert_compliant(study: StudyFolder) -> None:
    assert assert_compliant(study.path).exit_code == 0
    with pytest.raises(AssertionError, match="CMP-01"):
        assert_compliant(study.run(RunId("small", "first", 0)).events)
    assert assert_compliant(study.run(RunId("small", "first", 0)).events, undecidable=True).exit_code == 3
    rewrite(study.run(RunId("small", "first", 0)).events, lambda e: e[5].update(budget=23))
    with pytest.raises(AssertionError, match=r"BUD-02 .*events\.jsonl:6: expected round 1 at budget 22.*To do"):
        assert_compliant(study.path, undecidable=True)
    assert check_study(study.path).exit_code == 1
    assert lines(study.run(RunId("small", "first", 0)).events)[5]["budget"] == 23

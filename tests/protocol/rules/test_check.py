"""Results of a check as a whole: answers, counts, places, exit codes. No input crashes it or passes unnoticed."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.rules import GROUPS, RULES, check_study, rule
from protocol.rules.rule import RunRule
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study, obedient_study, protocol_table


def test_findings_point_at_file_and_line_and_say_what_to_do(victim: Any) -> None:
    victim.edit(lambda e: e[5].update(budget=23))
    [finding] = check_study(victim.folder.path).findings
    assert finding.rule == "BUD-02"
    assert finding.run == "small/first/seed-0"
    assert finding.where == "records/small/first/seed-0/events.jsonl:6"
    assert "round 1 at budget 22 with 16 training labels" in finding.expected
    assert "budget 23" in finding.found
    assert finding.fix == RULES["BUD-02"].fix


def test_a_result_travels_between_processes(victim: Any) -> None:
    result = check_study(victim.folder.path)
    assert pickle.loads(pickle.dumps(result)) == result
    assert all(pickle.loads(pickle.dumps(each)) is each for each in RULES.values())


def test_lines_are_right_behind_a_line_that_is_no_event(victim: Any) -> None:
    victim.edit(lambda e: (e[5].update(budget=23), e.insert(3, {"event": "gift"})))
    places = {f.where for f in check_study(victim.folder.path).findings if f.rule == "BUD-02"}
    assert places == {"records/small/first/seed-0/events.jsonl:7"}


def test_runs_that_could_not_be_looked_at_are_counted(victim: Any) -> None:
    shutil.rmtree(victim.run.path)
    victim.folder.run(RunId("small", "last", 1)).predictions(0).unlink()
    result = check_study(victim.folder.path)
    assert (result.planned, result.present, result.sealed, result.unplanned) == (6, 5, 5, 0)
    counts = {r.rule.id: r.evaluated for r in result.results}
    assert counts["CMP-01"] == 6
    assert counts["CMP-03"] == counts["BUD-01"] == counts["TRN-01"] == 5
    assert counts["EVL-01"] == counts["EVL-02"] == 4
    assert "5 of 6 planned runs finished" in result.summary()


def test_json_and_table_say_the_same(victim: Any) -> None:
    victim.edit(lambda e: e[7]["metrics"].update(accuracy=0.95))
    result = check_study(victim.folder.path)
    data = json.loads(result.to_json())
    assert data["schema"] == "beatrandom/compliance/1"
    assert (data["answer"], data["exit_code"], data["fingerprint"]) == ("broken", 1, obedient_study().fingerprint)
    assert data["runs"] == {"planned": 6, "present": 6, "sealed": 6, "unplanned": 0, "failures": 0, "interruptions": 0}
    assert [r["id"] for r in data["rules"]] == list(RULES) == [row["rule"] for row in result.table()]
    [broken] = [r for r in data["rules"] if r["answer"] == "broken"]
    assert broken["id"] == "EVL-01"
    assert broken["findings"][0]["found"] == "0.95"
    [row] = [row for row in result.table() if row["rule"] == "EVL-01"]
    assert row == {
        "rule": "EVL-01",
        "title": RULES["EVL-01"].title,
        "severity": "error",
        "answer": "broken",
        "runs": "6/6",
        "findings": "1",
    }


def test_progress_is_reported_run_by_run(valid_study: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_study(valid_study, lambda done, planned: seen.append((done, planned)))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_checking_changes_nothing(valid_study: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in valid_study.rglob("*")}
    check_study(valid_study)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in valid_study.rglob("*")} == before


@pytest.mark.parametrize(
    "protocols",
    [
        [protocol_table(splits={"test_size": 40})],
        [protocol_table(splits={"test_size": 40, "validation_size": 20, "validation_counted": False})],
        [protocol_table(splits={"test_size": 40, "initial": "balanced"})],
        [protocol_table(budgets=[12])],
        [
            protocol_table(),
            protocol_table(name="other", root_seed=9, metric="balanced_accuracy", splits={"test_size": 40}),
        ],
    ],
    ids=["no validation", "uncounted validation", "balanced start", "one round", "two protocols"],
)
def test_other_protocols_can_be_obeyed_too(tmp_path: Path, protocols: list[dict[str, Any]]) -> None:
    build_study(tmp_path / "s", obedient_study(protocols=protocols))
    result = check_study(tmp_path / "s")
    assert result.findings == ()
    assert result.exit_code == 0


def test_a_folder_without_a_plan_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study\.json"):
        check_study(tmp_path)


def test_a_study_never_run_is_no_success(tmp_path: Path) -> None:
    StudyFolder(tmp_path).adopt(obedient_study())
    result = check_study(tmp_path)
    assert result.exit_code == 1
    assert len([f for f in result.findings if f.rule == "CMP-01"]) == 6
    assert not [r for r in result.results if r.answer == "obeyed" and r.rule.needs != "plan"]


def test_a_rule_that_fails_is_not_obeyed(victim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(run: object) -> Any:
        raise MemoryError
        yield

    original = RULES["QRY-02"]
    failing = RunRule(
        id="QRY-02", title=original.title, why="", evidence="", fix="", reads=original.reads, function=fails
    )
    monkeypatch.setitem(RULES, "QRY-02", failing)
    result = check_study(victim.folder.path)
    assert [(r.rule.id, r.evaluated) for r in result.results if r.answer == "unverifiable"] == [("QRY-02", 0)]
    assert result.exit_code == 3


def test_garbage_gives_few_findings_per_run(victim: Any) -> None:
    victim.run.events.write_bytes(b"garbage\n" * 500)
    assert len([f for f in check_study(victim.folder.path).findings if f.rule == "QRY-01"]) == 20


def _no_bomb(original: Callable[..., NDArray[Any]]) -> Callable[..., NDArray[Any]]:
    def read(file: Any, **options: Any) -> NDArray[Any]:
        array = original(file, **options)
        assert array.nbytes < 2**20, "unpacked"
        return array

    return read


def test_a_bomb_in_a_sidecar_is_not_unpacked(victim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(victim.run.predictions(0), prediction=np.zeros(2**24, np.uint8))
    monkeypatch.setattr("numpy.lib.format.read_array", _no_bomb(np.lib.format.read_array))
    [finding] = {f.found for f in check_study(victim.folder.path).findings}
    assert finding == "uint8 of shape (16777216,)"


def test_a_pickle_in_a_sidecar_is_not_opened(victim: Any) -> None:
    np.savez(victim.run.predictions(0), prediction=np.array([{"a": 1}], dtype=object))
    result = check_study(victim.folder.path)
    assert result.exit_code == 3
    assert all("allow_pickle" in f.found for f in result.findings)


def test_the_registry_is_sound() -> None:
    assert list(RULES) == [r.id for rules in GROUPS.values() for r in rules]
    for group, rules in GROUPS.items():
        assert [r.id for r in rules] == [f"{group}-{n:02d}" for n in range(1, len(rules) + 1)]
    assert all(r.title and r.why and r.evidence and r.fix and r.since for r in RULES.values())
    assert rule("bud-01") is RULES["BUD-01"]
    with pytest.raises(InputError, match="BUD-01"):
        rule("BUD-99")


BEFORE_THE_SEAL = st.floats(0, 1, exclude_max=True)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["cut", "flip", "drop", "double", "insert"]), place=BEFORE_THE_SEAL, byte=st.integers(0, 255)
)
def test_no_damage_to_a_record_crashes_the_check_or_passes_it(victim: Any, kind: str, place: float, byte: int) -> None:
    """Damage anywhere before the seal, whose own time no later line protects."""
    raw = victim.run.events.read_bytes()
    seal = raw.rstrip(b"\n").rfind(b"\n") + 1
    at = int(place * seal)
    chunk = raw[at : at + 1 + byte]
    damaged = {
        "cut": raw[:at],
        "flip": raw[:at] + bytes([raw[at] ^ (byte or 1)]) + raw[at + 1 :],
        "drop": raw[:at] + raw[at + 1 + byte :],
        "double": raw[:at] + chunk + raw[at:],
        "insert": raw[:at] + bytes([byte]) * 3 + raw[at:],
    }[kind]
    victim.run.events.write_bytes(damaged)
    try:
        result = check_study(victim.folder.path)
    finally:
        victim.run.events.write_bytes(raw)
    assert result.exit_code != 0
    assert not [f for f in result.findings if "can read" in f.expected], "a rule failed on the evidence"


HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [None, -1, 10**30, 2**63, 1e308, True, "", "../..", "x" * 300, "\x00", "é", [], {}, [-1], {"a": 1}, [[]]]
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, child in children for leaf in leaves(child, (*path, key)))]


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=st.integers(0, 8), place=BEFORE_THE_SEAL, value=HOSTILE)
def test_hostile_values_in_a_perfect_chain_do_not_crash_the_check(
    victim: Any, line: int, place: float, value: Any
) -> None:
    raw = victim.run.events.read_bytes()

    def change(events: list[dict[str, Any]]) -> None:
        places = leaves(events[line])[1:]
        *parents, last = places[int(place * len(places))]
        spot: Any = events[line]
        for parent in parents:
            spot = spot[parent]
        spot[last] = value

    victim.edit(change)
    try:
        result = check_study(victim.folder.path)
    finally:
        victim.run.events.write_bytes(raw)
    assert not [f for f in result.findings if "can read" in f.expected], "a rule failed on the evidence"
    json.loads(result.to_json())


def test_a_run_that_is_slipped_in_as_a_link_is_unplanned(tmp_path: Path) -> None:
    study = build_study(tmp_path / "study", obedient_study()).path
    run = next(study.rglob("events.jsonl")).parent
    (run.parent / "seed-999").symlink_to(run)
    result = check_study(study)
    assert result.unplanned == 1
    assert {f.rule for f in result.findings if f.answer == "broken"} == {"CMP-02"}


@pytest.mark.parametrize("level", ["events.jsonl", "seed-0", "first", "records"])
def test_planned_evidence_behind_a_link_is_no_evidence(tmp_path: Path, level: str) -> None:
    build_study(tmp_path / "study", obedient_study())
    run = StudyFolder(tmp_path / "study").run(RunId("small", "first", 0))
    place = {"events.jsonl": run.events, "seed-0": run.path, "first": run.path.parent, "records": run.path.parents[2]}[
        level
    ]
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    result = check_study(tmp_path / "study")
    assert result.answer == "unverifiable"
    assert "a link" in result.to_json()

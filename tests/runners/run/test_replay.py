"""Replay and seal through the front door: equal, different, not decidable; and what the checker makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.run.perform import perform
from tests.support.front_door import beatrandom
from tests.support.study_builder import rewrite

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random and margin on toy digits, one seed."""
    from protocol.spec.toml_files import parse

    path = tmp_path_factory.mktemp("replay") / "study"
    regime = {"name": "plain", "steps": 4, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}}
    protocol = {
        "name": "toy",
        "data": {"name": "digits"},
        "splits": {"test_size": 200},
        "budgets": [20, 30, 45],
        "regime": regime,
    }
    table = {"name": "toy", "protocols": [protocol | {"model": {"name": "small-cnn", "width": 4}}], "seeds": [2]}
    study = parse(Study, table | {"strategies": [{"name": "random"}, {"name": "margin"}]}, "toy")
    folder = StudyFolder(path)
    adopt(folder, study, path)
    assert [perform(job).state for job in jobs(folder, study, None, "cpu", 1, planned_runs(study))] == ["done", "done"]
    return path


@pytest.fixture
def study(made: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(made, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def replay(study: StudyFolder, *words: str, code: int = 0, path: Path | None = None) -> list[dict[str, Any]]:
    done = beatrandom("replay", str(path or study.path), *words, "--json", cwd=study.path, check=code)
    return list(json.loads(done.stdout)["rounds"])


def answers(study: StudyFolder, answer: str) -> list[str]:
    """Rules with this answer, but for STA and SED-05: one seed, that is not the first, can never decide."""
    told = json.loads(beatrandom("check", str(study.path), "--json", cwd=study.path, check=None).stdout)
    return [r["id"] for r in told["rules"] if r["answer"] == answer and not r["id"].startswith(("STA", "SED-05"))]


def ask_for_another(round_: int, image: Callable[[Lines], int]) -> Callable[[Lines], None]:
    """Exchange the last label of a query, and of the purchase after it."""

    def change(events: Lines) -> None:
        asked = [e for e in events if e["event"] == "round"][round_]["query"]
        bought = [e for e in events if e["event"] == "labels"][round_ + 1]["indices"]
        asked[-1] = bought[-1] = image(events)

    return change


def never_bought(events: Lines) -> int:
    bought = {i for e in events if e["event"] == "labels" for i in e["indices"]}
    return next(i for i in range(1797) if i not in bought)


def test_what_was_run_is_chosen_again(study: StudyFolder) -> None:
    before = {p: p.read_bytes() for p in study.path.rglob("*") if p.is_file()}
    rounds = replay(study, "--all")
    assert [(r["run"], r["round"], r["answer"]) for r in rounds] == [
        ("toy/random/seed-2", 0, "equal"),
        ("toy/random/seed-2", 1, "equal"),
        ("toy/random/seed-2", 2, "equal"),
        ("toy/margin/seed-2", 0, "equal"),
        ("toy/margin/seed-2", 1, "equal"),
        ("toy/margin/seed-2", 2, "equal"),
    ]
    assert not [r for r in rounds if "other predictions" in r["said"]]
    assert {p: p.read_bytes() for p in study.path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("strategy", ["random", "margin"])
def test_another_query_is_found_and_the_checker_is_told(study: StudyFolder, strategy: str) -> None:
    record = study.run(RunId("toy", strategy, 2)).events
    rewrite(record, ask_for_another(1, never_bought))
    assert answers(study, "broken") == []  # a perfect forgery: every other rule is obeyed
    [first] = replay(study, "--round", "0", path=record)
    assert first["answer"] == "equal"
    [second] = replay(study, "--round", "1", "--keep", path=record.parent, code=1)
    assert second["answer"] == "differs"
    assert "14 of 15 labels reproduced, first difference at position 14" in second["said"]
    assert answers(study, "broken") == ["QRY-06"]
    replay(study, "--round", "0", "--keep", path=record)  # a later success does not wipe it out
    assert answers(study, "broken") == ["QRY-06"]


def test_another_environment_that_trains_differently_decides_nothing(study: StudyFolder) -> None:
    record = study.run(RunId("toy", "margin", 2)).events

    def elsewhere(events: Lines) -> None:
        ask_for_another(1, never_bought)(events)
        events[0]["environment"]["device_name"] = "another processor"
        next(e for e in events if e.get("round") == 1)["predictions"] = "0" * 64

    rewrite(record, elsewhere)
    [outcome] = replay(study, "--round", "1", path=record, code=3)
    assert outcome["answer"] == "undecided"
    assert "device_name" in outcome["said"]


def test_other_predictions_differ_and_another_commit_is_named(study: StudyFolder) -> None:
    record = study.run(RunId("toy", "margin", 2)).events

    def by_other_code(events: Lines) -> None:
        events[0]["environment"]["commit"] = "0123456789abcdef"
        next(e for e in events if e.get("round") == 1)["predictions"] = "0" * 64

    rewrite(record, by_other_code)
    [outcome] = replay(study, "--round", "1", path=record, code=1)
    assert outcome["answer"] == "differs"
    assert "in the same environment (recorded with commit 0123456789ab, replayed with " in outcome["said"]


def test_a_record_that_changed_after_its_replay_is_told(study: StudyFolder) -> None:
    record = study.run(RunId("toy", "random", 2)).events
    replay(study, "--keep", path=record)
    assert answers(study, "broken") == []
    rewrite(record, lambda e: e[-1].update(time=e[-1]["time"].replace(".", ".9")))
    assert answers(study, "broken") == ["QRY-06"]
    kept = next((study.path / "replays").rglob("*.json"))
    kept.write_text("{")
    assert "QRY-06" in answers(study, "unverifiable")


def test_a_sample_is_drawn_by_its_seed(study: StudyFolder) -> None:
    drawn = {replay(study, "--sample", "1", "--seed", str(seed))[0]["run"] for seed in (0, 1, 2, 3)}
    assert len(drawn) == 2
    assert replay(study, "--sample", "9", "--seed", "5") == replay(study, "--all")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["."], "either --all or --sample"),
        ([".", "--all", "--sample", "2"], "either --all or --sample"),
        (["records/toy/random/seed-2", "--all"], "a study folder"),
        (["records/toy/random/seed-2", "--round", "3"], "a round of the record: 0, 1, 2"),
        (["records/toy/random"], "the folder of a run inside a study's records/"),
        (["nowhere"], "the folder of a run inside a study's records/"),
    ],
)
def test_wrong_usage_is_said(study: StudyFolder, words: list[str], said: str) -> None:
    done = beatrandom("replay", *words, cwd=study.path, check=2)
    assert said in done.stderr


def test_a_broken_record_is_not_replayed(study: StudyFolder) -> None:
    rewrite(study.run(RunId("toy", "random", 2)).events, lambda e: e[2].update(steps=9), rechain=False)
    assert "hash of the line before" in beatrandom("replay", ".", "--all", cwd=study.path, check=2).stderr


def test_the_table_for_people_names_run_round_and_answer(study: StudyFolder) -> None:
    done = beatrandom("replay", "records/toy/random/seed-2", cwd=study.path)
    assert "toy/random/seed-2" in done.stdout
    assert "10 labels reproduced" in done.stdout


def test_a_sealed_study_is_verified_and_a_change_is_named(study: StudyFolder) -> None:
    assert "2 of 2 planned runs finished" in beatrandom("seal", ".", cwd=study.path).stdout
    number = json.loads(beatrandom("seal", ".", "--json", cwd=study.path).stdout)["manifest"]
    replay(
        study, "--keep", path=study.run(RunId("toy", "random", 2)).events
    )  # what others find out is not under the seal
    done = beatrandom("verify", ".", cwd=study.path)
    assert number in done.stdout
    assert "unchanged since the seal" in done.stdout
    rewrite(study.run(RunId("toy", "random", 2)).events, lambda e: e[2]["metrics"].update(accuracy=0.9))
    done = beatrandom("verify", ".", cwd=study.path, check=1)
    assert "records/toy/random/seed-2/events.jsonl" in done.stdout
    assert "1 changed" in done.stdout


def test_a_signer_who_was_asked_for_and_did_not_sign(study: StudyFolder, tmp_path: Path) -> None:
    beatrandom("seal", ".", cwd=study.path)
    (tmp_path / "signers").write_text("")
    words = ("--signers", str(tmp_path / "signers"), "--identity", "ada")
    assert "the author of the manifest is unknown" in beatrandom("verify", ".", *words, cwd=study.path, check=3).stdout
    assert "both or neither" in beatrandom("verify", ".", *words[:2], cwd=study.path, check=2).stderr
    study.manifest.unlink()
    assert "beatrandom seal" in beatrandom("verify", ".", cwd=study.path, check=2).stderr

"""Break one thing in a study whose oracles kept ledgers: exactly the rules that must fire do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.record.chain import open_record, read
from protocol.record.events import ExaminedEvent, LabelsEvent, ResumeEvent, RoundEvent
from protocol.record.layout import RunFolder, StudyFolder, predictions_digest
from protocol.rules import RULES, check_study
from protocol.spec.run_id import RunId
from tests.support.study_builder import lines, rewrite


def isolate(folder: StudyFolder) -> None:
    """Give every run the ledger that a separate oracle would have kept."""
    for record in sorted(folder.records.rglob("events.jsonl")):
        rewrite(record, lambda e: e[0]["environment"].update(isolated=True))
        whole = read(record)
        assert whole.run is not None
        with open_record(oracle_of(folder, record)) as (writer, _):
            writer.append(whole.run.model_copy(update={"environment": {"role": "oracle"}}))
            for event in whole.events:
                if isinstance(event, LabelsEvent):
                    writer.append(event)
                elif isinstance(event, RoundEvent):
                    writer.append(
                        ExaminedEvent(round=event.round, predictions=event.predictions, metrics=event.metrics)
                    )


def oracle_of(folder: StudyFolder, record: Path) -> RunFolder:
    return RunFolder(folder.path / "oracle" / record.parent.relative_to(folder.records))


@pytest.fixture(scope="module")
def isolated_study(valid_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("isolated") / "study"
    shutil.copytree(valid_study, path)
    isolate(StudyFolder(path))
    return path


@pytest.fixture
def study(isolated_study: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(isolated_study, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def ledger(study: StudyFolder) -> Path:
    return study.oracle(RunId("small", "first", 0)).events


def record(study: StudyFolder) -> Path:
    return study.run(RunId("small", "first", 0)).events


def look_again(study: StudyFolder, sessions: int) -> None:
    """Evaluate round 2 again with other predictions, after `sessions` later sessions."""
    with open_record(study.oracle(RunId("small", "first", 0))) as (writer, before):
        assert before is not None
        last = before.of(ExaminedEvent)[-1]
        for _ in range(sessions):
            writer.append(ResumeEvent(next_round=2, environment={}))
        other = predictions_digest(np.zeros(40, np.int64))
        writer.append(last.model_copy(update={"predictions": other}))
        writer.append(last)


def test_an_isolated_study_is_compliant(study: StudyFolder) -> None:
    result = check_study(study.path)
    assert (result.exit_code, result.findings) == (0, ())


# Lines of a ledger: 0 run, 1 validation, 2 initial, 3 examined, 4 query, 5 examined, 6 query, 7 examined.
@pytest.mark.parametrize(
    ("do", "broken"),
    [
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e[4]["indices"].reverse()), "ISO-01", id="sold in another order"
        ),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e[4].update(after=23)), "ISO-01", id="sold at another price"
        ),
        pytest.param(lambda s: rewrite(ledger(s), lambda e: e.pop(6)), "ISO-01", id="never sold"),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e.append(dict(e[6]))), "ISO-01", id="sold more than recorded"
        ),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e[0].update(replicate=1)), "ISO-01", id="ledger of another run"
        ),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e[4].update(after=23), rechain=False), "ISO-01", id="edited ledger"
        ),
        pytest.param(lambda s: ledger(s).write_bytes(b"\x00\n"), "ISO-01", id="ledger is noise"),
        pytest.param(lambda s: ledger(s).unlink(), "ISO-01 ISO-04", id="ledger removed"),
        pytest.param(
            lambda s: (ledger(s).unlink(), rewrite(record(s), lambda e: e[0]["environment"].pop("isolated"))),
            "ISO-04",
            id="ledger and claim removed",
        ),
        pytest.param(
            lambda s: rewrite(record(s), lambda e: e[0]["environment"].pop("isolated")), "ISO-01", id="claim removed"
        ),
        pytest.param(
            lambda s: rewrite(record(s), lambda e: e.insert(8, lines(ledger(s))[7] | {"time": e[7]["time"]})),
            "ISO-01",
            id="the oracle's event in the record",
        ),
        pytest.param(lambda s: rewrite(ledger(s), lambda e: e.pop(5)), "ISO-02", id="a round never marked"),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e[5].update(predictions="0" * 64)),
            "ISO-02",
            id="other predictions marked",
        ),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e[5]["metrics"].update(accuracy=0.5)),
            "ISO-02",
            id="other metrics reported",
        ),
        pytest.param(
            lambda s: rewrite(ledger(s), lambda e: e.append(e[7] | {"round": 3})),
            "ISO-02",
            id="a round beyond the record",
        ),
        pytest.param(lambda s: look_again(s, 0), "ISO-02 ISO-03", id="best of three looks in one session"),
        pytest.param(lambda s: look_again(s, 2), "ISO-03", id="other predictions in later sessions"),
    ],
)
def test_exactly_the_rules_that_must_fire_do(study: StudyFolder, do: Callable[[StudyFolder], Any], broken: str) -> None:
    do(study)
    result = check_study(study.path)
    assert set(result.broken()) == set(broken.split())
    assert result.exit_code == (1 if any(RULES[rule].severity == "error" for rule in broken.split()) else 0)
    assert not [r.rule.id for r in result.results if r.answer == "unverifiable"]


def test_a_ledger_that_a_newer_version_wrote_cannot_be_verified(study: StudyFolder) -> None:
    rewrite(ledger(study), lambda e: e[0].update(schema_version=9, news=1))
    result = check_study(study.path)
    assert result.exit_code == 3
    assert [r.rule.id for r in result.results if r.answer == "unverifiable"] == ["ISO-01"]

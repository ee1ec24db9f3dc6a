"""`run --isolate`: the same run with its labels in another process."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import psutil

from protocol.record.chain import essence, read
from protocol.record.events import LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.run.perform import perform
from tests.support.study_builder import rewrite


def job_of(study: Study, path: Path, *, isolate: bool) -> Job:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    run = next(r for r in planned_runs(study) if r.strategy.id == "margin" and r.seed == 0)
    return jobs(folder, study, None, "cpu", 1, [run], isolate)[0]


def test_an_isolated_run_is_the_same_run_and_both_ledgers_agree(toy_study: Study, tmp_path: Path) -> None:
    plain, apart = (job_of(toy_study, tmp_path / name, isolate=name == "apart") for name in ("plain", "apart"))
    assert perform(plain).state == perform(apart).state == "done"
    records = [read(StudyFolder(job.study).run(RunId("toy", "margin", 0)).events) for job in (plain, apart)]
    assert essence(records[0]) == essence(records[1])
    ledger = read(StudyFolder(apart.study).oracle(RunId("toy", "margin", 0)).events)
    assert [e.indices for e in ledger.of(LabelsEvent)] == [e.indices for e in records[1].of(LabelsEvent)]
    answers = {r.rule.id: r for r in check_study(apart.study).results}
    assert not [f for rule in ("ISO-01", "ISO-02", "ISO-03", "ISO-04") for f in answers[rule].findings]

    record = StudyFolder(apart.study).run(RunId("toy", "margin", 0)).events
    record.write_bytes(b"".join(record.read_bytes().splitlines(keepends=True)[:3]))  # killed after the first round
    other = perform(replace(apart, isolate=False))
    assert other.state == "failed"
    assert "continue with the option that the run began with" in other.message
    assert perform(apart).state == "done"
    assert essence(read(record)) == essence(records[1])

    # a second attempt under another root of chance: what the oracle sold before stands against it
    record.unlink()
    rewrite(ledger.path, lambda e: e[3].update(indices=e[3]["indices"][::-1]))
    again = perform(apart)
    assert again.state == "failed"
    assert "ISO-01" in again.message


def test_signals_that_ask_a_whole_job_to_stop_are_not_for_the_oracles_process(toy_study: Study, tmp_path: Path) -> None:
    told: list[int] = []

    def tells(*_: int) -> None:
        for process in psutil.Process().children():
            if "runners.run.oracle_process" in process.cmdline():
                for how in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
                    process.send_signal(how)
                    told.append(how)

    result = perform(job_of(toy_study, tmp_path / "study", isolate=True), tells)
    assert result.state == "done", result
    assert len(told) == 4 * 4


def test_what_the_oracles_process_cannot_do_is_told(toy_study: Study, tmp_path: Path) -> None:
    job = job_of(toy_study, tmp_path / "study", isolate=True)
    ledger = StudyFolder(job.study).oracle(RunId("toy", "margin", 0)).events
    ledger.parent.mkdir(parents=True)
    ledger.write_text(json.dumps({"event": "gift"}) + "\n")
    result = perform(job)
    assert result.state == "failed"
    assert "an intact record to continue" in result.message
    assert not StudyFolder(job.study).run(RunId("toy", "margin", 0)).events.read_bytes()

"""Runs of strategies that are not built in, from a few lines of source."""

from __future__ import annotations

from pathlib import Path

from protocol.record.chain import Record, read
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, resolve


def job_of(path: Path, study: Study, body: str, *, isolate: bool = False, before: str = "", after: str = "") -> Job:
    """A run of an own strategy whose `select` has this body, with lines before and after the function."""
    return job_of_source(path, study, f"{before}\ndef select(view, n, rng):\n    {body}\n{after}\n", isolate=isolate)


def job_of_source(path: Path, study: Study, source: str, *, name: str = "select", isolate: bool = False) -> Job:
    """A run of an own strategy with this source."""
    path.mkdir(exist_ok=True)
    (path / "cheat.py").write_text(source)
    whole = resolve(study.with_strategies((*study.strategies[:1], StrategySpec(name=f"cheat.py:{name}"))), path)
    folder = StudyFolder(path / "study")
    adopt(folder, whole, path)
    [run] = [r for r in planned_runs(whole) if r.strategy.name != "random" and r.seed == 0]
    return jobs(folder, whole, None, "cpu", 1, [run], isolate)[0]


def record_of(job: Job) -> Record:
    """The record of a job's run."""
    return read(StudyFolder(job.study).run(RunId(job.protocol.name, job.strategy.id, job.seed)).events)

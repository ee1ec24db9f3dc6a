"""Evaluate every rule over every planned run.

The plan, not the files found, says how many runs there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocol.record.amendments import Amendment, read_amendments
from protocol.record.layout import StudyFolder
from protocol.rules.evidence import RunEvidence, planned_runs, unplanned_runs
from protocol.rules.facts import Facts, StudyEvidence, facts_of
from protocol.rules.registry import RULES
from protocol.rules.result import Compliance, Result, Source
from protocol.rules.rule import (
    KINDS,
    Answer,
    AnyRule,
    Finding,
    Kind,
    Needs,
    Observation,
    Observations,
    RunRule,
    StudyRule,
    Unverifiable,
    unverifiable,
)
from protocol.rules.strength import Strength
from protocol.spec.study import Study

_MOST_PER_RUN: Final = 20
"""Findings of one rule in one run; a damaged file would otherwise yield one per line."""

Progress = Callable[[int, int], None]
"""Called with (runs checked, runs planned)."""


@dataclass(frozen=True)
class Body:
    """A body of evidence: a study folder, one record, a table of curves, or lists of labelled indices.

    Attributes:
        source: which of these.
        path: of the folder or file.
        study: the plan, or a stand-in for one.
        folder: paths of findings are relative to it.
        runs: every planned run; runs of one split follow each other.
        planned: number of planned runs.
        provides: kinds of evidence it holds; rules that read other kinds cannot be verified.
        lacks: says why, in words, for example "a table of curves, which holds budgets and metrics only".
        unplanned: paths of runs that are in no plan.
        amendments: earlier plans.
    """

    source: Source
    path: str
    study: Study
    folder: StudyFolder
    runs: Iterator[RunEvidence]
    planned: int
    provides: frozenset[Kind] = KINDS
    lacks: str = ""
    unplanned: tuple[str, ...] = ()
    amendments: tuple[Amendment, ...] = ()

    @property
    def plan_path(self) -> str:
        """Return the path of the plan, for findings."""
        return self.folder.plan.name if self.source == "study" else self.path


@dataclass
class _Tally:
    """One rule's findings while the runs go by."""

    rule: AnyRule
    findings: list[Finding] = field(default_factory=list)
    unverified_runs: set[str] = field(default_factory=set)
    """Runs that do not count as evaluated; empty text stands for the study as a whole."""
    blocked: bool = False
    """Whether the source does not hold what the rule reads."""

    def add(self, observations: Iterable[Observation], run: str = "") -> None:
        """Turn observations into findings about `run`, unless they name the run themselves."""
        rule = self.rule
        for o in observations:
            about = o.run or run
            self.findings.append(
                Finding(rule.id, rule.severity, o.answer, about, o.where, o.expected, o.found, rule.fix)
            )
            if o.answer == "unverifiable":
                self.unverified_runs.add(about)

    def block(self, where: str, found: str) -> None:
        """Mark the rule as unverifiable: the source does not hold what it reads."""
        self.blocked = True
        self.add([unverifiable(where, self.rule.evidence, found)])

    def result(self, planned: int, strength: Strength) -> Result:
        evaluated = 0 if self.blocked else planned - len(self.unverified_runs - {""})
        answer: Answer = "obeyed"
        if any(f.answer == "broken" for f in self.findings):
            answer = "broken"
        elif self.unverified_runs or evaluated < planned:
            answer = "unverifiable"
        judges = self.rule.judges
        idle = answer == "obeyed" and judges is not None and not strength.subjects[judges]
        return Result(self.rule, answer, tuple(self.findings), evaluated, planned, idle)


def check_study(path: Path, progress: Progress | None = None) -> Compliance:
    """Evaluate every rule over a study folder; files are only read.

    Args:
        path: the folder that `beatrandom run` wrote.
        progress: called after each run.

    Raises:
        InputError: the folder holds no readable plan.
    """
    folder = StudyFolder(path)
    study = folder.read_plan()
    amendments = read_amendments(folder)
    plans = frozenset({study.fingerprint, *(a.before.fingerprint for a in amendments)})
    planned, runs = sum(1 for _ in study.runs()), planned_runs(folder, study, plans)
    body = Body(
        "study", str(path), study, folder, runs, planned, unplanned=unplanned_runs(folder, study), amendments=amendments
    )
    return evaluate(body, progress)


def evaluate(body: Body, progress: Progress | None = None) -> Compliance:
    """Evaluate every rule on this evidence."""
    tallies = {rule.id: _Tally(rule) for rule in RULES.values()}
    for tally in tallies.values():
        if not tally.rule.reads <= body.provides:
            tally.block(body.path, body.lacks)
    active = [tally for tally in tallies.values() if not tally.blocked]
    facts: list[Facts] = []
    strength = Strength(sealed=body.folder.manifest.exists(), signed=body.folder.signature.exists())
    for run in body.runs:
        facts.append(facts_of(run))
        strength.add(run)
        for tally in active:
            rule = tally.rule
            if not _is_evaluable(facts[-1], rule.needs):
                tally.unverified_runs.add(str(run.key))
            elif isinstance(rule, RunRule):
                observations = _guarded(rule, rule.function(run), str(run.key))
                tally.add(itertools.islice(observations, _MOST_PER_RUN), str(run.key))
        if progress is not None:
            progress(len(facts), body.planned)
    evidence = StudyEvidence(body.folder, body.study, tuple(facts), body.unplanned, body.plan_path, body.amendments)
    for tally in active:
        if isinstance(tally.rule, StudyRule):
            tally.add(_guarded(tally.rule, tally.rule.function(evidence), "study"))
    return Compliance(
        source=body.source,
        path=body.path,
        plan=body.study,
        amended=len(body.amendments),
        failures=sum(f.failures for f in facts),
        interruptions=sum(len(f.environments) - 1 for f in facts if f.environments),
        study=body.study.name,
        fingerprint=body.study.fingerprint,
        planned=body.planned,
        present=sum(f.present for f in facts),
        sealed=sum(f.sealed for f in facts),
        unplanned=len(body.unplanned),
        results=tuple(t.result(body.planned, strength) for t in tallies.values()),
        strength=strength,
        cards={f.key.protocol: f.encoded for f in facts if f.encoded is not None},
    )


def _is_evaluable(facts: Facts, needs: Needs) -> bool:
    return {"plan": True, "file": facts.present, "run": facts.has_run}[needs]


def _guarded(rule: AnyRule, observations: Observations, where: str) -> Observations:
    """Yield observations; a rule that fails on evidence has not been obeyed, it could not be verified."""
    try:
        yield from observations
    except Unverifiable as error:
        yield unverifiable(error.fault)
    except Exception as error:  # records are untrusted input; one that breaks a rule must not end the check
        yield unverifiable(where, f"evidence that {rule.id} can read", f"{type(error).__name__}: {error}"[:200])

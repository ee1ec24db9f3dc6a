"""Was the protocol obeyed? Every rule over every planned run, with the plan as the denominator."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from protocol.folders import StudyFolder
from protocol.rules.base import Answer, AnyRule, Finding, Needs, Observation, Observations, RunRule, StudyRule, unverifiable
from protocol.rules.evidence import Facts, StudyEvidence, facts_of, planned_runs, unplanned_runs
from protocol.rules.registry import RULES

SCHEMA: Final = "beatrandom/compliance/1"
COMPLIANT, VIOLATIONS, UNDECIDABLE = 0, 1, 3
_MOST_PER_RUN: Final = 20
"""Findings of one rule in one run; a garbled file would otherwise yield one per line."""

Progress = Callable[[int, int], None]
"""Called with (runs looked at, runs planned)."""


@dataclass(frozen=True)
class Result:
    """One rule's answer; `evaluated` of `planned` runs could be looked at."""

    rule: AnyRule
    answer: Answer
    findings: tuple[Finding, ...]
    evaluated: int
    planned: int


@dataclass(frozen=True)
class Compliance:
    """All answers for one study. `sealed` runs are finished, `present` ones have a file."""

    study: str
    fingerprint: str
    planned: int
    present: int
    sealed: int
    unplanned: int
    results: tuple[Result, ...]

    @property
    def exit_code(self) -> int:
        """0 compliant, 1 violations, 3 nothing broken but something that must hold cannot be verified."""
        answers = {r.answer for r in self.results if r.rule.severity == "error"}
        return VIOLATIONS if "broken" in answers else UNDECIDABLE if "unverifiable" in answers else COMPLIANT

    @property
    def answer(self) -> Answer:
        """The study's answer, of which `exit_code` is the number."""
        answers: dict[int, Answer] = {COMPLIANT: "obeyed", VIOLATIONS: "broken", UNDECIDABLE: "unverifiable"}
        return answers[self.exit_code]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(f for r in self.results for f in r.findings)

    def broken(self) -> list[str]:
        """Ids of the rules that were broken, notes and warnings included."""
        return [r.rule.id for r in self.results if r.answer == "broken"]

    def summary(self) -> str:
        """One line: the answer, and how much it rests on."""
        said = {"obeyed": "compliant", "broken": "violations found", "unverifiable": "not decidable from what was recorded"}
        count = Counter(r.answer for r in self.results)
        return (
            f"{said[self.answer]}: {self.sealed} of {self.planned} planned runs finished, {self.unplanned} unplanned; of {len(self.results)} "
            f"rules {count['obeyed']} obeyed, {count['broken']} broken, {count['unverifiable']} cannot be verified"
        )

    def table(self) -> list[dict[str, str]]:
        """One row a rule, all strings, ready for any table: rule, title, severity, answer, runs, findings."""
        return [
            {
                "rule": r.rule.id,
                "title": r.rule.title,
                "severity": r.rule.severity,
                "answer": r.answer,
                "runs": f"{r.evaluated}/{r.planned}",
                "findings": str(len(r.findings)),
            }
            for r in self.results
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, versioned by `schema`."""
        runs = {"planned": self.planned, "present": self.present, "sealed": self.sealed, "unplanned": self.unplanned}
        return {
            "schema": SCHEMA,
            "study": self.study,
            "fingerprint": self.fingerprint,
            "answer": self.answer,
            "exit_code": self.exit_code,
            "runs": runs,
            "rules": [
                {
                    "id": r.rule.id,
                    "title": r.rule.title,
                    "severity": r.rule.severity,
                    "answer": r.answer,
                    "runs": {"evaluated": r.evaluated, "planned": r.planned},
                    "findings": [asdict(f) for f in r.findings],
                }
                for r in self.results
            ],
        }

    def to_json(self) -> str:
        """`to_dict` as indented JSON, ASCII only."""
        return json.dumps(self.to_dict(), indent=2)


@dataclass
class _Tally:
    """One rule's findings while the runs go by."""

    rule: AnyRule
    findings: list[Finding] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    blind: bool = False

    def add(self, observations: Iterable[Observation]) -> None:
        for seen in observations:
            rule = self.rule
            self.findings.append(Finding(rule.id, rule.severity, seen.answer, seen.run, seen.where, seen.expected, seen.found, rule.fix))
            if seen.answer == "unverifiable":
                self.blind = True
                self.unseen.add(seen.run)

    def result(self, planned: int) -> Result:
        evaluated = planned - len(self.unseen - {""})
        answer: Answer = "obeyed"
        if any(f.answer == "broken" for f in self.findings):
            answer = "broken"
        elif self.blind or evaluated < planned:
            answer = "unverifiable"
        return Result(self.rule, answer, tuple(self.findings), evaluated, planned)


def check_study(path: Path, progress: Progress | None = None) -> Compliance:
    """Evaluate every rule over a study folder; files are only read.

    Args:
        path: the folder that `beatrandom run` wrote.
        progress: told after each run.

    Raises:
        InputError: the folder holds no readable plan.
    """
    folder = StudyFolder(path)
    study = folder.read_plan()
    planned = len(study.protocols) * len(study.seeds) * len(study.strategies)
    tallies = {rule.id: _Tally(rule) for rule in RULES.values()}
    facts: list[Facts] = []
    for run in planned_runs(folder, study):
        facts.append(facts_of(run))
        for tally in tallies.values():
            rule = tally.rule
            if not _can_be_seen(facts[-1], rule.needs):
                tally.unseen.add(str(run.key))
            elif isinstance(rule, RunRule):
                tally.add(itertools.islice(_guarded(rule, rule.function(run), str(run.key)), _MOST_PER_RUN))
        if progress is not None:
            progress(len(facts), planned)
    evidence = StudyEvidence(folder, study, tuple(facts), unplanned_runs(folder, study))
    for tally in tallies.values():
        if isinstance(tally.rule, StudyRule):
            tally.add(_guarded(tally.rule, tally.rule.function(evidence), ""))
    return Compliance(
        study=study.name,
        fingerprint=study.fingerprint,
        planned=planned,
        present=sum(f.present for f in facts),
        sealed=sum(f.sealed for f in facts),
        unplanned=len(evidence.extra),
        results=tuple(t.result(planned) for t in tallies.values()),
    )


def _can_be_seen(facts: Facts, needs: Needs) -> bool:
    return {"plan": True, "file": facts.present, "run": facts.has_run}[needs]


def _guarded(rule: AnyRule, observations: Observations, run: str) -> Observations:
    """A rule that fails on evidence it cannot digest has not been obeyed: it could not be verified."""
    try:
        yield from observations
    except Exception as error:  # records are hostile input; the checker must outlive them
        yield unverifiable(run or "study", f"evidence that {rule.id} can read", f"{type(error).__name__}: {error}"[:200], run)

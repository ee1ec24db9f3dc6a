"""What a check found: an answer for every rule, how much it rests on, and the whole as text or plain data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from protocol.rules.rule import Answer, AnyRule, Finding
from protocol.spec.data import FeatureCard
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study

SCHEMA: Final = "beatrandom/compliance/1"
COMPLIANT, VIOLATIONS, UNDECIDABLE = 0, 1, 3

Source = Literal["study", "record", "table", "indices"]
"""What was looked at: a study folder, one record, anybody's table of curves, anybody's lists of labelled indices."""


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
    """All answers for one study, table or record. `sealed` runs are finished, `present` ones have a file.

    `source` is what was looked at, `path` where it lies (places of findings are relative to it), `amended` how often
    the plan was changed, `failures` and `interruptions` how many were recorded.
    """

    source: Source
    path: str
    plan: Study
    amended: int
    failures: int
    interruptions: int
    study: str
    fingerprint: str
    planned: int
    present: int
    sealed: int
    unplanned: int
    results: tuple[Result, ...]
    cards: Mapping[str, FeatureCard] = field(default_factory=dict)
    """Of protocols on frozen features from a file: its card, as the records hold it."""

    def data_of(self, protocol: Protocol) -> str:
        """For people: the protocol's images, and what embedded them, if something did and the plan or a record says so."""
        card = self.cards.get(protocol.name)
        return protocol.data.description if card is None else card.description

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
        said = {
            "obeyed": "compliant",
            "broken": "violations found",
            "unverifiable": "not decidable from what was recorded",
        }
        count = Counter(r.answer for r in self.results)
        return (
            f"{said[self.answer]}: {self.sealed} of {self.planned} planned runs finished, {self.unplanned} unplanned{self._attempts()}; "
            f"of {len(self.results)} rules {count['obeyed']} obeyed, {count['broken']} broken{self._lesser()}, "
            f"{count['unverifiable']} cannot be verified"
        )

    def _attempts(self) -> str:
        counts = {
            "failed attempts": self.failures,
            "interruptions": self.interruptions,
            "amendments of the plan": self.amended,
        }
        return "".join(f", {n} {what}" for what, n in counts.items() if n)

    def _lesser(self) -> str:
        """How many of the broken rules are warnings or notes, which decide nothing: without it "compliant, 1 broken" puzzles."""
        kinds = [r.rule.severity for r in self.results if r.answer == "broken" and r.rule.severity != "error"]
        said = [
            f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}"
            for kind in ("warning", "note")
            if kind in kinds
        ]
        return f" ({', '.join(said)})" if said else ""

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
        runs = {
            "planned": self.planned,
            "present": self.present,
            "sealed": self.sealed,
            "unplanned": self.unplanned,
            "failures": self.failures,
            "interruptions": self.interruptions,
        }
        return {
            "schema": SCHEMA,
            "source": self.source,
            "amendments": self.amended,
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

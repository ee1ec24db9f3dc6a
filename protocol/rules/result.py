"""Result of a check: an answer per rule and the number of runs evaluated.

It can be written as text or as plain data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from protocol.rules.rule import Answer, AnyRule, Finding
from protocol.rules.strength import Strength
from protocol.spec.data import FeatureCard
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study

SCHEMA: Final = "beatrandom/compliance/1"
COMPLIANT, VIOLATIONS, UNDECIDABLE = 0, 1, 3

Source = Literal["study", "record", "table", "indices"]
"""What was checked: a study folder, one record, a table of curves, or lists of labelled indices."""


@dataclass(frozen=True)
class Result:
    """One rule's answer; `evaluated` of `planned` runs could be verified.

    Attributes:
        idle: whether it is obeyed because the study has nothing that the rule judges.
    """

    rule: AnyRule
    answer: Answer
    findings: tuple[Finding, ...]
    evaluated: int
    planned: int
    idle: bool = False


@dataclass(frozen=True)
class Compliance:
    """All answers for one study, record, table or folder of lists.

    Attributes:
        source: what was checked.
        path: of the folder or file; places of findings are relative to it.
        amended: how often the plan was changed.
        failures: failed attempts recorded.
        interruptions: interruptions recorded.
        present: planned runs that have a file.
        sealed: planned runs that are finished.
        unplanned: runs that are in no plan.
        cards: protocol name to the card of its feature file, as the records hold it.
        strength: what stands behind the answer.
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
    strength: Strength = field(default_factory=Strength)

    def data_of(self, protocol: Protocol) -> str:
        """Return the protocol's images in words, with their encoder if the plan or a record names one."""
        card = self.cards.get(protocol.name)
        return protocol.data.description if card is None else card.description

    @property
    def exit_code(self) -> int:
        """Return 0 (compliant), 1 (violations), or 3 (nothing broken, but an error rule cannot be verified)."""
        answers = {r.answer for r in self.results if r.rule.severity == "error"}
        return VIOLATIONS if "broken" in answers else UNDECIDABLE if "unverifiable" in answers else COMPLIANT

    @property
    def answer(self) -> Answer:
        """Return the study's answer, the word for `exit_code`."""
        answers: dict[int, Answer] = {COMPLIANT: "obeyed", VIOLATIONS: "broken", UNDECIDABLE: "unverifiable"}
        return answers[self.exit_code]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings of all rules."""
        return tuple(f for r in self.results for f in r.findings)

    def broken(self) -> list[str]:
        """Return the ids of broken rules, notes and warnings included."""
        return [r.rule.id for r in self.results if r.answer == "broken"]

    def summary(self) -> str:
        """Return one line: the answer, the runs it rests on, and the number of rules per answer."""
        words = {
            "obeyed": "compliant",
            "broken": "violations found",
            "unverifiable": "not decidable from what was recorded",
        }
        count = Counter(r.answer for r in self.results if not r.idle)
        idle = sum(r.idle for r in self.results)
        strength = f"; {self.strength.words()}" if self.source == "study" else ""
        return (
            f"{words[self.answer]}{strength}: {self.sealed} of {self.planned} planned runs finished, "
            f"{self.unplanned} unplanned{self._attempts()}; of {len(self.results)} rules {count['obeyed']} obeyed, "
            f"{self._not_obeyed()}, {count['unverifiable']} cannot be verified"
            f"{f', {idle} had nothing to judge' if idle else ''}"
        )

    def _attempts(self) -> str:
        counts = {
            "failed attempts": self.failures,
            "interruptions": self.interruptions,
            "amendments of the plan": self.amended,
        }
        return "".join(f", {n} {what}" for what, n in counts.items() if n)

    def _not_obeyed(self) -> str:
        """Count broken rules apart from warnings and notes, which leave a study compliant."""
        count = Counter(r.rule.severity for r in self.results if r.answer == "broken")
        words = [f"{n} {kind}{'s' * (n > 1)}" for kind in ("warning", "note") if (n := count[kind])]
        return ", ".join([f"{count['error']} broken", *words])

    def table(self) -> list[dict[str, str]]:
        """Return one row per rule, all strings: rule, title, severity, answer, runs, findings."""
        return [
            {
                "rule": r.rule.id,
                "title": r.rule.title,
                "severity": r.rule.severity,
                "answer": "nothing to judge" if r.idle else r.answer,
                "runs": f"{r.evaluated}/{r.planned}",
                "findings": str(len(r.findings)),
            }
            for r in self.results
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, versioned by `schema`."""
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
            "strength": self.strength.to_dict(),
            "rules": [
                {
                    "id": r.rule.id,
                    "title": r.rule.title,
                    "severity": r.rule.severity,
                    "answer": r.answer,
                    "idle": r.idle,
                    "runs": {"evaluated": r.evaluated, "planned": r.planned},
                    "findings": [asdict(f) for f in r.findings],
                }
                for r in self.results
            ],
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON, ASCII only."""
        return json.dumps(self.to_dict(), indent=2)

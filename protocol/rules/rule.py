"""What a rule is, and what it answers: obeyed, broken, or cannot be verified from what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from protocol.rules.evidence import Facts, Noted, RunEvidence, StudyEvidence

Answer = Literal["obeyed", "broken", "unverifiable"]
Severity = Literal["error", "warning", "note"]
Needs = Literal["plan", "file", "run"]
Kind = Literal[
    "plan",
    "presence",
    "peers",
    "head",
    "seal",
    "chain",
    "attempts",
    "ledger",
    "validation",
    "queries",
    "curve",
    "budgets",
    "split",
    "predictions",
    "training",
    "contents",
    "environment",
    "oracle",
    "replays",
]
"""Kinds of evidence. A study folder holds all of them, anybody's table or list of indices only some."""
KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))


@dataclass(frozen=True)
class Observation:
    """What one rule saw at one place: a violation, or why it could not look."""

    where: str
    expected: str
    found: str
    run: str = ""
    answer: Literal["broken", "unverifiable"] = "broken"


Observations = Iterator[Observation]


def unverifiable(where: str, expected: str, found: str, run: str = "") -> Observation:
    """The rule could not look here; the run (if named) does not count as evaluated."""
    return Observation(where, expected, found, run, "unverifiable")


@dataclass(frozen=True)
class Finding:
    """An observation under its rule, with the way to mend it."""

    rule: str
    severity: Severity
    answer: Literal["broken", "unverifiable"]
    run: str
    where: str
    expected: str
    found: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the catalogue; `RunRule` and `StudyRule` add the function.

    `since` is the release that brought it, `evidence` what it reads in words and `reads` in kinds, `needs`
    the least that must be there for a run to count as evaluated: the plan alone, a readable file, or a
    `run` event.
    """

    id: str
    title: str
    severity: Severity = "error"
    since: str = "0.1.0"
    why: str
    evidence: str
    fix: str
    reads: frozenset[Kind]
    needs: Needs = "run"

    def page(self) -> str:
        """The rule's page, as plain text."""
        return "\n".join(
            (
                f"{self.id} ({self.severity}, since {self.since}): {self.title}",
                "",
                f"why:      {self.why}",
                f"evidence: {self.evidence}",
                f"to do:    {self.fix}",
                f"needs:    {', '.join(sorted(self.reads))}; where one of these was not recorded, the answer is 'cannot be verified'",
            )
        )


@dataclass(frozen=True, kw_only=True)
class RunRule(Rule):
    """Looks at one planned run."""

    function: Callable[[RunEvidence], Observations]


@dataclass(frozen=True, kw_only=True)
class StudyRule(Rule):
    """Looks across the runs of the study."""

    function: Callable[[StudyEvidence], Observations]


AnyRule = RunRule | StudyRule


def by_protocol_and_seed(facts: Facts) -> str:
    """What strategies are paired within."""
    return f"{facts.key.protocol}, seed {facts.key.seed}"


def by_protocol(facts: Facts) -> str:
    """What curves are compared within."""
    return facts.key.protocol


def shared(
    facts: Iterable[Facts],
    value: Callable[[Facts], Noted | None],
    what: str,
    *,
    within: Callable[[Facts], str] = by_protocol_and_seed,
) -> Observations:
    """Runs whose `value` differs from the one most runs of their group have; on a tie the first run's is the reference."""
    groups: dict[str, list[tuple[Facts, Noted]]] = {}
    for fact in facts:
        if not fact.has_run:
            continue
        noted = value(fact)
        if noted is None or not noted.value:
            yield unverifiable(fact.path, f"{what} in the record", "nothing recorded", str(fact.key))
        else:
            groups.setdefault(within(fact), []).append((fact, noted))
    for group, members in groups.items():
        reference, _ = Counter(noted.value for _, noted in members).most_common(1)[0]
        example = next(fact.key for fact, noted in members if noted.value == reference)
        for fact, noted in members:
            if noted.value != reference:
                expected = f"the {what} of the other runs ({group}): {reference[:16]}, as in {example}"
                yield Observation(noted.where, expected, noted.value[:16], str(fact.key))

"""A compliance rule, and what it yields: violations, and what could not be verified from the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final, Literal, Required, TypedDict, TypeVar, Unpack, get_args

from protocol.errors import Fault
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import Facts, Noted, StudyEvidence
from protocol.spec.run_id import RunId

Answer = Literal["obeyed", "broken", "unverifiable"]
Severity = Literal["error", "warning", "note"]
Needs = Literal["plan", "file", "run"]
Subject = Literal[
    "a separate oracle", "a replay", "tuning", "prices", "a strategy that is not built in", "an interruption"
]
"""What only some studies have. A rule about it that is obeyed by a study without it says nothing about the study."""
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
"""Kinds of evidence. A study folder holds all of them, a table of curves or lists of indices only some."""
KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))

T = TypeVar("T")


@dataclass(frozen=True)
class Observation:
    """What a rule yields: a violation at one place, or why that place could not be verified."""

    where: str
    expected: str
    found: str
    run: str = ""
    """Of which planned run. Empty in rules about one run (the evaluator fills it in) and for the study as a whole."""
    answer: Literal["broken", "unverifiable"] = "broken"


Observations = Iterator[Observation]


def broken(where: str, expected: str, found: object, run: RunId | None = None) -> Observation:
    """Return a violation. Only rules that compare runs need to name the `run`."""
    return Observation(where, expected, str(found), str(run or ""))


def unverifiable(where: str | Fault, expected: str = "", found: str = "", run: RunId | None = None) -> Observation:
    """Return that the rule could not be evaluated, from a fault or its fields.

    The run does not count as evaluated.
    """
    fault = where if isinstance(where, Fault) else Fault(where, expected, found)
    return Observation(fault.where, fault.expected, fault.found, str(run or ""), "unverifiable")


class Unverifiable(Exception):
    """Ends a rule whose evidence is missing; the evaluator reports its `fault` as 'cannot be verified'."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def need(evidence: T | Fault) -> T:
    """Return the evidence. Raises Unverifiable, which ends the rule, if it is a fault instead."""
    if isinstance(evidence, Fault):
        raise Unverifiable(evidence)
    return evidence


@dataclass(frozen=True)
class Finding:
    """An observation with its rule, the run, and how to fix it."""

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

    Attributes:
        since: release that introduced it.
        evidence: what it reads, in words.
        reads: what it reads, as kinds of evidence.
        needs: the least that must exist for a run to count as evaluated: the plan, a readable file, or a `run` event.
        judges: what it judges, where a study may have nothing of it; None: every study has something.
    """

    id: str
    title: str
    severity: Severity = "error"
    since: str = "0.1.0"
    why: str
    evidence: str
    fix: str
    reads: Set[Kind]
    needs: Needs = "run"
    judges: Subject | None = None

    def page(self) -> str:
        """Return the rule's page as plain text."""
        reads = ", ".join(sorted(self.reads))
        return "\n".join(
            (
                f"{self.id} ({self.severity}, since {self.since}): {self.title}",
                "",
                f"why:      {self.why}",
                f"evidence: {self.evidence}",
                f"to do:    {self.fix}",
                f"needs:    {reads}; if one of these was not recorded, the answer is 'cannot be verified'",
            )
        )


@dataclass(frozen=True, kw_only=True)
class RunRule(Rule):
    """A rule about one planned run."""

    function: Callable[[RunEvidence], Observations]


@dataclass(frozen=True, kw_only=True)
class StudyRule(Rule):
    """A rule about the study as a whole, or one that compares its runs."""

    function: Callable[[StudyEvidence], Observations]


AnyRule = RunRule | StudyRule


class RuleWords(TypedDict, total=False):
    """Keyword arguments of the rule decorators; see `Rule`."""

    severity: Severity
    why: Required[str]
    evidence: Required[str]
    fix: Required[str]
    reads: Required[Set[Kind]]
    needs: Needs
    judges: Subject
    since: str


def run_rule(
    name: str, title: str, **words: Unpack[RuleWords]
) -> Callable[[Callable[[RunEvidence], Observations]], RunRule]:
    """Turn the decorated function, which looks at one run, into the rule with id `name`."""
    return lambda function: RunRule(id=name, title=title, function=function, **words)


def study_rule(
    name: str, title: str, **words: Unpack[RuleWords]
) -> Callable[[Callable[[StudyEvidence], Observations]], StudyRule]:
    """Turn the decorated function, which looks at the study, into the rule with id `name`."""
    return lambda function: StudyRule(id=name, title=title, function=function, **words)


def differences(expected: Mapping[str, object], found: Mapping[str, object]) -> tuple[str, str]:
    """Return in words where two mappings differ, at most five keys: (expected, found)."""
    keys = [key for key in sorted(expected.keys() | found.keys()) if expected.get(key) != found.get(key)][:5]
    one, other = (", ".join(f"{key} {m.get(key, 'not recorded')!s:.100}" for key in keys) for m in (expected, found))
    return one, other


def by_protocol_and_seed(facts: Facts) -> str:
    """Return the group within which strategies are paired."""
    return f"{facts.key.protocol}, seed {facts.key.seed}"


def by_protocol(facts: Facts) -> str:
    """Return the group within which curves are compared."""
    return facts.key.protocol


def shared(
    facts: Iterable[Facts],
    value: Callable[[Facts], Noted | None],
    what: str,
    *,
    within: Callable[[Facts], str] = by_protocol_and_seed,
) -> Observations:
    """Yield the runs whose `value` differs from that of most runs of their group.

    Ties go to the first run.
    """
    groups: dict[str, list[tuple[Facts, Noted]]] = {}
    for fact in facts:
        if not fact.has_run:
            continue
        noted = value(fact)
        if noted is None or not noted.value:
            yield unverifiable(fact.path, f"{what} in the record", "nothing recorded", fact.key)
        else:
            groups.setdefault(within(fact), []).append((fact, noted))
    for group, members in groups.items():
        reference, _ = Counter(noted.value for _, noted in members).most_common(1)[0]
        example = next(fact.key for fact, noted in members if noted.value == reference)
        for fact, noted in members:
            if noted.value != reference:
                expected = f"the {what} of most runs ({group}): {reference[:16]}, as in {example}"
                yield broken(noted.where, expected, noted.value[:16], fact.key)

"""How strong the evidence of a study is: which runs have what some rules judge, and what stands behind the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.errors import InputError
from protocol.record.events import ResumeEvent
from protocol.record.layout import StudyFolder
from protocol.record.replay_answers import read_replays
from protocol.rules.evidence import RunEvidence
from protocol.rules.rule import Subject
from protocol.spec.study import StrategySpec

WALLS: Final = ("process", "files", "network")
"""Walls that a confined strategy has; see `environment.confined` of the record."""


def is_own(strategy: StrategySpec) -> bool:
    """Return whether the name says that a strategy is not built in: a file, or a module of a package."""
    return strategy.source_digest is not None or ":" in strategy.name


def missing_walls(confined: object) -> list[str] | None:
    """Return the walls that did not stand, by a record's `environment.confined`; None: nothing recorded."""
    if not isinstance(confined, Mapping):
        return None
    return [wall for wall in WALLS if confined.get(wall) in (None, False, "none")]


def is_replayed(run: RunEvidence) -> bool:
    """Return whether a replay of the record as it is was kept."""
    try:
        kept = read_replays(StudyFolder(run.root).replays(run.key), run.root)
    except InputError:
        return False
    return run.record is not None and any(a.head == run.record.head and a.rounds for a in kept.attempts)


def subjects_of(run: RunEvidence) -> frozenset[Subject]:
    """Return what a run has of the things that only some studies have."""
    study = StudyFolder(run.root)
    found: dict[Subject, bool] = {
        "a separate oracle": study.oracle(run.key).events.exists() or _says(run, "isolated"),
        "a replay": study.replays(run.key).exists(),
        "tuning": run.protocol.regime.tuning is not None,
        "prices": run.protocol.labelling is not None,
        "a strategy that is not built in": is_own(run.strategy) or _says(run, "confined"),
        "an interruption": bool(run.of(ResumeEvent)) or bool(run.torn_tails),
    }
    return frozenset(subject for subject, there in found.items() if there)


def _says(run: RunEvidence, key: str) -> bool:
    return run.run is not None and bool(run.run.environment.get(key))


@dataclass
class Strength:
    """Counts behind an answer, filled while the runs go by.

    Attributes:
        runs: runs with a record.
        own: runs of strategies that are not built in.
        confined: of these, runs behind all walls.
        isolated: runs with a separate oracle.
        replayed: runs of which a replay was kept.
        sealed: whether there is a manifest.
        signed: whether there is a signature of it; `verify` checks it.
    """

    runs: int = 0
    own: int = 0
    confined: int = 0
    isolated: int = 0
    replayed: int = 0
    sealed: bool = False
    signed: bool = False
    subjects: Counter[Subject] = field(default_factory=Counter)

    def add(self, run: RunEvidence) -> None:
        """Count one run."""
        subjects = subjects_of(run)
        self.subjects.update(subjects)
        if run.run is None:
            return
        self.runs += 1
        self.isolated += "a separate oracle" in subjects
        self.replayed += "a replay" in subjects and is_replayed(run)
        if "a strategy that is not built in" in subjects:
            self.own += 1
            self.confined += missing_walls(run.run.environment.get("confined")) == []

    def words(self) -> str:
        """Return the strength in words, for example "strategies confined; replayed 3 of 20; not signed"."""
        parts = [self._confinement()] if self.own else []
        if self.isolated:
            parts.append(f"oracle separate in {self.isolated} of {self.runs}")
        parts.append(f"replayed {self.replayed} of {self.runs}" if self.replayed else "not replayed")
        parts.append("signed" if self.signed else "sealed, not signed" if self.sealed else "not signed")
        return "; ".join(parts)

    def _confinement(self) -> str:
        if self.confined == self.own:
            return "strategies confined"
        return (
            f"strategies confined in {self.confined} of {self.own} runs" if self.confined else "strategies not confined"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        counts = ("runs", "own", "confined", "isolated", "replayed")
        return {**{name: getattr(self, name) for name in counts}, "sealed": self.sealed, "signed": self.signed}

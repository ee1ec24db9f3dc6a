"""A record in part: rounds or purchases that somebody else wrote down, in the form of our events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from protocol.record.chain import Record
from protocol.record.events import AnyEvent, RoundEvent
from protocol.record.layout import StudyFolder
from protocol.rules.evidence import RunEvidence
from protocol.rules.sidecars import SidecarCache, SplitEvidence
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE, Study
from protocol.spec.toml_files import parse


@dataclass(frozen=True)
class Partial:
    """The events that are known of one run, and where each of them stands."""

    source: str
    events: tuple[AnyEvent, ...]
    places: tuple[str, ...]
    split: SplitEvidence | None = None


Runs = dict[tuple[str, int], Partial]
"""(strategy, seed) -> what is known."""


def study_of(name: str, protocol: Protocol, runs: Iterable[tuple[str, int]], where: str) -> Study:
    """What stands in for a plan: every strategy with every seed that occurs, random among them. Raises InputError."""
    keys = list(runs)
    strategies = dict.fromkeys([BASELINE, *(strategy for strategy, _ in keys)])
    table = {
        "name": re.sub(r"[^A-Za-z0-9._+-]", "-", name).lstrip("._+-")[:100] or "imported",
        "protocols": [protocol.model_dump(mode="json")],
        "strategies": [{"name": strategy} for strategy in strategies],
        "seeds": sorted({seed for _, seed in keys}),
    }
    return parse(Study, table, where)


def evidence(study: Study, folder: StudyFolder, runs: Runs, otherwise: str) -> Iterator[RunEvidence]:
    """One body of evidence per strategy and seed; `otherwise` is where a run that is missing should have been."""
    [protocol], sidecars = study.protocols, SidecarCache(folder)
    for run in study.runs(by_seed=True):
        strategy = study.strategy(run.strategy)
        there = runs.get((strategy.name, run.seed))
        record = Record(Path(otherwise), there.events, "", 0, 0) if there else None
        source, places = (there.source, there.places) if there else (otherwise, ())
        given, at = there.split if there else None, folder.run(run)
        yield RunEvidence(
            run, study, protocol, strategy, folder.path, at, record, None, sidecars, frozenset(), source, places, given
        )


def known_round(
    number: int, budget: int, training_labels: int, metrics: dict[str, float], query: tuple[int, ...] = ()
) -> RoundEvent:
    """A round of which only this is known; metrics may be NaN or infinite, which is for the rules to say."""
    return RoundEvent.model_construct(
        round=number,
        budget=budget,
        training_labels=training_labels,
        metrics=metrics,
        query=query,
        steps=0,
        initial_weights="",
        predictions="",
    )

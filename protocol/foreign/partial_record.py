"""Partial records: rounds or labelled indices from other projects, in the form of our events."""

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
    """Known events of one run, with the place of each in its source."""

    source: str
    events: tuple[AnyEvent, ...]
    places: tuple[str, ...]
    split: SplitEvidence | None = None


Runs = dict[tuple[str, int], Partial]
"""(strategy, seed) -> partial record."""


def study_of(name: str, protocol: Protocol, runs: Iterable[tuple[str, int]], where: str) -> Study:
    """Build a study in place of a plan: random and every strategy that occurs, with every seed.

    Raises InputError.
    """
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
    """Yield the evidence of each strategy and seed; `otherwise` is the place reported for missing runs."""
    [protocol], sidecars = study.protocols, SidecarCache(folder)
    for run in study.runs(by_seed=True):
        strategy = study.strategy(run.strategy)
        partial = runs.get((strategy.name, run.seed))
        record = Record(Path(otherwise), partial.events, "", 0, 0) if partial else None
        source, places = (partial.source, partial.places) if partial else (otherwise, ())
        given, at = partial.split if partial else None, folder.run(run)
        yield RunEvidence(
            run, study, protocol, strategy, folder.path, at, record, None, sidecars, frozenset(), source, places, given
        )


def known_round(
    number: int, budget: int, training_labels: int, metrics: dict[str, float], query: tuple[int, ...] = ()
) -> RoundEvent:
    """Build a round event of which only these fields are known; metrics may be NaN or infinite."""
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

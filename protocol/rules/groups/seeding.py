"""SED: random numbers follow from the seed, equally for every strategy."""

from __future__ import annotations

import numpy as np

from protocol.draws.seeds import stream_seeds
from protocol.draws.splits import starting_set
from protocol.errors import InputError
from protocol.record.events import LabelsEvent, RunEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import Facts, StudyEvidence
from protocol.rules.rule import AnyRule, Observations, broken, need, run_rule, shared, study_rule
from protocol.spec.study import BASELINE

_MOST_SHOWN = 10


@run_rule(
    "SED-01",
    "seeds are derived from the root seed",
    why="a seed chosen by hand can be the best of many",
    evidence="seeds in the 'run' event, derived again",
    fix="run it again in a new folder",
    reads={"head"},
)
def underived_seeds(run: RunEvidence) -> Observations:
    derived = stream_seeds(run.protocol.root_seed, run.key.seed)
    for where, event in run.of(RunEvent):
        for stream in sorted(derived.keys() | event.seeds.keys()):
            expected, recorded = derived.get(stream), event.seeds.get(stream)
            if expected != recorded:
                yield broken(where, f"seed of stream {stream!r}: {expected}", recorded)


@study_rule(
    "SED-02",
    "strategies with one seed share the initial set",
    why="a better start is a better curve, whatever is queried afterwards",
    evidence="initial purchases, except those that strategies chose where splits.initial = 'strategy' allows it",
    fix="run the study again in a new folder",
    reads={"ledger", "peers"},
)
def unequal_initial_sets(study: StudyEvidence) -> Observations:
    drawn = [f for f in study.facts if not _may_start_differently(study, f)]
    yield from shared(drawn, lambda f: f.initial, "initial set")


def _may_start_differently(study: StudyEvidence, facts: Facts) -> bool:
    """Return whether the strategy chose its starting set, and its protocol allows that."""
    allowed = {p.name for p in study.study.protocols if p.splits.initial == "strategy"}
    return facts.strategy_started and facts.key.protocol in allowed and facts.key.strategy != BASELINE


@run_rule(
    "SED-03",
    "the initial set is the one drawn from the seed",
    why="a start chosen by hand is not a random start",
    evidence="initial purchase and the split, drawn again. Only random starts: a balanced one needs labels that no "
    "record "
    "holds; one that the strategy chose, where splits.initial = 'strategy' allows it, is chosen again by `beatrandom "
    "replay`",
    fix="run it again in a new folder",
    reads={"head", "ledger", "split"},
)
def undrawn_initial_set(run: RunEvidence) -> Observations:
    yield from _undeclared_choice(run)
    if run.protocol.splits.initial == "balanced":
        return  # SED-02 still compares balanced starts across strategies
    split = need(run.split.indices)
    units = need(run.units) if run.protocol.labelling else None
    try:
        drawn = starting_set(run.protocol, run.key.seed, split, np.empty(0, np.int64), units).tolist()
    except (InputError, ValueError, IndexError):
        yield broken(run.path, f"a pool of at least {run.protocol.training_labels[0]}", len(split.pool))
        return
    for where, event in run.of(LabelsEvent):
        if run.protocol.metered and list(event.indices) == drawn[: len(event.indices)]:
            continue  # BUD-01 and BUD-07 check how far the budget reaches
        if event.purpose == "initial" and not event.chosen and sorted(event.indices) != drawn:
            undrawn = sorted(set(event.indices) - set(drawn))
            found = f"{len(event.indices)} images, {len(undrawn)} of them not drawn: {undrawn[:_MOST_SHOWN]}"
            yield broken(where, f"the {len(drawn)} images drawn from the seed", found)


def _undeclared_choice(run: RunEvidence) -> Observations:
    """Yield starts recorded as the strategy's choice where the seed should have drawn them."""
    baseline = run.strategy.name == BASELINE
    allowed = run.protocol.splits.initial == "strategy" and not baseline
    for where, event in run.of(LabelsEvent):
        if event.chosen and not (allowed and event.purpose == "initial"):
            expected = f"a start drawn from the seed{', as random always has' if baseline else ''}"
            yield broken(where, expected, "a start that the strategy chose")


@study_rule(
    "SED-04",
    "no two replicates share random numbers",
    why="replicates that share random numbers are one replicate, counted twice",
    evidence="seeds in the 'run' events and initial purchases, compared between the seeds of a protocol",
    fix="run the study again in a new folder",
    reads={"ledger", "peers"},
)
def repeated_seeds(study: StudyEvidence) -> Observations:
    seen: dict[tuple[str, str, str], Facts] = {}
    for fact in study.facts:
        for what, noted in (("seeds", fact.seeds), ("initial set", fact.initial)):
            if noted is None or (what == "initial set" and _may_start_differently(study, fact)):
                continue  # two seeds may lead a strategy to the same images
            first = seen.setdefault((fact.key.protocol, what, noted.value), fact)
            if first.key.seed != fact.key.seed:
                yield broken(noted.where, f"{what} of seed {fact.key.seed}", f"the {what} of {first.key}", fact.key)


@study_rule(
    "SED-05",
    "the seeds are 0, 1, 2, …",
    severity="note",
    why="authors who run many seeds and plan a few of them afterwards can select those that suit a strategy",
    evidence="seeds of the plan, which count from 0 unless they were chosen",
    fix="nothing, if the report says why these; otherwise plan seeds = n",
    reads={"plan"},
    needs="plan",
)
def selected_seeds(study: StudyEvidence) -> Observations:
    seeds = sorted(study.study.seeds)
    if seeds != list(range(len(seeds))):
        found = ", ".join(map(str, seeds[:_MOST_SHOWN])) + (", …" if len(seeds) > _MOST_SHOWN else "")
        yield broken(study.source, f"the first {len(seeds)} seeds, from 0", found)


RULES: tuple[AnyRule, ...] = (
    underived_seeds,
    unequal_initial_sets,
    undrawn_initial_set,
    repeated_seeds,
    selected_seeds,
)

"""SED: chance is the same for every strategy, and nobody picks it."""

from __future__ import annotations

import numpy as np

from protocol.draws.seeds import stream_seeds
from protocol.draws.splits import starting_set
from protocol.errors import Fault, InputError
from protocol.record.events import LabelsEvent, RunEvent
from protocol.rules.evidence import Facts, RunEvidence, StudyEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, StudyRule, shared, unverifiable
from protocol.spec.study import BASELINE


def _seeds_are_derived_from_the_root(run: RunEvidence) -> Observations:
    expected = stream_seeds(run.protocol.root_seed, run.key.seed)
    for where, event in run.of(RunEvent):
        for stream in sorted(expected.keys() | event.seeds.keys()):
            want, got = expected.get(stream), event.seeds.get(stream)
            if want != got:
                yield Observation(where, f"seed of stream {stream!r}: {want}", str(got), str(run.key))


def _strategies_share_the_initial_set(study: StudyEvidence) -> Observations:
    yield from shared([f for f in study.facts if not _own_start(study, f)], lambda f: f.initial, "initial set")


def _own_start(study: StudyEvidence, facts: Facts) -> bool:
    """Whether the run starts from what its strategy chose, as its protocol allows."""
    allowed = {p.name for p in study.study.protocols if p.splits.initial == "strategy"}
    return facts.chosen and facts.key.protocol in allowed and facts.key.strategy != BASELINE


def _chooser_is_the_declared_one(run: RunEvidence) -> Observations:
    """A start that is said to be the strategy's own, where the seed should have drawn it."""
    for where, event in run.of(LabelsEvent):
        if event.chosen and (
            event.purpose != "initial" or run.protocol.splits.initial != "strategy" or run.strategy.name == BASELINE
        ):
            why = "" if run.strategy.name != BASELINE else ", as random's always is"
            yield Observation(where, f"a start drawn from the seed{why}", "one that the strategy chose", str(run.key))


def _initial_set_is_drawn_from_the_seed(run: RunEvidence) -> Observations:
    yield from _chooser_is_the_declared_one(run)
    if run.protocol.splits.initial == "balanced":
        return  # a balanced start needs the pool's labels, which no record holds; SED-02 still compares it across strategies
    split = run.split.split
    if split is None:
        yield unverifiable(
            run.path, "the split that the initial set is drawn from", "no split to believe", str(run.key)
        )
        return
    units = run.units if run.protocol.labelling else None
    if isinstance(units, Fault):
        yield unverifiable(
            run.path, "the regions that the initial set is drawn from", f"{units.where}: {units.found}", str(run.key)
        )
        return
    try:
        drawn = starting_set(run.protocol, run.key.seed, split, np.empty(0, np.int64), units).tolist()
    except (InputError, ValueError, IndexError):
        yield Observation(
            run.path, f"a pool of at least {run.protocol.training_labels[0]}", str(len(split.pool)), str(run.key)
        )
        return
    for where, event in run.of(LabelsEvent):
        if run.protocol.metered and list(event.indices) == drawn[: len(event.indices)]:
            continue  # how far the budget reaches is BUD-01's and BUD-07's
        if event.purpose == "initial" and not event.chosen and sorted(event.indices) != drawn:
            strangers = len(set(event.indices) - set(drawn))
            yield Observation(
                where,
                f"the {len(drawn)} images drawn from the seed",
                f"{strangers} others among {len(event.indices)}",
                str(run.key),
            )


def _replicates_differ(study: StudyEvidence) -> Observations:
    seen: dict[tuple[str, str, str], Facts] = {}
    for fact in study.facts:
        for what, noted in (("seeds", fact.seeds), ("initial set", fact.initial)):
            if noted is None or (what == "initial set" and _own_start(study, fact)):
                continue  # seeds may lead a strategy to the same images
            first = seen.setdefault((fact.key.protocol, what, noted.value), fact)
            if first.key.seed != fact.key.seed:
                yield Observation(noted.where, f"{what} of its own", f"the {what} of {first.key}", str(fact.key))


def _seeds_count_from_zero(study: StudyEvidence) -> Observations:
    seeds = sorted(study.study.seeds)
    if seeds != list(range(len(seeds))):
        told = ", ".join(map(str, seeds[:10])) + (", …" if len(seeds) > 10 else "")  # what fits in a line
        yield Observation(study.source, f"the first {len(seeds)} seeds, from 0", told)


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="SED-01",
        title="seeds are derived from the root seed",
        why="a seed chosen by hand can be the best of many",
        evidence="seeds in the 'run' event, derived again",
        fix="run it again in a new folder",
        reads=frozenset({"head"}),
        function=_seeds_are_derived_from_the_root,
    ),
    StudyRule(
        id="SED-02",
        title="strategies with one seed share the initial set",
        why="a better start is a better curve, whatever is asked for afterwards",
        evidence="initial purchases, but for those that strategies chose where splits.initial = 'strategy' lets them",
        fix="run the study again in a new folder",
        reads=frozenset({"ledger", "peers"}),
        function=_strategies_share_the_initial_set,
    ),
    RunRule(
        id="SED-03",
        title="the initial set is the one drawn from the seed",
        why="a start chosen by hand is not a random start",
        evidence="initial purchase and the split, drawn again (random starts only: a balanced one needs labels that no record holds, and one "
        "that the strategy chose, where splits.initial = 'strategy' lets it, is chosen again by `beatrandom replay`)",
        fix="run it again in a new folder",
        reads=frozenset({"head", "ledger", "split"}),
        function=_initial_set_is_drawn_from_the_seed,
    ),
    StudyRule(
        id="SED-04",
        title="no chance is used for two replicates",
        why="replicates that share their chance are one replicate, counted twice",
        evidence="seeds in the 'run' events and initial purchases, compared between the seeds of a protocol",
        fix="run the study again in a new folder",
        reads=frozenset({"ledger", "peers"}),
        function=_replicates_differ,
    ),
    StudyRule(
        id="SED-05",
        title="the seeds are the first ones",
        severity="note",
        why="whoever runs many seeds and plans a few of them afterwards can take those that suit a strategy",
        evidence="seeds of the plan, which count from 0 unless somebody chose them",
        fix="nothing, if it is said why these; else plan seeds = n",
        reads=frozenset({"plan"}),
        needs="plan",
        function=_seeds_count_from_zero,
    ),
)

"""TRN: one recipe for all, and every round from the same fresh weights."""

from __future__ import annotations

from protocol.events import RoundEvent
from protocol.rules.base import AnyRule, Observation, Observations, RunRule, StudyRule, shared, unverifiable
from protocol.rules.evidence import Facts, Noted, RunEvidence, StudyEvidence


def _recipes_are_equal(study: StudyEvidence) -> Observations:
    for fact in study.facts:
        if fact.has_run and not fact.recipes:
            yield unverifiable(fact.path, "a round with its recipe", "no round", str(fact.key))
    for number in range(max((len(f.recipes) for f in study.facts), default=0)):

        def recipe(fact: Facts, number: int = number) -> Noted:
            return fact.recipes[number]

        reached = [f for f in study.facts if len(f.recipes) > number]
        yield from shared(reached, recipe, f"recipe of round {number}")


def _weights_are_reset(run: RunEvidence) -> Observations:
    first = ""
    for where, event in run.of(RoundEvent):
        if not event.initial_weights:
            yield unverifiable(where, "digest of the weights before training", "nothing recorded", str(run.key))
            continue
        first = first or event.initial_weights
        if event.initial_weights != first:
            yield Observation(where, f"the first round's initial weights, {first[:16]}", event.initial_weights[:16], str(run.key))


def _strategies_share_initial_weights(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.weights, "initial weights")


RULES: tuple[AnyRule, ...] = (
    StudyRule(
        id="TRN-01",
        title="all strategies train by the same recipe",
        why="a better recipe is worth more than any strategy",
        evidence="recipe digest of every round",
        fix="run the study again in a new folder with one recipe",
        function=_recipes_are_equal,
    ),
    RunRule(
        id="TRN-02",
        title="weights are reset before every round",
        why="weights kept from earlier rounds are further training that the recipe does not name",
        evidence="initial-weights digest of every round",
        fix="build the network anew in every round, from the seed's model stream",
        function=_weights_are_reset,
    ),
    StudyRule(
        id="TRN-03",
        title="strategies with one seed start from the same weights",
        why="lucky weights are not a better strategy",
        evidence="initial-weights digest of the first round",
        fix="build the network from the seed's model stream, on one kind of device and one version of torch",
        function=_strategies_share_initial_weights,
    ),
)

"""TRN: one recipe for all, and every round from the same fresh weights."""

from __future__ import annotations

from protocol.data import NOT_DECLARED
from protocol.events import RoundEvent
from protocol.rules.base import AnyRule, Observation, Observations, RunRule, StudyRule, shared, unverifiable
from protocol.rules.evidence import Facts, Noted, RunEvidence, StudyEvidence
from protocol.spec import BASELINE


def _recipes_are_equal(study: StudyEvidence) -> Observations:
    """Where rounds are tuned, recipes may differ as trials did, and each is judged by its own (TRN-07)."""
    for fact in study.facts:
        if fact.has_run and not fact.recipes:
            yield unverifiable(fact.path, "a round with its recipe", "no round", str(fact.key))
    facts = _untuned(study)
    for number in range(max((len(f.recipes) for f in facts), default=0)):

        def recipe(fact: Facts, number: int = number) -> Noted:
            return fact.recipes[number]

        reached = [f for f in facts if len(f.recipes) > number]
        yield from shared(reached, recipe, f"recipe of round {number}")


def _untuned(study: StudyEvidence) -> list[Facts]:
    tuned = {p.name for p in study.study.protocols if p.regime.tuning}
    return [f for f in study.facts if f.key.protocol not in tuned]


def _weights_start_as_declared(run: RunEvidence) -> Observations:
    yield from _warm(run) if run.protocol.regime.start == "warm" else _reset(run)


def _reset(run: RunEvidence) -> Observations:
    first = ""
    for where, event in run.of(RoundEvent):
        if not event.initial_weights:
            yield unverifiable(where, "digest of the weights before training", "nothing recorded", str(run.key))
            continue
        first = first or event.initial_weights
        if event.initial_weights != first:
            yield Observation(where, f"the first round's initial weights, {first[:16]}", event.initial_weights[:16], str(run.key))


def _warm(run: RunEvidence) -> Observations:
    """The first round is TRN-03's, every other one goes on from the round before."""
    ended: dict[int, str] = {}
    for where, event in run.of(RoundEvent):
        ended[event.round] = event.final_weights
        before = ended.get(event.round - 1, "")
        if not event.initial_weights:
            yield unverifiable(where, "digest of the weights before training", "nothing recorded", str(run.key))
        elif event.round and not before:
            expected = f"digest of the weights that round {event.round - 1} ended with, as a warm start is declared"
            yield unverifiable(where, expected, "nothing recorded", str(run.key))
        elif event.round and event.initial_weights != before:
            expected = f"the weights that round {event.round - 1} ended with, {before[:16]}, as a warm start is declared"
            yield Observation(where, expected, event.initial_weights[:16], str(run.key))


def _strategies_share_initial_weights(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.weights, "initial weights")


def _strategies_train_equally_long(study: StudyEvidence) -> Observations:
    """Where the recipe ends a round by training accuracy, what was bought decides how long it takes; of tuned rounds see TRN-07."""
    own_length = {p.name: p for p in study.study.protocols if p.regime.stop_at is not None and not p.regime.tuning}
    for fact in [f for f in study.facts if f.key.protocol in own_length]:
        protocol = own_length[fact.key.protocol]
        for labels, found in zip(protocol.training_labels, fact.steps, strict=False):
            if int(found.value) > protocol.regime.most_steps(labels):
                yield Observation(found.where, f"at most {protocol.regime.most_steps(labels)} steps", found.value, str(fact.key))
    facts = [f for f in _untuned(study) if f.key.protocol not in own_length]
    for number in range(max((len(f.steps) for f in facts), default=0)):

        def steps(fact: Facts, number: int = number) -> Noted:
            return fact.steps[number]

        yield from shared([f for f in facts if len(f.steps) > number], steps, f"number of steps in round {number}")


def _tuning_is_equal(study: StudyEvidence) -> Observations:
    told = {s.id: s.tuning for s in study.study.strategies if s.id != BASELINE}
    declared = {n for n in told.values() if n is not None}
    for strategy, n in told.items():
        if n is None:
            yield unverifiable(study.source, f"how many settings of {strategy} were tried before (tuning = n)", "not declared")
        elif n > min(declared):
            least = min(told, key=lambda s: (told[s] is None, told[s] or 0))
            yield Observation(study.source, f"as many settings tried as for {least}, {min(declared)}", f"{n} settings of {strategy}")


def _encoders_say_what_they_learned_from(study: StudyEvidence) -> Observations:
    for protocol in study.study.protocols:
        encoder = protocol.data.encoder
        if encoder is not None and not (encoder.trained_on or "").strip():
            expected = f"what {encoder.name} of protocol {protocol.name} learned from (data.encoder.trained_on)"
            yield Observation(study.source, expected, NOT_DECLARED)
    told: set[tuple[str, str]] = set()
    for facts in study.facts:
        silent = facts.encoded.encoder if facts.encoded and facts.encoded.encoder.learned_from == NOT_DECLARED else None
        if silent is not None and facts.data is not None and (of := (facts.key.protocol, silent.name)) not in told:
            told.add(of)
            expected = f"what {silent.name} of protocol {facts.key.protocol} learned from (encode --trained-on)"
            yield Observation(facts.data.where, expected, NOT_DECLARED)


RULES: tuple[AnyRule, ...] = (
    StudyRule(
        id="TRN-01",
        title="all strategies train by the same recipe",
        why="a better recipe is worth more than any strategy",
        evidence="recipe digest of every round; of tuned rounds see TRN-07",
        fix="run the study again in a new folder with one recipe",
        reads=frozenset({"training", "peers"}),
        function=_recipes_are_equal,
    ),
    RunRule(
        id="TRN-02",
        title="every round starts from the weights that the protocol declares",
        why="weights kept from earlier rounds are further training that the recipe does not name",
        evidence="initial-weights digest of every round, equal in all; of a warm start equal to what the round before ended with",
        fix="build the network anew in every round, from the seed's model stream, or declare regime.start = 'warm'",
        reads=frozenset({"training"}),
        function=_weights_start_as_declared,
    ),
    StudyRule(
        id="TRN-03",
        title="strategies with one seed start from the same weights",
        why="lucky weights are not a better strategy",
        evidence="initial-weights digest of the first round",
        fix="build the network from the seed's model stream, on one kind of device and one version of torch",
        reads=frozenset({"training", "peers"}),
        function=_strategies_share_initial_weights,
    ),
    StudyRule(
        id="TRN-04",
        title="strategies with one seed train equally long",
        why="more steps are worth accuracy, whatever was bought",
        evidence="steps of every round",
        fix="run the study again in a new folder with one recipe",
        reads=frozenset({"training", "peers"}),
        function=_strategies_train_equally_long,
    ),
    StudyRule(
        id="TRN-05",
        title="no strategy was tuned more than another",
        severity="warning",
        why="a strategy whose settings were chosen among many is compared with others at their defaults",
        evidence="tuning of the strategies in the plan, which the authors declare: nobody can see what was tried elsewhere; of "
        "regime.tuning, which is part of every run, see TRN-06",
        fix="declare tuning = n for every strategy (0: defaults), and tune all of them alike or none",
        reads=frozenset({"plan"}),
        needs="plan",
        function=_tuning_is_equal,
    ),
    StudyRule(
        id="TRN-10",
        title="it is declared what an encoder learned from",
        severity="note",
        why="an encoder that saw labels of the pool or the test set makes every curve, random's too, better than it is",
        evidence="data.encoder.trained_on of the plan, of the data set 'features' the card in its file, which the record holds; the authors "
        "declare it: weights do not tell what they were learned from, and of features without a card nothing is known",
        fix="say in data.encoder.trained_on (of features from a file: encode --trained-on) which data, and whether with labels; pretrain "
        "on other data than pool and test set",
        reads=frozenset({"plan"}),
        needs="plan",
        function=_encoders_say_what_they_learned_from,
    ),
)

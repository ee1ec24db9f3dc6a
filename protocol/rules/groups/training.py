"""TRN: one recipe for all, and every round from the same fresh weights."""

from __future__ import annotations

from protocol.record.events import RoundEvent
from protocol.rules.evidence import RunEvidence, StudyEvidence
from protocol.rules.rule import (
    AnyRule,
    Observation,
    Observations,
    RunRule,
    StudyRule,
    by_protocol_and_seed,
    shared,
    unverifiable,
)
from protocol.spec.data import NOT_DECLARED
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE


def _recipe_is_the_protocols(run: RunEvidence) -> Observations:
    """Where rounds are tuned, recipes are what trials made of them, and judged by TRN-07."""
    key, rounds = str(run.key), run.of(RoundEvent)
    if not rounds:
        yield unverifiable(run.path, "a round with its recipe", "no round", key)
    if run.protocol.regime.tuning or not rounds:
        return
    recipe = run.protocol.recipe
    for where, event in rounds:
        if not event.recipe:
            yield unverifiable(where, "the recipe as executed", "nothing recorded", key)
        elif event.recipe != recipe:
            yield Observation(where, f"the recipe of the protocol, {recipe[:16]}", event.recipe[:16], key)


def _as_long_as_the_recipe_says(run: RunEvidence) -> Observations:
    if not run.protocol.regime.tuning:
        for where, event in run.of(RoundEvent):
            yield from as_long_as(run.protocol, where, event, str(run.key))


def as_long_as(protocol: Protocol, where: str, event: RoundEvent, key: str) -> Observations:
    """Steps of a round by the recipe that it was trained by: exactly as many, or at most where training accuracy ends a round."""
    if 0 <= event.round < len(protocol.training_labels):  # else BUD-02's
        most, exactly = (
            protocol.regime.max_steps(protocol.training_labels[event.round]),
            protocol.regime.stop_at is None,
        )
        if event.steps > most or (exactly and event.steps != most):
            yield Observation(
                where, f"{'' if exactly else 'at most '}{most} steps, as its recipe has it", str(event.steps), key
            )


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
            yield Observation(
                where, f"the first round's initial weights, {first[:16]}", event.initial_weights[:16], str(run.key)
            )


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
            expected = (
                f"the weights that round {event.round - 1} ended with, {before[:16]}, as a warm start is declared"
            )
            yield Observation(where, expected, event.initial_weights[:16], str(run.key))


def _strategies_share_initial_weights(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.weights, "initial weights")


def _equal_beginnings_predict_equally(study: StudyEvidence) -> Observations:
    """Weights, recipe and labels of the first round are the same for all, so what it predicts is, too, to the last bit on a processor."""
    begun = [fact for fact in study.facts if fact.begun is not None]
    yield from shared(
        begun,
        lambda f: f.begun,
        "predictions of the first round",
        within=lambda f: f"{by_protocol_and_seed(f)}, {f.began}",
    )


def _tuning_is_equal(study: StudyEvidence) -> Observations:
    told = {s.id: s.tuning for s in study.study.strategies if s.id != BASELINE}
    declared = {n for n in told.values() if n is not None}
    for strategy, n in told.items():
        if n is None:
            yield unverifiable(
                study.source, f"how many settings of {strategy} were tried before (tuning = n)", "not declared"
            )
        elif n > min(declared):
            least = min(told, key=lambda s: (told[s] is None, told[s] or 0))
            yield Observation(
                study.source, f"as many settings tried as for {least}, {min(declared)}", f"{n} settings of {strategy}"
            )


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
    RunRule(
        id="TRN-01",
        title="every round is trained by the protocol's recipe",
        why="a better recipe is worth more than any strategy, and a worse one makes a random that is easily beaten",
        evidence="recipe digest of every round; of tuned rounds see TRN-07",
        fix="run the study again in a new folder with one recipe",
        reads=frozenset({"training"}),
        function=_recipe_is_the_protocols,
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
        evidence="digests of initial weights and pretrained body of the first round",
        fix="build the network from the seed's model stream, on one kind of device and one version of torch",
        reads=frozenset({"training", "peers"}),
        function=_strategies_share_initial_weights,
    ),
    RunRule(
        id="TRN-04",
        title="every round is trained as long as the recipe says",
        why="more steps are worth accuracy, whatever was bought, and fewer make a random that is easily beaten",
        evidence="steps of every round; of tuned rounds see TRN-07",
        fix="run the study again in a new folder with one recipe",
        reads=frozenset({"training"}),
        function=_as_long_as_the_recipe_says,
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
    StudyRule(
        id="TRN-11",
        title="strategies with one seed begin with the same predictions",
        why="whoever begins better, or lets random begin worse, with the same labels, weights and recipe was trained otherwise",
        evidence="predictions digest of the first round, where starting set, weights, recipe and environment are the same and it was trained on "
        "a processor in float32, which gives equal bytes; between other devices nothing can be said",
        fix="find out what trained differently, and run the study again in a new folder",
        reads=frozenset({"training", "peers"}),
        function=_equal_beginnings_predict_equally,
    ),
)

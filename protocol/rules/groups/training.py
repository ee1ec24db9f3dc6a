"""TRN: all strategies are trained by one recipe, and every round starts from the declared weights."""

from __future__ import annotations

from protocol.record.events import RoundEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import StudyEvidence
from protocol.rules.rule import (
    AnyRule,
    Observations,
    broken,
    by_protocol_and_seed,
    run_rule,
    shared,
    study_rule,
    unverifiable,
)
from protocol.spec.data import NOT_DECLARED
from protocol.spec.protocol import Protocol, Solver
from protocol.spec.study import BASELINE


@run_rule(
    "TRN-01",
    "every round is trained by the protocol's recipe",
    why="a better recipe is worth more than any strategy, and a worse one makes a random baseline that is easily "
    "beaten",
    evidence="recipe digest of every round; for tuned rounds see TRN-07",
    fix="run the study again in a new folder with one recipe",
    reads={"training"},
)
def changed_recipe(run: RunEvidence) -> Observations:
    rounds, recipe = run.of(RoundEvent), run.protocol.recipe
    if not rounds:
        yield unverifiable(run.path, "a round with its recipe", "no round")
    if run.protocol.regime.tuning:
        return
    for where, event in rounds:
        if not event.recipe:
            yield unverifiable(where, "the recipe as executed", "nothing recorded")
        elif event.recipe != recipe:
            yield broken(where, f"the recipe of the protocol, {recipe[:16]}", event.recipe[:16])


@run_rule(
    "TRN-02",
    "every round starts from the weights that the protocol declares",
    why="weights kept from earlier rounds are further training that the recipe does not name",
    evidence="initial-weights digest of every round: equal in all, or after a warm start equal to the final weights "
    "of the "
    "previous round",
    fix="build a new network in every round, from the seed's model stream, or declare regime.start = 'warm'",
    reads={"training"},
)
def wrong_start_weights(run: RunEvidence) -> Observations:
    warm, first = run.protocol.regime.start == "warm", ""
    ended: dict[int, str] = {}
    for where, event in run.of(RoundEvent):
        ended[event.round] = event.final_weights
        first = first or event.initial_weights
        if not event.initial_weights:
            yield unverifiable(where, "digest of the weights before training", "nothing recorded")
        elif not warm and event.initial_weights != first:
            yield broken(where, f"the first round's initial weights, {first[:16]}", event.initial_weights[:16])
        elif warm and event.round:  # the first round is TRN-03's
            before = ended.get(event.round - 1, "")
            expected = f"the final weights of round {event.round - 1}, as a warm start is declared"
            if not before:
                yield unverifiable(where, f"digest of {expected}", "nothing recorded")
            elif event.initial_weights != before:
                yield broken(where, f"{expected}: {before[:16]}", event.initial_weights[:16])


@study_rule(
    "TRN-03",
    "strategies with one seed start from the same weights",
    why="lucky weights are not a better strategy",
    evidence="digests of initial weights and pretrained body of the first round",
    fix="build the network from the seed's model stream, on one kind of device and one version of torch",
    reads={"training", "peers"},
)
def unequal_start_weights(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.weights, "initial weights")


@run_rule(
    "TRN-04",
    "every round is trained as long as the recipe says",
    why="more steps raise accuracy, whatever was bought, and fewer make a random baseline that is easily beaten",
    evidence="steps of every round; for tuned rounds see TRN-07",
    fix="run the study again in a new folder with one recipe",
    reads={"training"},
)
def wrong_training_length(run: RunEvidence) -> Observations:
    if not run.protocol.regime.tuning:
        for where, event in run.of(RoundEvent):
            yield from wrong_steps(run.protocol, where, event)


def wrong_steps(protocol: Protocol, where: str, event: RoundEvent) -> Observations:
    """Check a round's steps against its recipe.

    They are as many as the recipe says, or at most as many where training accuracy or a solver ends a round.
    """
    if 0 <= event.round < len(protocol.training_labels):  # else BUD-02's
        regime = protocol.regime
        most, exactly = regime.max_steps(protocol.training_labels[event.round]), regime.fixed_length
        if event.steps > most or (exactly and event.steps != most):
            yield broken(where, f"{'' if exactly else 'at most '}{most} steps, by its recipe", event.steps)


@study_rule(
    "TRN-05",
    "no strategy was tuned more than another",
    severity="warning",
    why="a strategy whose settings were chosen among many is compared with strategies at their defaults",
    evidence="tuning of the strategies in the plan, as the authors declare it; what was tried elsewhere cannot be "
    "seen. "
    "For regime.tuning, which is part of every run, see TRN-06",
    fix="declare tuning = n for every strategy (0: defaults), and tune all of them equally or none",
    reads={"plan"},
    needs="plan",
)
def unequal_tuning(study: StudyEvidence) -> Observations:
    tried = {s.id: s.tuning for s in study.study.strategies if s.id != BASELINE}
    declared = {strategy: n for strategy, n in tried.items() if n is not None}
    for strategy, n in tried.items():
        if n is None:
            expected = f"how many settings of {strategy} were tried before (tuning = n)"
            yield unverifiable(study.source, expected, NOT_DECLARED)
        elif n > min(declared.values()):
            least = min(declared, key=lambda s: declared[s])
            expected = f"as many settings tried as of {least}: {declared[least]}"
            yield broken(study.source, expected, f"{n} setting{'s' * (n > 1)} of {strategy}")


@study_rule(
    "TRN-10",
    "the training data of every encoder are declared",
    severity="note",
    why="an encoder that saw labels of the pool or the test set raises every curve, random's too",
    evidence="data.encoder.trained_on of the plan, or for the data set 'features' the card in its file, which the "
    "record "
    "holds. Both are declared by the authors: weights do not show their training data, and features without a card "
    "show nothing",
    fix="name the data in data.encoder.trained_on (for features from a file: encode --trained-on), and whether labels "
    "were "
    "used; pretrain on other data than pool and test set",
    reads={"plan"},
    needs="plan",
)
def undeclared_encoder_data(study: StudyEvidence) -> Observations:
    for protocol in study.study.protocols:
        encoder = protocol.data.encoder
        if encoder is not None and not (encoder.trained_on or "").strip():
            expected = f"training data of {encoder.name} of protocol {protocol.name} (data.encoder.trained_on)"
            yield broken(study.source, expected, NOT_DECLARED)
    reported: set[tuple[str, str]] = set()
    for facts in study.facts:
        if facts.encoded is None or facts.data is None or facts.encoded.encoder.learned_from != NOT_DECLARED:
            continue
        name, protocol_name = facts.encoded.encoder.name, facts.key.protocol
        if (protocol_name, name) not in reported:
            reported.add((protocol_name, name))
            expected = f"training data of {name} of protocol {protocol_name} (encode --trained-on)"
            yield broken(facts.data.where, expected, NOT_DECLARED)


@study_rule(
    "TRN-11",
    "strategies with one seed begin with the same predictions",
    why="a strategy that starts better, or lets random start worse, with the same labels, weights and recipe was "
    "trained "
    "differently",
    evidence="predictions digest of the first round, where starting set, weights, recipe and environment are equal "
    "and it was "
    "trained on a CPU in float32, which gives equal bytes; on other devices nothing can be said",
    fix="find out what trained differently, and run the study again in a new folder",
    reads={"training", "peers"},
)
def unequal_first_predictions(study: StudyEvidence) -> Observations:
    comparable = [fact for fact in study.facts if fact.first_predictions is not None]
    yield from shared(
        comparable,
        lambda f: f.first_predictions,
        "predictions of the first round",
        within=lambda f: f"{by_protocol_and_seed(f)}, {f.first_inputs}",
    )


@run_rule(
    "TRN-12",
    "every solved head has converged",
    severity="warning",
    why="a head that stopped early depends on how many iterations it was given, and the curve on more than the labels",
    evidence="largest entry of the gradient that every round records, against regime.solver.tolerance; for "
    "tuned rounds against that of their setting",
    fix="raise regime.solver.max_iterations or regime.solver.l2, in a new study folder",
    reads={"training"},
)
def unconverged_head(run: RunEvidence) -> Observations:
    for where, event in run.of(RoundEvent):
        solver = _solver_of(run.protocol, event)
        if solver is None:
            continue
        gradient = event.extra.get("gradient")
        if gradient is None:
            yield unverifiable(where, "the largest entry of the gradient at the end", "nothing recorded")
        elif not gradient <= solver.tolerance:
            expected = f"a gradient of at most {solver.tolerance:g} after at most {solver.max_iterations} iterations"
            yield broken(where, expected, f"{gradient:.2g} after {event.steps}")


def _solver_of(protocol: Protocol, event: RoundEvent) -> Solver | None:
    """Return the solver that the round was made with; of a setting that does not fit, the declared one."""
    if not event.setting or protocol.regime.solver is None:
        return protocol.regime.solver
    try:
        return protocol.with_setting(event.setting).regime.solver
    except (ValueError, KeyError, TypeError):  # TRN-07 says that the setting is not one of the trials
        return protocol.regime.solver


RULES: tuple[AnyRule, ...] = (
    changed_recipe,
    wrong_start_weights,
    unequal_start_weights,
    wrong_training_length,
    unequal_tuning,
    undeclared_encoder_data,
    unequal_first_predictions,
    unconverged_head,
)

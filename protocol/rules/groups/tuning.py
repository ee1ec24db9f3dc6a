"""TRN, tuning inside the protocol: every run makes the same trials and trains by the best.

Trials are made on granted labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.trials import best_trial, draw_held_out, draw_settings
from protocol.errors import Fault
from protocol.record.events import Event, LabelsEvent, RoundEvent, TrialEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import StudyEvidence
from protocol.rules.groups.training import wrong_steps
from protocol.rules.rule import AnyRule, Observations, broken, run_rule, shared, study_rule, unverifiable
from protocol.spec.protocol import Protocol
from protocol.spec.tuning import HyperparameterSetting, Tuning

Trial = tuple[str, TrialEvent]
"""file:line, and the event."""


def _rounds(run: RunEvidence) -> Iterator[tuple[str, RoundEvent, list[Trial]]]:
    """Yield (file:line, round, the trials recorded before it that decide how it trains)."""
    tuning = run.protocol.regime.tuning
    before: list[Trial] = []
    for where, event in run.of(Event):
        if isinstance(event, TrialEvent):
            before.append((where, event))
        elif isinstance(event, RoundEvent):
            deciding = tuning.round_of(event.round) if tuning else event.round
            yield where, event, [(place, trial) for place, trial in before if trial.round == deciding]


@run_rule(
    "TRN-06",
    "every run tries the settings that the seed draws, as many as the protocol says",
    why="a strategy whose recipe was searched longer, or among picked settings, is compared with strategies whose was "
    "not",
    evidence="'trial' events of the record, drawn again from the root seed",
    fix="run it again in a new folder; tuning belongs in the table regime.tuning, where it is the same for all "
    "strategies",
    reads={"head", "training"},
    judges="tuning",
)
def undrawn_trials(run: RunEvidence) -> Observations:
    tuning, trials = run.protocol.regime.tuning, run.of(TrialEvent)
    if tuning is None:
        if trials:
            yield broken(trials[0][0], "no trial, as the protocol tunes nothing", f"{len(trials)} trials")
        return
    for where, event, deciding in _rounds(run):
        if event.round == tuning.round_of(event.round):
            yield from _differing(run, where, event.round, deciding)
    if misplaced := _misplaced(run, tuning):
        where, trial = misplaced[0]
        yield broken(where, "trials before the round that they are made for", f"a trial of round {trial.round}")


def _differing(run: RunEvidence, where: str, number: int, trials: list[Trial]) -> Observations:
    drawn = _drawn(_Search.of(run.protocol), run.key.seed, number)
    if len(trials) != len(drawn):
        yield broken(where, f"{len(drawn)} trials before round {number}", len(trials))
    for (place, trial), (at, (setting, recipe)) in zip(trials, enumerate(drawn), strict=False):
        if (trial.trial, trial.setting) != (at, setting):
            expected = f"trial {at} with the setting that the seed draws: {_words(setting)}"
            yield broken(place, expected, f"trial {trial.trial}: {_words(trial.setting)}")
        elif trial.recipe != recipe:
            yield broken(place, f"the recipe of this setting, {recipe[:16]}", trial.recipe[:16] or "none")


@dataclass(frozen=True)
class _Search:
    """What decides which settings a seed draws and their recipes; searches with the same `text` are equal."""

    text: str
    protocol: Protocol = field(compare=False)

    @classmethod
    def of(cls, protocol: Protocol) -> _Search:
        parts = (protocol.root_seed, protocol.model.model_dump_json(), protocol.regime.model_dump_json())
        return cls(" ".join(map(str, parts)), protocol)


@lru_cache(maxsize=128)  # strategies of one seed, which are checked one after the other, share their trials
def _drawn(search: _Search, seed: int, number: int) -> tuple[tuple[HyperparameterSetting, str], ...]:
    """Return (setting, recipe) of each trial of a round."""
    protocol = search.protocol
    settings = draw_settings(protocol.regime, protocol.root_seed, seed, number)
    return tuple((setting, protocol.with_setting(setting).recipe) for setting in settings)


def _misplaced(run: RunEvidence, tuning: Tuning) -> list[Trial]:
    """Return trials after their round, or of rounds that have no trials or do not exist."""
    done: set[int] = set()
    late: list[Trial] = []
    for where, event in run.of(Event):
        if isinstance(event, RoundEvent):
            done.add(event.round)
        elif isinstance(event, TrialEvent) and (event.round in done or event.round != tuning.round_of(event.round)):
            late.append((where, event))
    if run.record is not None and not run.sealed:
        done.add(len(done))  # the round that an unfinished run has yet to train
    return late + [(where, trial) for where, trial in run.of(TrialEvent) if trial.round not in done]


def _words(setting: HyperparameterSetting) -> str:
    return ", ".join(f"{path} = {value}" for path, value in setting.items()) or "nothing"


@run_rule(
    "TRN-07",
    "every round trains by the best of its trials",
    why="a setting chosen against the trials was chosen by something else, perhaps by the test images",
    evidence="'trial' events, and setting, recipe digest and steps of every round",
    fix="run it again in a new folder; the highest score decides, the first one on a tie",
    reads={"training"},
    judges="tuning",
)
def setting_not_the_best(run: RunEvidence) -> Observations:
    protocol = run.protocol
    for where, event, trials in _rounds(run):
        if protocol.regime.tuning is None:
            if event.setting:
                yield broken(where, "the recipe as declared", f"the setting {_words(event.setting)}")
            continue
        place = best_trial([trial.validation.get(protocol.metric) for _, trial in trials])
        if place is None:
            yield unverifiable(where, f"a trial with its {protocol.metric}", f"none among {len(trials)}")
            continue
        at, chosen = trials[place]
        if event.setting != chosen.setting:
            expected = f"the best of the trials, number {chosen.trial} ({at}): {_words(chosen.setting)}"
            yield broken(where, expected, _words(event.setting))
            continue
        tuned = protocol.with_setting(event.setting)
        if event.recipe != tuned.recipe:
            yield broken(where, f"the recipe of its setting, {tuned.recipe[:16]}", event.recipe[:16] or "none")
        yield from wrong_steps(tuned, where, event)


@run_rule(
    "TRN-08",
    "trials use only labels that the protocol grants, from fresh weights",
    why="settings chosen on test images, or on labels that were not paid for, flatter the strategy",
    evidence="'trial' events: digest of the images scored on, how often the test predictions had been evaluated, "
    "initial "
    "weights",
    fix="score trials on the validation images or on regime.tuning.held_out, and run it again in a new folder",
    reads={"head", "training", "ledger", "split"},
    judges="tuning",
)
def trials_on_ungranted_labels(run: RunEvidence) -> Observations:
    tuning = run.protocol.regime.tuning
    if tuning is None:
        return
    labelled: list[int] = []
    rounds, start = 0, next((e.initial_weights for _, e in run.of(RoundEvent)), "")
    for where, event in run.of(Event):
        if isinstance(event, LabelsEvent) and event.purpose != "validation":
            labelled += event.indices
        elif isinstance(event, RoundEvent):
            rounds += 1
        elif isinstance(event, TrialEvent):
            granted = _granted(run, tuning, event.round, labelled)
            if isinstance(granted, Fault):
                yield unverifiable(where, granted.expected, granted.found)
            elif event.scored_on != (digest := array_digest(granted)):
                what = "validation images" if tuning.held_out is None else "labelled images that the seed holds out"
                yield broken(where, f"scored on the {what}, {digest[:16]}", event.scored_on[:16] or "nothing")
            if event.examined != rounds:
                expected = f"test predictions evaluated {rounds} times before, once per round"
                yield broken(where, expected, event.examined)
            if not event.failed and run.protocol.regime.start == "reset" and event.initial_weights != start:
                expected = f"a trial that starts from the weights of the rounds, {start[:16]}"
                yield broken(where, expected, event.initial_weights[:16] or "nothing recorded")


def _granted(run: RunEvidence, tuning: Tuning, number: int, labelled: list[int]) -> NDArray[np.int64] | Fault:
    """Return the indices, ascending, of the images on which trials of a round are scored."""
    protocol = run.protocol
    if tuning.held_out is None:
        split = run.split.indices
        return split if isinstance(split, Fault) else np.sort(split.validation)
    images = np.asarray(labelled, np.int64)
    if protocol.labelling is not None:
        units = run.units
        if isinstance(units, Fault):
            return units
        images = np.unique(units.image_of(images))
    return draw_held_out(protocol.regime, protocol.root_seed, run.key.seed, number, images)


@study_rule(
    "TRN-09",
    "strategies with one seed have the same trials on the starting set",
    why="from one starting set and one seed all strategies tune alike; a difference means a different machine, or a "
    "choice",
    evidence="'trial' events of the first round where regime.tuning.policy is 'starting-set': settings and scores",
    fix="run the study again in a new folder, on one kind of device",
    reads={"training", "peers"},
    judges="tuning",
)
def unequal_first_trials(study: StudyEvidence) -> Observations:
    tuned = {p.name for p in study.study.protocols if p.regime.tuning and p.regime.tuning.policy == "starting-set"}
    # a start that the strategy chose leads to different scores
    facts = [f for f in study.facts if f.key.protocol in tuned and not f.strategy_started]
    yield from shared(facts, lambda f: f.first_trials, "trials on the starting set")


RULES: tuple[AnyRule, ...] = (undrawn_trials, setting_not_the_best, trials_on_ungranted_labels, unequal_first_trials)

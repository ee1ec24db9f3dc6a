"""TRN, tuning inside the protocol: the same trials for all, on labels that were granted, and the best of them trained with."""

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
from protocol.rules.evidence import RunEvidence, StudyEvidence
from protocol.rules.groups.training import as_long_as
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, StudyRule, shared, unverifiable
from protocol.spec.protocol import Protocol
from protocol.spec.tuning import HyperparameterSetting, Tuning

Trial = tuple[str, TrialEvent]
"""file:line, and what stands there."""


def _rounds(run: RunEvidence) -> Iterator[tuple[str, RoundEvent, list[Trial]]]:
    """(file:line, round, the trials on the record before it that decide how it trains)."""
    tuning = run.protocol.regime.tuning
    before: list[Trial] = []
    for where, event in run.of(Event):
        if isinstance(event, TrialEvent):
            before.append((where, event))
        elif isinstance(event, RoundEvent):
            deciding = tuning.round_of(event.round) if tuning else event.round
            yield where, event, [(place, trial) for place, trial in before if trial.round == deciding]


def _as_many_as_drawn(run: RunEvidence) -> Observations:
    key, tuning = str(run.key), run.protocol.regime.tuning
    for where, event, trials in _rounds(run):
        if tuning is None or event.round != tuning.round_of(event.round):
            continue
        yield from _compared(run, where, event.round, trials)
    every = run.of(TrialEvent)
    if tuning is None and every:
        yield Observation(every[0][0], "no trial, as the protocol tunes nothing", f"{len(every)}", key)
    elif tuning is not None and (late := _out_of_place(run, tuning)):
        yield Observation(
            late[0][0], "trials before the round that they are made for", f"one of round {late[0][1].round}", key
        )


def _compared(run: RunEvidence, where: str, number: int, trials: list[Trial]) -> Observations:
    key, protocol = str(run.key), run.protocol
    drawn = _drawn(_Search.of(protocol), run.key.seed, number)
    if len(trials) != len(drawn):
        yield Observation(where, f"{len(drawn)} trials before round {number}", str(len(trials)), key)
    for (place, trial), (at, (setting, recipe)) in zip(trials, enumerate(drawn), strict=False):
        if (trial.trial, trial.setting) != (at, setting):
            found = f"trial {trial.trial}: {_told(trial.setting)}"
            yield Observation(place, f"trial {at} with what the seed draws: {_told(setting)}", found, key)
        elif trial.recipe != recipe:
            yield Observation(
                place, f"the recipe that the setting makes, {recipe[:16]}", trial.recipe[:16] or "none", key
            )


@dataclass(frozen=True)
class _Search:
    """What decides which settings a seed draws, and the recipes that they make, compared by what it says."""

    said: str
    protocol: Protocol = field(compare=False)

    @classmethod
    def of(cls, protocol: Protocol) -> _Search:
        return cls(
            f"{protocol.root_seed} {protocol.model.model_dump_json()} {protocol.regime.model_dump_json()}", protocol
        )


@lru_cache(maxsize=128)
def _drawn(search: _Search, seed: int, number: int) -> tuple[tuple[HyperparameterSetting, str], ...]:
    """(setting, recipe) of a round's trials: the same for all strategies of a seed, whose records are looked at one after the other."""
    protocol = search.protocol
    settings = draw_settings(protocol.regime, protocol.root_seed, seed, number)
    return tuple((setting, protocol.with_setting(setting).recipe) for setting in settings)


def _out_of_place(run: RunEvidence, tuning: Tuning) -> list[Trial]:
    """Trials of rounds that none are made for, or after their round."""
    done: set[int] = set()
    late: list[Trial] = []
    for where, event in run.of(Event):
        if isinstance(event, RoundEvent):
            done.add(event.round)
        elif isinstance(event, TrialEvent) and (event.round in done or event.round != tuning.round_of(event.round)):
            late.append((where, event))
    unfinished = (
        run.record is not None and not run.record.sealed
    )  # then trials of a round that is still to come are in place
    return late + [
        (where, e)
        for where, e in run.of(TrialEvent)
        if e.round not in done and not (unfinished and e.round == len(done))
    ]


def _told(setting: HyperparameterSetting) -> str:
    return ", ".join(f"{path} = {value}" for path, value in setting.items()) or "nothing"


def _the_best_is_trained_with(run: RunEvidence) -> Observations:
    key, protocol, regime = str(run.key), run.protocol, run.protocol.regime
    for where, event, trials in _rounds(run):
        if regime.tuning is None:
            if event.setting:
                yield Observation(where, "the recipe as declared", f"another: {_told(event.setting)}", key)
            continue
        place = best_trial([trial.validation.get(protocol.metric) for _, trial in trials])
        if place is None:
            yield unverifiable(where, f"a trial with its {protocol.metric}", f"none among {len(trials)}", key)
            continue
        at, chosen = trials[place]
        if event.setting != chosen.setting:
            expected = f"the best of the trials, number {chosen.trial} ({at}): {_told(chosen.setting)}"
            yield Observation(where, expected, _told(event.setting), key)
            continue
        tuned = protocol.with_setting(event.setting)
        if event.recipe != tuned.recipe:
            yield Observation(
                where, f"the recipe that its setting makes, {tuned.recipe[:16]}", event.recipe[:16] or "none", key
            )
        yield from as_long_as(tuned, where, event, key)


def _scored_on_what_was_granted(run: RunEvidence) -> Observations:
    key, tuning = str(run.key), run.protocol.regime.tuning
    if tuning is None or not run.of(TrialEvent):
        return
    owned: list[int] = []
    done, start = 0, next((e.initial_weights for _, e in run.of(RoundEvent)), "")
    for where, event in run.of(Event):
        if isinstance(event, LabelsEvent) and event.purpose != "validation":
            owned += event.indices
        elif isinstance(event, RoundEvent):
            done += 1
        elif isinstance(event, TrialEvent):
            granted = _granted(run, event.round, owned)
            if isinstance(granted, Fault):
                yield unverifiable(where, granted.expected, granted.found, key)
            elif event.scored_on != array_digest(granted):
                what = (
                    "the validation images"
                    if tuning.held_out is None
                    else "the labelled images that the seed holds out"
                )
                yield Observation(
                    where, f"scored on {what}, {array_digest(granted)[:16]}", event.scored_on[:16] or "nothing", key
                )
            if event.examined != done:
                yield Observation(
                    where, f"test predictions looked at {done} times, once a round before", str(event.examined), key
                )
            if not event.failed and run.protocol.regime.start == "reset" and event.initial_weights != start:
                found = event.initial_weights[:16] or "nothing recorded"
                yield Observation(
                    where, f"a trial that starts from the weights of the rounds, {start[:16]}", found, key
                )


def _granted(run: RunEvidence, number: int, owned: list[int]) -> NDArray[np.int64] | Fault:
    """Indices, ascending, of the images that trials of a round are scored on."""
    protocol, tuning = run.protocol, run.protocol.regime.tuning
    if tuning is None or tuning.held_out is None:
        split = run.split.split
        return (
            Fault(run.path, "the split's validation images", "no split to believe")
            if split is None
            else np.sort(split.validation)
        )
    images = np.asarray(owned, np.int64)
    if protocol.labelling is not None:
        units = run.units
        if isinstance(units, Fault):
            return units
        images = np.unique(units.image_of(images))
    return draw_held_out(protocol.regime, protocol.root_seed, run.key.seed, number, images)


def _strategies_share_the_setting(study: StudyEvidence) -> Observations:
    tuned = {p.name for p in study.study.protocols if p.regime.tuning and p.regime.tuning.policy == "starting-set"}
    facts = [f for f in study.facts if f.key.protocol in tuned and not f.chosen]  # another start has other scores
    yield from shared(facts, lambda f: f.tuned, "trials on the starting set")


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="TRN-06",
        title="every run tries as many settings as the protocol says, and those that the seed draws",
        why="a strategy whose recipe was searched longer, or among picked settings, is compared with others that were not",
        evidence="'trial' events of the record, drawn again from the root seed",
        fix="run it again in a new folder; tuning belongs in the table regime.tuning, where it is the same for all strategies",
        reads=frozenset({"head", "training"}),
        function=_as_many_as_drawn,
    ),
    RunRule(
        id="TRN-07",
        title="every round trains by the best of its trials",
        why="a setting chosen against the trials was chosen by something else, perhaps by the test images",
        evidence="'trial' events, and setting, recipe digest and steps of every round",
        fix="run it again in a new folder; the highest score decides, the first of equals",
        reads=frozenset({"training"}),
        function=_the_best_is_trained_with,
    ),
    RunRule(
        id="TRN-08",
        title="trials use only labels that the protocol grants, from fresh weights",
        why="settings that were chosen on test images, or on labels that nobody paid for, flatter whoever chose them",
        evidence="'trial' events: digest of the images scored on, how often the test predictions had been looked at, initial weights",
        fix="score trials on the validation images or on regime.tuning.held_out, and run it again in a new folder",
        reads=frozenset({"head", "training", "ledger", "split"}),
        function=_scored_on_what_was_granted,
    ),
    StudyRule(
        id="TRN-09",
        title="strategies with one seed have the same trials on the starting set",
        why="from one starting set and one seed everybody tunes alike; a difference is another machine, or a choice",
        evidence="'trial' events of the first round where regime.tuning.policy is 'starting-set': settings and scores",
        fix="run the study again in a new folder, on one kind of device",
        reads=frozenset({"training", "peers"}),
        function=_strategies_share_the_setting,
    ),
)

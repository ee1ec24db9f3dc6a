"""Tuning inside a run: trials precede a round, which trains with the best setting.

Every trial is a separate training. It starts from the weights that the round starts from, uses the round's random
streams, and leaves nothing but its line in the record. Trials are scored on the validation images, or on labelled
images held out from their training; the test images are not used. A trial that is on the record is never repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from protocol.digests import array_digest
from protocol.draws.splits import Indices
from protocol.draws.trials import best_trial, draw_held_out, draw_settings
from protocol.errors import Fault, InputError, RecordError
from protocol.oracle.oracle import LabelOracle
from protocol.record.events import TrialEvent
from protocol.spec.protocol import Protocol
from protocol.spec.tuning import HyperparameterSetting
from runners.regimes import Diverged, EndState, FitInputs, Resident, fit
from runners.regimes.augment.images import refuse_impossible


@dataclass(frozen=True, eq=False)
class Tuner:
    """Choose the hyperparameter setting of every round of one run.

    Attributes:
        seed: seed of the run.
        recorded: trials that are on the record already.
        write: appends a trial to the record; the event must be on disk when it returns.
    """

    seed: int
    recorded: Sequence[TrialEvent] = ()
    write: Callable[[TrialEvent], None] = lambda _: None
    _choices: dict[int, HyperparameterSetting] = field(default_factory=dict)

    def choose(
        self,
        protocol: Protocol,
        round_: int,
        inputs: FitInputs,
        oracle: LabelOracle,
        resident: Resident,
        before: EndState | None,
    ) -> HyperparameterSetting:
        """Return the setting that the round trains with; run the trials that are not on the record.

        Args:
            before: state that the round starts from, for a warm start.

        Returns:
            The best setting of the deciding round's trials; empty if the protocol has no tuning.

        Raises:
            InputError: the images are too small for a setting, or all trials failed.
            RecordError: the trials on the record are not those that the seed draws.
        """
        tuning = protocol.regime.tuning
        if tuning is None:
            return {}
        deciding = tuning.round_of(round_)
        if deciding not in self._choices:
            trials = [e for e in self.recorded if e.round == deciding]
            settings = draw_settings(protocol.regime, protocol.root_seed, self.seed, deciding)
            _refuse_other_trials(protocol, deciding, trials, settings)
            if len(trials) < len(settings):
                if deciding != round_:
                    where = f"protocol {protocol.name}, round {round_}"
                    raise RecordError(
                        Fault(where, f"the {len(settings)} trials of round {deciding} on the record", str(len(trials)))
                    )
                search = _Search.of(protocol, self.seed, round_, settings, inputs, oracle, resident, before)
                for trial in range(len(trials), len(settings)):
                    trials.append(search.trial(trial))
                    self.write(trials[-1])
            self._choices[deciding] = _best(protocol, deciding, trials)
        return self._choices[deciding]


@dataclass(frozen=True, eq=False)
class _Search:
    """Trials of one round.

    Attributes:
        settings: one setting per trial.
        inputs: images and labels that trials train and are validated on.
        scored_on: digest of the indices that trials are scored on.
        examined: number of test examinations before the trials.
        before: state that trials start from, for a warm start.
    """

    protocol: Protocol
    seed: int
    round: int
    settings: tuple[HyperparameterSetting, ...]
    inputs: FitInputs
    scored_on: str
    examined: int
    resident: Resident
    before: EndState | None

    @classmethod
    def of(
        cls,
        protocol: Protocol,
        seed: int,
        round_: int,
        settings: tuple[HyperparameterSetting, ...],
        inputs: FitInputs,
        oracle: LabelOracle,
        resident: Resident,
        before: EndState | None,
    ) -> _Search:
        """Hold out the labels that trials are scored on.

        Raises:
            InputError: the images are too small for a setting, or no labels are left for training or scoring.
        """
        for setting in settings:
            _refuse_impossible(protocol, setting, inputs)
        held_out = draw_held_out(
            protocol.regime, protocol.root_seed, seed, round_, np.concatenate([inputs.labelled, inputs.useless])
        )
        scored_on = array_digest(held_out if len(held_out) else np.sort(oracle.validation()[0]))
        trained = (
            _without(inputs, held_out, f"protocol {protocol.name}, round {round_}: regime.tuning.held_out")
            if len(held_out)
            else inputs
        )
        return cls(protocol, seed, round_, settings, trained, scored_on, oracle.examinations, resident, before)

    def trial(self, number: int) -> TrialEvent:
        """Train with one setting."""
        setting, start = self.settings[number], time.perf_counter()
        tried = self.protocol.with_setting(setting)
        try:
            made = fit(tried, self.inputs, self.seed, self.round, self.resident, self.before)
            validation, weights, steps, failed = made.validation, made.initial_weights, made.steps, ""
        except Diverged:
            validation, weights, steps, failed = {}, "", 0, "the weights were not finite"
        return TrialEvent(
            round=self.round,
            trial=number,
            setting=setting,
            validation=validation,
            failed=failed,
            scored_on=self.scored_on,
            initial_weights=weights,
            recipe=tried.recipe,
            steps=steps,
            examined=self.examined,
            cost={"train_s": round(time.perf_counter() - start, 4)},
        )


def _without(inputs: FitInputs, held_out: Indices, where: str) -> FitInputs:
    """Make the held-out images the validation images.

    They stay in the pool, but without a label.
    """
    left = ~np.isin(inputs.labelled, held_out)
    if left.all() or not left.any():
        expected = f"labelled images of the task's classes both among the {len(held_out)} held out and among the rest"
        raise InputError(
            Fault(
                where,
                expected,
                f"none {'held out' if left.all() else 'left'}",
                "change the share, or start with more labels",
            )
        )
    return replace(
        inputs,
        labelled=inputs.labelled[left],
        labels=inputs.labels[left],
        validation=inputs.labelled[~left],
        validation_labels=inputs.labels[~left],
        useless=np.concatenate([inputs.useless, inputs.labelled[~left]]),
    )


def _refuse_impossible(protocol: Protocol, setting: HyperparameterSetting, inputs: FitInputs) -> None:
    try:
        refuse_impossible(protocol.with_setting(setting).regime, inputs.images.height, inputs.images.width)
    except InputError as error:
        fault = error.faults[0]
        where = f"protocol {protocol.name}: regime.tuning.space, a setting with {fault.where}"
        raise InputError(Fault(where, fault.expected, fault.found, fault.fix)) from None


def _refuse_other_trials(
    protocol: Protocol, round_: int, trials: Sequence[TrialEvent], settings: Sequence[HyperparameterSetting]
) -> None:
    for made, (number, setting) in zip(trials, enumerate(settings), strict=False):
        if (made.trial, made.setting) != (number, setting):
            where, fix = (
                f"protocol {protocol.name}, round {round_}: trials on the record",
                "move the run's folder away to start the run again",
            )
            raise RecordError(
                Fault(
                    where,
                    f"trial {number} with {setting}, drawn from the seed",
                    f"{made.trial} with {made.setting}",
                    fix,
                )
            )
    if len(trials) > len(settings):
        raise RecordError(
            Fault(
                f"protocol {protocol.name}, round {round_}", f"{len(settings)} trials on the record", str(len(trials))
            )
        )


def _best(protocol: Protocol, round_: int, trials: Sequence[TrialEvent]) -> HyperparameterSetting:
    place = best_trial([e.validation.get(protocol.metric) for e in trials])
    if place is None:
        where, found = (
            f"protocol {protocol.name}, round {round_}: regime.tuning",
            f"{len(trials)} trials, all failed: {trials[0].failed}",
        )
        raise InputError(
            Fault(
                where,
                "at least one trial that can be scored",
                found,
                "narrow regime.tuning.space, or try more settings",
            )
        )
    return trials[place].setting

"""Tuning inside a run: the same for all strategies, and after interruptions.

It uses granted labels alone and fresh weights.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.digests import array_digest
from protocol.draws.trials import draw_held_out, draw_settings
from protocol.errors import RecordError
from protocol.record.chain import Record, Writer, essence, open_record, read
from protocol.record.events import LabelsEvent, RoundEvent, TrialEvent
from protocol.record.layout import RunFolder, StudyFolder
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.progress.expected_time import seconds_left, training_work
from runners.progress.job import Job, record_death
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, state
from runners.progress.status import jobs as jobs_of
from runners.regimes import Diverged, fit, tuner
from runners.regimes.tuner import Tuner
from runners.run.open_oracle import LabelledData, SessionSpec
from runners.run.perform import perform
from runners.run.replay import replay_run
from runners.verbs.running.plan import cost_of
from runners.verbs.running.status import tuning_lines
from tests.support.study_builder import rewrite

SPACE: dict[str, Any] = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-1, "scale": "log"},
    "batch_size": {"choices": [8, 16, 20]},
    "augmentation.shift": {"low": 0, "high": 2},
}


def study_of(
    policy: str = "every-round", validation: int = 24, recipe: dict[str, Any] | None = None, **table: Any
) -> Study:
    """Random and margin on the embedded digits, three short rounds, three trials, one seed."""
    told = {"policy": policy, "trials": 3, "space": SPACE} | table
    regime = {
        "name": "plain",
        "epochs": 4,
        "batch_size": 16,
        "optimizer": {"name": "adam", "lr": 0.01},
        "tuning": told,
    } | (recipe or {})
    protocol = {"name": "toy", "data": {"name": "digits"}, "budgets": [20, 30, 45], "regime": regime}
    protocol["splits"] = {"test_size": 200, "validation_size": validation, "validation_counted": False}
    full = {"name": "toy", "protocols": [protocol | {"model": {"name": "small-cnn", "width": 4}}], "seeds": [0]}
    return parse(Study, full | {"strategies": [{"name": "random"}, {"name": "margin"}]}, "toy")


def job_of(path: Path, study: Study, strategy: str = "margin", *, isolate: bool = False) -> Job:
    adopt(StudyFolder(path), study, path)
    runs = [r for r in planned_runs(study) if r.strategy.id == strategy]
    return jobs_of(StudyFolder(path), study, None, "cpu", 1, runs, isolate)[0]


def folder_of(job: Job) -> RunFolder:
    return StudyFolder(job.study).run(job.run)


def record_of(job: Job) -> Record:
    return read(folder_of(job).events)


def made(path: Path, study: Study) -> dict[str, Record]:
    for strategy in ("random", "margin"):
        assert perform(job := job_of(path, study, strategy)).state == "done", perform(job).message
    return {strategy: record_of(job_of(path, study, strategy)) for strategy in ("random", "margin")}


def broken(study: Path) -> list[str]:
    """Rules that are, but for the code's state and the number of seeds."""
    return [rule for rule in check_study(study).broken() if not rule.startswith(("ENV", "STA"))]


def asked(record: Record) -> list[tuple[Any, ...]]:
    return [(e.round, e.trial, e.setting) for e in record.of(TrialEvent)]


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("every") / "study"
    made(path, study_of())
    return path


@pytest.fixture
def undisturbed(every: Path) -> Job:
    return job_of(every, study_of())


def test_every_strategy_tries_the_same_settings_in_every_round(every: Path) -> None:
    records = [record_of(job_of(every, study_of(), strategy)) for strategy in ("random", "margin")]
    assert asked(records[0]) == asked(records[1])
    assert [(r, t) for r, t, _ in asked(records[0])] == [(r, t) for r in range(3) for t in range(3)]
    first = [[e.validation for e in record.of(TrialEvent) if e.round == 0] for record in records]
    assert first[0] == first[1]  # from one starting set
    assert [e.validation for e in records[0].of(TrialEvent)] != [e.validation for e in records[1].of(TrialEvent)]
    for record in records:
        for event in record.rounds:
            trials = [e for e in record.of(TrialEvent) if e.round == event.round]
            chosen = max(trials, key=lambda e: e.validation["accuracy"])
            assert event.setting == chosen.setting
            assert (event.validation, event.steps) == (chosen.validation, chosen.steps)  # the same training once more
            assert {e.initial_weights for e in trials} == {record.rounds[0].initial_weights}
            assert {e.examined for e in trials} == {event.round}
    assert broken(every) == []


def test_on_the_starting_set_once_for_all_rounds(tmp_path: Path) -> None:
    records = made(tmp_path / "study", study_of("starting-set"))
    for record in records.values():
        assert [(r, t) for r, t, _ in asked(record)] == [(0, 0), (0, 1), (0, 2)]
        assert len({tuple(e.setting.items()) for e in record.rounds}) == 1
    assert records["random"].rounds[0].setting == records["margin"].rounds[0].setting
    answers = {r.rule.id: r.answer for r in check_study(tmp_path / "study").results}
    assert {answers[f"TRN-0{n}"] for n in (1, 2, 3, 4, 6, 7, 8, 9)} == {"obeyed"}


def test_held_out_labels_are_scored_on_and_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, seen = study_of("every-round", validation=0, held_out=0.25), []
    trained = fit

    def watched(protocol: Protocol, inputs: Any, *rest: Any) -> Any:
        seen.append(inputs)
        return trained(protocol, inputs, *rest)

    monkeypatch.setattr(tuner, "fit", watched)
    records = made(tmp_path / "study", study)
    assert [(len(i.labelled), len(i.validation)) for i in seen[:9:3]] == [(15, 5), (22, 8), (34, 11)]
    record, regime = records["random"], study.protocols[0].regime
    for number, inputs in enumerate(seen[:9:3]):
        bought = np.array([i for e in record.of(LabelsEvent)[: number + 1] for i in e.indices])
        apart = draw_held_out(regime, 0, 0, number, bought)
        assert set(inputs.validation) == set(apart)
        assert not set(inputs.labelled) & set(apart)
        assert set(inputs.labelled) | set(apart) == set(bought)
        assert set(inputs.pool) >= set(apart)
        assert [e.scored_on for e in record.of(TrialEvent)][3 * number] == array_digest(apart)
    assert [e.steps for e in record.of(TrialEvent)] == [
        study.protocols[0].with_setting(e.setting).regime.max_steps([20, 30, 45][e.round])
        for e in record.of(TrialEvent)
    ]
    assert broken(tmp_path / "study") == []


def test_what_test_labels_say_changes_no_trial(
    undisturbed: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that are neither bought nor of the validation set are poisoned: trials and choices stay."""
    load = LabelledData.load

    def poisoned(spec: SessionSpec, *_: object) -> LabelledData:
        data = load(spec)
        labels = data.labels.copy()
        labels[data.split.test] = (labels[data.split.test] + 1) % 10
        return replace(data, labels=labels)

    job = job_of(tmp_path / "study", study_of())
    monkeypatch.setattr(LabelledData, "load", poisoned)
    assert perform(job).state == "done"
    ours, theirs = record_of(job), record_of(undisturbed)
    assert ours.rounds[0].metrics != theirs.rounds[0].metrics
    assert [e.validation for e in ours.of(TrialEvent)] == [e.validation for e in theirs.of(TrialEvent)]
    assert [e.setting for e in ours.rounds] == [e.setting for e in theirs.rounds]


def test_the_fit_refuses_a_recipe_that_is_still_to_be_tuned(undisturbed: Job) -> None:
    with pytest.raises(ValueError, match=r"Protocol\.with_setting"):
        fit(undisturbed.protocol, None, 0, 0, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [2, 4, 8, 13])
def test_cut_after_any_line_it_continues_to_the_same_record(
    undisturbed: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    job, tried = job_of(tmp_path / "cut", study_of()), [0]
    shutil.copytree(undisturbed.study / "records", job.study / "records")
    events = folder_of(job).events
    whole = events.read_bytes().splitlines(keepends=True)
    events.write_bytes(b"".join(whole[:cut]))
    trial = tuner._Search.trial

    def counted(self: Any, number: int) -> TrialEvent:
        tried[0] += 1
        return trial(self, number)

    monkeypatch.setattr(tuner._Search, "trial", counted)
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))
    assert tried[0] == sum(
        b'"event":"trial"' in line for line in whole[cut:]
    )  # what is on the record is not tried again


def test_killed_before_any_line_is_written_it_goes_on(
    undisturbed: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    job, append = job_of(tmp_path / "killed", study_of()), Writer.append

    def once(self: Writer, event: Any, **options: Any) -> None:
        if isinstance(event, TrialEvent) and (event.round, event.trial) == (1, 2):
            raise Killed
        append(self, event, **options)

    monkeypatch.setattr(Writer, "append", once)
    with pytest.raises(Killed):
        perform(job)
    monkeypatch.setattr(Writer, "append", append)
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))


def test_trials_that_the_seed_does_not_draw_are_not_gone_on_from(undisturbed: Job, tmp_path: Path) -> None:
    record = record_of(undisturbed)
    trials = record.of(TrialEvent)
    forged = [trials[0].model_copy(update={"setting": trials[0].setting | {"optimizer.lr": 0.05}}), *trials[1:]]
    for wrong in (forged, [*trials, trials[2]]):
        with pytest.raises(RecordError, match=r"drawn from the seed|3 trials on the record"):
            Tuner(0, wrong).choose(undisturbed.protocol, 0, None, None, None, None)  # type: ignore[arg-type]


def test_a_trial_that_fails_is_on_the_record_and_never_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = fit

    def failing(protocol: Protocol, *rest: Any) -> Any:
        if protocol.regime.step_optimizer.lr > rates[0]:
            raise Diverged([])
        return trained(protocol, *rest)

    study = study_of()
    rates = sorted(float(s["optimizer.lr"]) for s in draw_settings(study.protocols[0].regime, 0, 0, 0))
    monkeypatch.setattr(tuner, "fit", failing)
    job = job_of(tmp_path / "study", study, "random")
    result = perform(job)
    trials = [e for e in record_of(job).of(TrialEvent) if e.round == 0]
    assert sorted(bool(e.failed) for e in trials) == [False, True, True]
    assert all((e.validation == {}) == bool(e.failed) for e in trials)
    assert record_of(job).of(RoundEvent)[0].setting == next(e.setting for e in trials if not e.failed)
    rates[0] = 0.0
    other = job_of(tmp_path / "all fail", study, "random")
    result = perform(other)
    assert result.state == "failed"
    assert "3 trials, all failed: the weights were not finite" in result.message


def test_a_setting_that_asks_too_much_of_the_images_is_refused_before_any_trial(tmp_path: Path) -> None:
    space = {"augmentation.shift": {"choices": [0, 8]}, "optimizer.lr": SPACE["optimizer.lr"]}
    job = job_of(tmp_path / "study", study_of(space=space), "random")
    result = perform(job)
    assert "regime.tuning.space, a setting with regime.augmentation.shift" in result.message
    assert "less than the images' shorter side, 8 pixels" in result.message
    assert not record_of(job).of(TrialEvent)


def test_replay_chooses_again_without_trying_again(undisturbed: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner._Search, "trial", None)
    assert [o.answer for o in replay_run(folder_of(undisturbed), None, None, None)] == ["equal", "equal", "equal"]


@pytest.mark.parametrize("strategy", ["random", pytest.param("margin", marks=pytest.mark.slow)])
def test_replay_of_the_trials_finds_a_forged_score(every: Path, tmp_path: Path, strategy: str) -> None:
    job = job_of(tmp_path / "forged", study_of(), strategy)
    shutil.copytree(every, job.study, dirs_exist_ok=True)
    again = list(replay_run(folder_of(job), None, None, None, trials=True))
    assert [o.answer for o in again] == ["equal"] * 3
    assert all("3 trials repeated with the same scores" in o.said for o in again)

    def forge(events: list[dict[str, Any]]) -> None:
        trial = next(e for e in events if e["event"] == "trial" and e["round"] == 1 and e["setting"] != chosen)
        trial["validation"]["balanced_accuracy"] += 0.01

    chosen = record_of(job).rounds[1].setting
    rewrite(folder_of(job).events, forge)
    assert [o.answer for o in replay_run(folder_of(job), None, None, None, trials=True)] == [
        "equal",
        "differs",
        "equal",
    ]
    assert {o.answer for o in replay_run(folder_of(job), None, None, None)} == {"equal"}


def test_with_a_warm_start_it_goes_on_though_the_weights_were_lost(tmp_path: Path) -> None:
    study = study_of("starting-set", recipe={"start": "warm"})
    job = job_of(tmp_path / "whole", study)
    assert perform(job).state == "done"
    cut = job_of(tmp_path / "cut", study)
    shutil.copytree(job.study / "records", cut.study / "records")
    events = folder_of(cut).events
    lines = events.read_bytes().splitlines(keepends=True)
    second = [n for n, line in enumerate(lines) if b'"event":"round"' in line][1]
    events.write_bytes(b"".join(lines[: second + 1]))
    assert perform(cut).state == "done"
    assert essence(record_of(cut)) == essence(record_of(job))
    assert [o.answer for o in replay_run(folder_of(job), None, None, None)] == ["equal", "equal", "equal"]


@pytest.mark.slow
def test_it_works_with_the_labels_in_another_process(undisturbed: Job, tmp_path: Path) -> None:
    job = job_of(tmp_path / "apart", study_of(), isolate=True)
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))


@pytest.mark.parametrize(
    ("regime", "space"),
    [
        pytest.param("fixmatch", "semi.threshold", marks=pytest.mark.slow),
        ("uda", "semi.strong.shift"),
        pytest.param("mean-teacher", "ema_decay", marks=pytest.mark.slow),
    ],
)
def test_semi_supervised_recipes_are_tuned_too(tmp_path: Path, regime: str, space: str) -> None:
    semi: dict[str, Any] = {"unlabelled_batch": 16} | ({"strong": {"shift": 1}} if regime != "mean-teacher" else {})
    recipe = {"method": regime, "semi": semi} | ({"ema_decay": 0.9} if regime == "mean-teacher" else {})
    bounds = {"low": 0.1, "high": 0.9} if space != "semi.strong.shift" else {"low": 0, "high": 2}
    study = study_of("starting-set", validation=0, held_out=0.25, recipe=recipe, trials=2, space={space: bounds})
    job = job_of(tmp_path / "study", study, "random")
    assert perform(job).state == "done", perform(job).message
    assert set(record_of(job).rounds[2].setting) == {space}


def test_status_counts_trials_as_work_and_as_getting_on(every: Path, tmp_path: Path) -> None:
    study = study_of()
    job = job_of(tmp_path / "study", study)
    shutil.copytree(every / "records", job.study / "records")
    events, run = folder_of(job), next(p for p in planned_runs(study) if p.strategy.id == "margin")
    lines = events.events.read_bytes().splitlines(keepends=True)
    events.events.write_bytes(b"".join(lines[:10]))  # run, validation, initial, 3 trials, round, query, 2 trials
    found = state(events, run)
    assert (found.state, found.rounds, found.trials) == ("partial", 1, 2)
    steps = [job.protocol.regime.max_steps(n) for n in (20, 30, 45)]
    left = 1 - (4 * steps[0] + 2 * steps[1]) / (4 * sum(steps))
    assert seconds_left([found], [100.0]) == pytest.approx(100 * left)
    told = tuning_lines([replace(found, state="running"), replace(found, state="running", trials=0)])
    assert told == ["toy/margin/seed-0: round 1, 2 of 3 settings tried"]
    for _ in range(2):
        record_death(job, "Killed", "the machine went away", "")
    assert state(events, run).failures_in_a_row == 2
    assert perform(job).state == "done"


def test_failures_between_trials_are_no_row(every: Path, tmp_path: Path) -> None:
    study = study_of()
    job = job_of(tmp_path / "study", study)
    shutil.copytree(every / "records", job.study / "records")
    events, run = folder_of(job), next(p for p in planned_runs(study) if p.strategy.id == "margin")
    rewrite(events.events, lambda e: e.__delitem__(slice(9, None)))
    record_death(job, "Killed", "the machine went away", "")
    trial = record_of(job_of(every, study)).of(TrialEvent)[4]
    with open_record(events) as (writer, _):
        writer.append(trial)
    record_death(job, "Killed", "the machine went away", "")
    assert state(events, run).failures_in_a_row == 1


def test_a_plan_counts_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    once, each = (planned_runs(study_of(policy))[0] for policy in ("starting-set", "every-round"))
    steps = [each.protocol.regime.max_steps(n) for n in (20, 30, 45)]
    assert training_work(each) == 4 * sum(steps) * 16
    assert training_work(once) == (sum(steps) + 3 * steps[0]) * 16
    monkeypatch.setattr(tuner._Search, "trial", None)  # a plan measures one training and multiplies
    assert cost_of(each.protocol, None, "cpu", 1).run > 0


def test_with_starts_of_strategies_own_trials_may_differ_but_not_the_settings(tmp_path: Path) -> None:
    told = study_of("starting-set", validation=0, held_out=0.25).model_dump(mode="json")
    told["protocols"][0]["splits"]["initial"] = "strategy"
    told["strategies"] = [{"name": "random"}, {"name": "margin"}, {"name": "core-set"}]
    study = parse(Study, told, "toy")
    for strategy in ("random", "margin", "core-set"):
        assert perform(job_of(tmp_path / "study", study, strategy)).state == "done"
    records = {s: record_of(job_of(tmp_path / "study", study, s)) for s in ("random", "margin", "core-set")}
    assert asked(records["random"]) == asked(records["core-set"])
    scores = {s: [e.validation for e in record.of(TrialEvent)] for s, record in records.items()}
    assert scores["random"] == scores["margin"] != scores["core-set"]
    assert broken(tmp_path / "study") == []


@pytest.mark.parametrize("labelling", [None, {"unit": "tile", "tile": [8, 8], "cost": "pixel"}])
def test_segmentation_is_tuned_too_whole_images_and_regions(tmp_path: Path, labelling: dict[str, Any] | None) -> None:
    regime = {"name": "plain", "steps": 3, "batch_size": 4, "optimizer": {"name": "adam", "lr": 0.01}}
    regime |= {
        "tuning": {
            "policy": "every-round",
            "trials": 2,
            "held_out": 0.3,
            "space": {"optimizer.lr": SPACE["optimizer.lr"]},
        }
    }
    protocol: dict[str, Any] = {
        "name": "toy",
        "task": "segmentation",
        "metric": "mean_iou",
        "data": {"name": "digit-scenes"},
        "regime": regime,
    }
    budgets = [6, 10] if labelling is None else [6 * 64, 10 * 64]
    protocol |= {"budgets": budgets, "model": {"name": "unet-small", "width": 4}, "labelling": labelling}
    table = {"name": "t", "protocols": [protocol], "seeds": [0], "strategies": [{"name": "random"}]}
    job = job_of(tmp_path / "study", parse(Study, table, "t"), "random")
    assert perform(job).state == "done", perform(job).message
    record = record_of(job)
    assert [(e.round, e.trial) for e in record.of(TrialEvent)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(0 <= e.validation["mean_iou"] <= 1 for e in record.of(TrialEvent))
    assert broken(tmp_path / "study") == []
    assert not [
        r.rule.id
        for r in check_study(tmp_path / "study").results
        if r.answer == "unverifiable" and r.rule.id.startswith("TRN")
    ]

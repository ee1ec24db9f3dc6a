"""A warm start: what differs from a reset, and that an interruption, wherever it falls, changes nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from protocol.record.chain import Record, Writer, essence, read
from protocol.record.layout import RunFolder, StudyFolder, write_arrays
from protocol.rules import check_study
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners import loop
from runners.data import load
from runners.models import build, weights_digest
from runners.models.resident import Start
from runners.progress.job import Job, Stopped
from runners.progress.plan import planned_runs
from runners.progress.status import adopt
from runners.progress.status import jobs as jobs_of
from runners.regimes import FitInputs, Resident, fit
from runners.run import perform as perform_module
from runners.run import warm_start
from runners.run.perform import perform
from runners.run.replay import replay_run


def study_of(validation: int = 0, **regime: Any) -> Study:
    """Random and margin on the embedded digits, three short rounds, one seed."""
    recipe = {"name": "plain", "steps": 4, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}} | regime
    protocol = {"name": "toy", "data": {"name": "digits"}, "budgets": [20, 30, 45], "regime": recipe}
    protocol["splits"] = {"test_size": 200, "validation_size": validation, "validation_counted": False}
    table = {"name": "toy", "protocols": [protocol | {"model": {"name": "small-cnn", "width": 4}}], "seeds": [0]}
    return parse(Study, table | {"strategies": [{"name": "random"}, {"name": "margin"}]}, "toy")


WARM = study_of(start="warm")


def job_of(path: Path, study: Study = WARM, strategy: str = "margin") -> Job:
    adopt(StudyFolder(path), study, path)
    return jobs_of(
        StudyFolder(path), study, None, "cpu", 1, [r for r in planned_runs(study) if r.strategy.id == strategy]
    )[0]


def folder_of(job: Job) -> RunFolder:
    return StudyFolder(job.study).run(job.run)


def record_of(job: Job) -> Record:
    return read(folder_of(job).events)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = job_of(tmp_path_factory.mktemp("warm") / "study")
    assert perform(job).state == "done"
    return job


@pytest.fixture
def no_training_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("trained again although the weights were kept")

    monkeypatch.setattr(warm_start, "retrain", refuse)


def test_it_equals_a_reset_in_the_first_round_and_goes_on_from_there(undisturbed: Job, tmp_path: Path) -> None:
    reset = job_of(tmp_path / "reset", study_of())
    assert perform(reset).state == "done"
    ours, theirs = record_of(undisturbed).rounds, record_of(reset).rounds
    assert (ours[0].initial_weights, ours[0].predictions, ours[0].query) == (
        theirs[0].initial_weights,
        theirs[0].predictions,
        theirs[0].query,
    )
    assert [r.initial_weights for r in ours[1:]] == [r.final_weights for r in ours[:-1]]
    assert len({r.initial_weights for r in ours}) == 3
    assert all(mine.predictions != other.predictions for mine, other in zip(ours[1:], theirs[1:], strict=True))
    assert {r.final_weights for r in theirs} == {""}
    assert {r.recipe for r in ours}.isdisjoint(r.recipe for r in theirs)


def test_the_checker_takes_it_as_declared(tmp_path: Path) -> None:
    for strategy in ("random", "margin"):
        assert perform(job_of(tmp_path / "study", strategy=strategy)).state == "done"
    answers = {r.rule.id: r.answer for r in check_study(tmp_path / "study").results}
    assert {answers[rule] for rule in ("TRN-01", "TRN-02", "TRN-03", "TRN-04")} == {"obeyed"}


@pytest.mark.parametrize("cut", range(1, 8))
def test_cut_after_any_line_without_its_weights_it_continues_to_the_same_record(
    undisturbed: Job, tmp_path: Path, cut: int
) -> None:
    job = job_of(tmp_path / "cut")
    shutil.copytree(undisturbed.study / "records", job.study / "records")
    events = folder_of(job).events
    assert not folder_of(job).checkpoints()
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:cut]))
    assert perform(job).state == "done"
    assert record_of(job).sealed
    assert essence(record_of(job)) == essence(record_of(undisturbed))


@pytest.mark.parametrize("whole", [1, 2, 3])
def test_stopped_after_any_round_it_goes_on_from_the_weights_that_were_kept(
    undisturbed: Job, tmp_path: Path, no_training_again: None, whole: int
) -> None:
    job = job_of(tmp_path / "stopped")

    def stop(rounds: int, _: int) -> None:
        if rounds == whole:
            raise Stopped

    assert perform(job, stop).state == "stopped"
    assert [p.name for p in folder_of(job).checkpoints()] == [f".checkpoint-{whole - 1:03d}.npz"] * (whole < 3)
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))
    assert not folder_of(job).checkpoints()


class Killed(BaseException):
    """What no code of ours catches."""


@pytest.mark.parametrize("number", range(1, 9))
def test_killed_before_any_line_is_written_it_needs_no_training_again(
    undisturbed: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_training_again: None, number: int
) -> None:
    job, written, append = job_of(tmp_path / "killed"), [0], Writer.append

    def counted(self: Writer, event: Any, **options: Any) -> None:
        written[0] += 1
        if written[0] == number:
            (folder_of(job).path / "..checkpoint-000.npz.half").write_bytes(b"PK")
            raise Killed
        append(self, event, **options)

    monkeypatch.setattr(Writer, "append", counted)
    with pytest.raises(Killed):
        perform(job)
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))
    assert not folder_of(job).checkpoints()


@pytest.mark.parametrize("kind", ["half", "another round's", "no weights"])
def test_weights_that_are_not_those_of_the_record_are_not_taken(undisturbed: Job, tmp_path: Path, kind: str) -> None:
    job, first = job_of(tmp_path / "damaged"), []

    def stop(rounds: int, _: int) -> None:
        if rounds == 1:
            first.append(folder_of(job).checkpoint(0).read_bytes())
        if rounds == 2:
            raise Stopped

    assert perform(job, stop).state == "stopped"
    kept = folder_of(job).checkpoint(1)
    kept.write_bytes(kept.read_bytes()[:3000] if kind == "half" else first[0])
    if kind == "no weights":
        write_arrays(kept, {"head.weight": np.array(["words"])})
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))


def test_where_training_again_gives_others_the_run_is_not_continued(
    undisturbed: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path / "elsewhere")
    shutil.copytree(undisturbed.study / "records", job.study / "records")
    events = folder_of(job).events
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:5]))
    monkeypatch.setattr(
        warm_start, "fit", lambda protocol, inputs, replicate, *rest: fit(protocol, inputs, replicate + 1, *rest)
    )
    result = perform(job)
    assert result.state == "failed"
    assert "no such file" in result.message.lower()
    assert "round 0, trained again because its weights were lost" in result.message
    assert len(record_of(job).rounds) == 2  # nothing was added
    monkeypatch.undo()
    assert perform(job).state == "done"
    assert essence(record_of(job)) == essence(record_of(undisturbed))


@pytest.mark.parametrize(("wanted", "trained"), [(None, [0, 1, 2]), ([1], [0, 1]), ([0], [0])])
def test_it_is_replayed_each_round_trained_once(
    undisturbed: Job, monkeypatch: pytest.MonkeyPatch, wanted: list[int] | None, trained: list[int]
) -> None:
    rounds: list[int] = []

    def counted(protocol: Protocol, inputs: FitInputs, replicate: int, k: int, *rest: Any) -> Any:
        rounds.append(k)
        return fit(protocol, inputs, replicate, k, *rest)

    monkeypatch.setattr(warm_start, "fit", counted)
    monkeypatch.setattr(loop, "fit", counted)
    replayed = list(replay_run(folder_of(undisturbed), wanted, None, "cpu"))
    assert rounds == trained
    assert [r.round for r in replayed] == (wanted or [0, 1, 2])
    assert {r.answer for r in replayed} == {"equal"}
    assert not [r for r in replayed if "other predictions" in r.said]


@pytest.mark.parametrize(("declared", "start"), [("reset", "warm"), ("warm", "reset")])
def test_other_weights_than_declared_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: str, start: str
) -> None:
    """The run trains in one way and declares the other; all digests are its own."""
    last: list[Any] = [None]

    def cheat(protocol: Protocol, *rest: Any) -> Any:
        told = protocol.model_copy(update={"regime": protocol.regime.model_copy(update={"start": "warm"})})
        found = fit(told, rest[0], rest[1], rest[2], rest[3], last[0])
        last[0] = found.end if start == "warm" else None
        return replace(found, end=found.end if declared == "warm" else None)

    monkeypatch.setattr(loop, "fit", cheat)
    assert perform(job_of(tmp_path / "study", study_of(start=declared))).state == "done"
    result = check_study(tmp_path / "study")
    assert "TRN-02" in result.broken()


@pytest.fixture(scope="module")
def digits() -> tuple[FitInputs, Resident]:
    images, hidden = load(Data(name="digits"), None)
    labels, order = hidden.for_oracle(), np.random.default_rng(0).permutation(1500).astype(np.int64)
    given = FitInputs(images, order[:40], labels[order[:40]], order[40:90], labels[order[40:90]], order[90:])
    return given, Resident.of(images, torch.device("cpu"))


@pytest.mark.parametrize(
    "recipe",
    [
        {"ema_decay": 0.9},
        {"swa": {"start": 0.5, "lr": 0.05, "every": 1}},
        {"selection": "best-validation", "validate_every": 2},
        {"method": "mean-teacher", "ema_decay": 0.9, "semi": {"unlabelled_batch": 8}},
    ],
)
def test_it_goes_on_from_the_weights_that_are_evaluated(
    digits: tuple[FitInputs, Resident], recipe: dict[str, Any]
) -> None:
    given, resident = digits
    [protocol] = study_of(50, start="warm", **recipe).protocols
    first = fit(protocol, given, 3, 0, resident)
    assert first.end is not None
    assert first.end.digest == weights_digest(first.learner.net) != first.initial_weights
    second = fit(protocol, given, 3, 1, resident, first.end)
    assert second.initial_weights == first.end.digest == weights_digest_of(first.end.state, protocol, given)
    anew = fit(protocol, given, 3, 1, resident)  # as ensemble members are trained
    assert anew.initial_weights == first.initial_weights


def weights_digest_of(state: dict[str, torch.Tensor], protocol: Protocol, given: FitInputs) -> str:
    net = build(protocol.model, given.images, 99)
    net.load_state_dict(state)
    return weights_digest(net)


def test_a_linear_probe_goes_on_too_and_its_digest_covers_the_frozen_body(digits: tuple[FitInputs, Resident]) -> None:
    given, resident = digits
    own = {"method": "simsiam", "epochs": 1, "batch_size": 64, "optimizer": {"name": "sgd", "lr": 0.1}}
    [protocol] = study_of(start="warm", pretraining={"then": "linear-probe", "self_supervised": own}).protocols
    bodies = [resident.with_start(Start({}, digest, "features")) for digest in ("one body", "another")]
    first = fit(protocol, given, 3, 0, bodies[0])
    assert first.end is not None
    second = fit(protocol, given, 3, 1, bodies[0], first.end)
    assert second.initial_weights == first.end.digest
    assert set(first.end.state) == {"head.weight", "head.bias"}
    assert fit(protocol, given, 3, 1, bodies[1], first.end).initial_weights != second.initial_weights


def test_a_run_with_a_warm_start_is_never_begun_in_the_middle_without_weights(
    undisturbed: Job, tmp_path: Path, monkeypatch: Any
) -> None:
    job = job_of(tmp_path / "study")
    shutil.copytree(undisturbed.study / "records", job.study / "records")
    events = folder_of(job).events
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:5]))
    monkeypatch.setattr(perform_module, "last_state", lambda *_: None)
    result = perform(job)
    assert result.state == "failed"
    assert "no weights of the round before round 2" in result.message

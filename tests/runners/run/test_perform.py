"""One run from plan to seal, and through interruptions at every place that matters."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import BeatRandomError
from protocol.record.chain import essence, read
from protocol.record.events import FailureEvent, LabelsEvent, ResumeEvent
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.data import Data
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, resolve, status
from runners.progress.status import jobs as jobs_of
from runners.run import open_oracle
from runners.run.perform import perform


def job_of(study: Study, path: Path, strategy: str = "margin", seed: int = 0) -> Job:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    run = next(r for r in planned_runs(study) if r.strategy.id == strategy and r.seed == seed)
    return jobs_of(folder, study, None, "cpu", 1, [run])[0]


def events_of(job: Job) -> Path:
    return StudyFolder(job.study).run(job.run).events


@pytest.fixture
def undisturbed(toy_study: Study, tmp_path: Path) -> Job:
    job = job_of(toy_study, tmp_path / "undisturbed")
    assert perform(job).state == "done"
    return job


def test_a_run_is_sealed_and_follows_its_budgets(undisturbed: Job) -> None:
    record = read(events_of(undisturbed))
    assert record.sealed
    assert not record.breaks
    assert [r.budget for r in record.rounds] == [20, 30, 45]
    bought = [e.indices for e in record.of(LabelsEvent)]
    assert [len(i) for i in bought] == [20, 10, 15]
    assert len({i for indices in bought for i in indices}) == 45
    assert [r.query for r in record.rounds] == [bought[1], bought[2], ()]
    for r in record.rounds:
        assert set(r.metrics) == {"accuracy", "balanced_accuracy", "macro_f1", "nll", "brier", "ece"}
        assert r.probabilities


def test_the_same_run_twice_gives_the_same_bytes(undisturbed: Job, toy_study: Study, tmp_path: Path) -> None:
    again = job_of(toy_study, tmp_path / "again")
    perform(again)
    assert essence(read(events_of(again))) == essence(read(events_of(undisturbed)))


def test_runs_in_threads_of_one_process_give_the_bytes_each_gives_alone(toy_study: Study, tmp_path: Path) -> None:
    alone = [
        job_of(toy_study, tmp_path / "alone", strategy, seed) for strategy in ("random", "margin") for seed in (0, 1)
    ]
    together = [job_of(toy_study, tmp_path / "together", job.strategy.id, job.seed) for job in alone]
    assert {perform(job).state for job in alone} == {"done"}
    with ThreadPoolExecutor(len(together)) as threads:
        assert {result.state for result in threads.map(perform, together)} == {"done"}
    for one, other in zip(alone, together, strict=True):
        assert essence(read(events_of(one))) == essence(read(events_of(other)))


def test_a_done_run_is_left_alone(undisturbed: Job) -> None:
    before = events_of(undisturbed).read_bytes()
    assert perform(undisturbed).state == "done"
    assert events_of(undisturbed).read_bytes() == before


@pytest.mark.parametrize("cut", range(1, 8))
def test_cut_after_any_line_it_continues_to_the_same_record(
    undisturbed: Job, toy_study: Study, tmp_path: Path, cut: int
) -> None:
    job = job_of(toy_study, tmp_path / "cut")
    shutil.copytree(undisturbed.study / "records", job.study / "records")
    whole = events_of(job).read_bytes().splitlines(keepends=True)
    assert len(whole) == 8
    events_of(job).write_bytes(b"".join(whole[:cut]))
    assert perform(job).state == "done"
    record = read(events_of(job))
    assert record.sealed
    assert not record.breaks
    assert len(record.of(ResumeEvent)) == 1
    assert essence(record) == essence(read(events_of(undisturbed)))


@pytest.mark.parametrize("cut", [1, 40, 700, -1, -300, -2500])
def test_torn_at_any_byte_it_continues_and_keeps_the_torn_bytes(
    undisturbed: Job, toy_study: Study, tmp_path: Path, cut: int
) -> None:
    job = job_of(toy_study, tmp_path / "torn")
    shutil.copytree(undisturbed.study / "records", job.study / "records")
    torn = events_of(job).read_bytes()[:cut]
    events_of(job).write_bytes(torn)
    assert perform(job).state == "done"
    assert essence(read(events_of(job))) == essence(read(events_of(undisturbed)))
    kept = events_of(job).parent / "events.torn-0"
    assert kept.read_bytes() == torn[torn.rfind(b"\n") + 1 :]


def test_an_altered_record_is_refused_and_left_untouched(undisturbed: Job) -> None:
    path = events_of(undisturbed)
    altered = path.read_bytes().replace(b'"budget":30', b'"budget":31').rsplit(b"\n", 2)[0] + b"\n"
    path.write_bytes(altered)
    result = perform(undisturbed)
    assert result.state == "failed"
    assert "hash of the line before" in result.message
    assert path.read_bytes() == altered


def test_a_record_of_another_plan_is_refused(undisturbed: Job) -> None:
    path = events_of(undisturbed)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    before = path.read_bytes()
    result = perform(replace(undisturbed, plan="other"))
    assert result.state == "failed"
    assert "other study" in result.message
    assert path.read_bytes() == before


def test_strategies_share_start_and_weights_and_differ_in_what_they_buy(undisturbed: Job, toy_study: Study) -> None:
    other = job_of(toy_study, undisturbed.study, "random")
    perform(other)
    a, b = read(events_of(undisturbed)), read(events_of(other))
    assert a.of(LabelsEvent)[0].indices == b.of(LabelsEvent)[0].indices
    assert a.of(LabelsEvent)[1].indices != b.of(LabelsEvent)[1].indices
    assert {r.initial_weights for r in a.rounds} == {r.initial_weights for r in b.rounds}
    assert len({r.initial_weights for r in a.rounds}) == 1
    assert a.rounds[0].metrics == b.rounds[0].metrics
    assert a.rounds[0].predictions == b.rounds[0].predictions


def test_seeds_start_from_different_sets_and_weights(undisturbed: Job, toy_study: Study) -> None:
    other = job_of(toy_study, undisturbed.study, "margin", seed=1)
    perform(other)
    a, b = read(events_of(undisturbed)), read(events_of(other))
    assert a.of(LabelsEvent)[0].indices != b.of(LabelsEvent)[0].indices
    assert a.rounds[0].initial_weights != b.rounds[0].initial_weights


def with_own(study: Study, file: Path, source: str) -> Study:
    file.write_text(source)
    own = StrategySpec(name=f"{file}:Mine", label="mine")
    return resolve(study.with_strategies((*study.strategies, own)), file.parent)


HEAD = "import os, numpy as np\nclass Mine:\n    needs = ('probabilities',)\n    def select(self, view, n, rng):\n"
BAD = {
    "raises": ("        raise KeyError('oops')\n", "KeyError: 'oops' (line 5 of its file)"),
    "duplicates": ("        return np.repeat(view.unlabelled[0], n)\n", "distinct indices"),
    "too few": ("        return view.unlabelled[: n - 1]\n", "10 indices"),
    "labelled": ("        return np.concatenate([view.unlabelled[: n - 1], view.labelled[:1]])\n", "labelled already"),
    "positions": ("        return np.arange(n) + 10**6\n", "not in the pool"),
    "floats": ("        return np.full(n, .5)\n", "integers in one dimension"),
    "nothing": ("        pass\n", "integers in one dimension"),
    "undeclared": ("        return view.embeddings\n", "a need the strategy declares"),
    "writes": ("        view.unlabelled[0] = 1\n", "read-only"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_strategy_fails_its_own_run_and_is_counted(kind: str, toy_study: Study, tmp_path: Path) -> None:
    body, message = BAD[kind]
    study = with_own(toy_study, tmp_path / "own.py", HEAD + body)
    job = job_of(study, tmp_path / "study", "mine")
    result = perform(job)
    assert result.state == "failed"
    assert message in result.message
    record = read(events_of(job))
    assert not record.breaks
    assert len(record.of(FailureEvent)) == 1
    assert len(record.of(LabelsEvent)) == 1  # nothing was sold to it
    perform(job)
    mine = [s for s in status(StudyFolder(job.study), study) if s.planned.strategy.id == "mine" and s.planned.seed == 0]
    assert [(s.state, s.failures) for s in mine] == [("failed", 2)]


def test_an_own_good_strategy_runs_from_its_kept_copy(toy_study: Study, tmp_path: Path) -> None:
    study = with_own(
        toy_study, tmp_path / "own.py", HEAD + "        return rng.choice(view.unlabelled, n, replace=False)\n"
    )
    job = job_of(study, tmp_path / "study", "mine")
    (tmp_path / "own.py").unlink()
    assert perform(job).state == "done"


def test_a_strategy_that_drains_its_generator_moves_nothing_else(
    undisturbed: Job, toy_study: Study, tmp_path: Path
) -> None:
    greedy = (
        "        np.random.seed(1); np.random.rand(1000); rng.random(10**6)\n        import torch; torch.rand(1000)\n"
    )
    greedy += "        p = view.probabilities.topk(2, 1).values; import torch\n"
    greedy += "        return view.unlabelled[torch.argsort(p[:, 0] - p[:, 1])[:n].numpy()]\n"
    job = job_of(with_own(toy_study, tmp_path / "own.py", HEAD + greedy), tmp_path / "study", "mine")
    assert perform(job).state == "done"
    mine, margin = read(events_of(job)), read(events_of(undisturbed))
    assert [r.query for r in mine.rounds] == [r.query for r in margin.rounds]
    assert [r.predictions for r in mine.rounds] == [r.predictions for r in margin.rounds]


def test_a_full_disk_is_said_and_the_record_stays_sound(
    toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    job = job_of(toy_study, tmp_path / "full")
    real, written = os.write, [0]

    def short(handle: int, data: Any) -> int:
        written[0] += 1
        if written[0] == 3:
            return real(handle, bytes(data)[:50])
        return real(handle, data)

    monkeypatch.setattr("protocol.record.chain.os.write", short)
    result = perform(job)
    assert result.state == "failed"
    assert "No space left" in result.message
    monkeypatch.undo()
    assert perform(job).state == "done"
    assert not read(events_of(job)).breaks


def test_progress_is_told_a_round_at_a_time(toy_study: Study, tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []
    perform(job_of(toy_study, tmp_path / "progress"), lambda *far: seen.append(far))
    assert seen == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_unexpected_errors_do_not_escape(toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(toy_study, tmp_path / "odd")
    monkeypatch.setattr(open_oracle, "make_split", lambda *_: 1 / 0)
    result = perform(job)
    assert result.state == "failed"
    assert "ZeroDivisionError" in result.message
    assert not isinstance(result, BeatRandomError)


def test_predictions_alone_are_enough_for_the_metrics_they_give(
    undisturbed: Job, toy_study: Study, tmp_path: Path
) -> None:
    lean = replace(undisturbed, study=tmp_path / "lean", tables=False)
    StudyFolder(lean.study).adopt(toy_study)
    assert perform(lean).state == "done"
    full, kept = (StudyFolder(j.study).run(RunId("toy", j.strategy.id, j.seed)) for j in (undisturbed, lean))
    for ours, theirs in zip(read(kept.events).rounds, read(full.events).rounds, strict=True):
        assert ours.probabilities == ""
        assert ours.predictions == theirs.predictions
        assert ours.metrics == {name: theirs.metrics[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    with np.load(kept.predictions(0)) as sidecar:
        assert sidecar.files == ["prediction"]
    findings = check_study(lean.study).results
    assert all(not r.findings for r in findings if r.rule.id.startswith("EVL"))


def test_a_run_on_a_constructed_data_set_with_a_noisy_oracle_is_compliant(tmp_path: Path) -> None:
    """Run unknown classes, a long tail and wrong labels from plan to check.

    The expected digest is that of the files.
    """
    rng = np.random.default_rng(0)
    truth, tests = rng.integers(0, 5, 300), np.arange(60) % 5
    arrays: dict[str, Any] = {
        f"{part}images": (40 * labels[:, None, None] + rng.integers(0, 30, (len(labels), 6, 6))).astype(np.uint8)
        for part, labels in (("", truth), ("test_", tests))
    }
    np.savez(tmp_path / "five.npz", **arrays, labels=truth, test_labels=tests)
    content = load(Data(name="npz", path=str(tmp_path / "five.npz")), None)[0].digest
    construction = {"unknown_classes": ["1", "3"], "long_tail": 3.0}
    protocol = {
        "name": "made",
        "data": {"name": "npz", "path": str(tmp_path / "five.npz"), "digest": content, "construction": construction},
        "splits": {"initial": "balanced", "validation_size": 10, "validation_counted": False},
        "budgets": [12, 30, 60],
        "label_noise": 0.2,
        "model": {"name": "linear"},
        "regime": {"name": "plain", "epochs": 2, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.01}},
    }
    strategies = [
        {"name": "random"},
        {"name": "entropy", "tuning": 0},
        {"name": "oracle", "tuning": 0, "args": {"trials": 1}},
    ]
    table = {"name": "made", "protocols": [protocol], "strategies": strategies, "seeds": [0, 1], "plan": {"test": "t"}}
    study = resolve(parse(Study, table, "s"), tmp_path)
    folder = StudyFolder(tmp_path / "study")
    adopt(folder, study, tmp_path)
    for job in jobs_of(folder, study, None, "cpu", 1, list(planned_runs(study))):
        assert perform(job).state == "done"
    result = check_study(folder.path)
    environment = {"ENV-01", "ENV-02", "ENV-03"}
    assert {r.rule.id for r in result.results if r.answer == "broken"} <= environment
    record = read(folder.run(RunId("made", "entropy", 0)).events)
    assert record.run is not None
    assert record.run.data.classes == 3
    assert record.run.data.digest == study.protocols[0].data.recorded_digest(content)

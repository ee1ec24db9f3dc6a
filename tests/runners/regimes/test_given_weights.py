"""Rounds that start from a file of weights: segmentation's encoders, classification's bodies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.data import Data
from protocol.spec.protocol import Model, Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets.files import file_digest
from runners.models.net import state_digest
from runners.progress.status import resolve
from runners.regimes import FitInputs, Resident, fit, prepare
from runners.regimes.pretraining.bodies import body_from_file
from runners.run.perform import perform
from runners.run.replay import replay_run
from runners.tasks import TASKS
from runners.verbs.running.amend import amend
from tests.support.made_jobs import made

NONE = np.empty(0, np.int64)


def table(task: str = "segmentation", **pretraining: Any) -> dict[str, Any]:
    dense = task == "segmentation"
    return {
        "name": "given",
        "task": task,
        "metric": "mean_iou" if dense else "accuracy",
        "data": {"name": "digit-scenes" if dense else "digits"},
        "splits": {} if dense else {"test_size": 200},
        "budgets": [4, 6] if dense else [20, 30],
        "model": {"name": "unet-small", "width": 2} if dense else {"name": "small-cnn", "width": 4},
        "regime": {
            "name": "given",
            "steps": 2,
            "batch_size": 4,
            "optimizer": {"name": "adam", "lr": 0.01},
            "pretraining": {"then": "fine-tune", "weights": "w.pth"} | pretraining,
        },
    }


def protocol(*args: Any, **pretraining: Any) -> Protocol:
    return parse(Protocol, table(*args, **pretraining), "t")


def write(path: Path, p: Protocol, value: float) -> str:
    """A file of weights for the protocol's network; returns its digest."""
    images, _ = load(p.data, None)
    part = TASKS[p.task].pretrained_part(TASKS[p.task].build(p.model, images, 0))
    torch.save(
        {k: torch.full_like(v, value) if v.is_floating_point() else v for k, v in part.state_dict().items()}, path
    )
    return file_digest(path)


def study(p: dict[str, Any]) -> Study:
    strategies = [{"name": "random"}, {"name": "entropy", "tuning": 0}]
    return parse(
        Study, {"name": "s", "protocols": [p], "strategies": strategies, "seeds": [0, 1], "plan": {"test": "t"}}, "s"
    )


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_a_round_starts_from_the_files_tensors_and_a_head_of_the_seeds(task: str, tmp_path: Path) -> None:
    p = protocol(task)
    write(tmp_path / "w.pth", p, 0.25)
    images, hidden = load(p.data, None)
    raw = Resident.of(images, torch.device("cpu"))
    same, resident = prepare(p, images, raw, np.arange(100), None, data_root=tmp_path)
    assert same is images
    assert resident.start is not None
    assert resident.start.digest == state_digest(body_from_file(p, images, tmp_path))
    labelled = np.arange(6)
    inputs = FitInputs(
        images, labelled, hidden.for_oracle()[labelled], NONE, hidden.for_oracle()[NONE], np.arange(6, 100), NONE
    )
    once, again = (fit(p, inputs, 0, k, resident) for k in (0, 1))
    expected = TASKS[task].build(p.model, images, 0).state_dict()
    assert once.initial_weights == again.initial_weights != state_digest(expected)
    assert once.pretrained == resident.start.digest
    other = fit(p, inputs, 1, 0, resident)
    assert other.initial_weights != once.initial_weights  # the head is the seed's


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_a_study_obeys_resumes_and_can_be_chosen_again(task: str, tmp_path: Path) -> None:
    digest = write(tmp_path / "w.pth", protocol(task), 0.125)
    whole = resolve(study(table(task)), tmp_path, tmp_path)
    assert whole.protocols[0].regime.pretraining is not None
    assert whole.protocols[0].regime.pretraining.weights_digest == digest
    assert [perform(replace(job, data_root=tmp_path)).state for job in made(tmp_path / "study", whole)] == ["done"] * 4
    folder = StudyFolder(tmp_path / "study")
    broken = [
        r.rule.id for r in check_study(folder.path).results if r.answer != "obeyed" and not r.rule.id.startswith("ENV")
    ]
    assert broken == []
    rounds = [
        e for s in ("random", "entropy") for k in (0, 1) for e in read(folder.run(RunId("given", s, k)).events).rounds
    ]
    assert len({e.pretrained for e in rounds}) == 1
    assert rounds[0].pretrained
    again = list(replay_run(folder.run(RunId("given", "entropy", 0)), None, tmp_path, None))
    assert [a.answer for a in again] == ["equal", "equal"]
    write(tmp_path / "w.pth", protocol(task), 0.5)
    told, _ = replay_run(folder.run(RunId("given", "entropy", 0)), None, tmp_path, None)
    assert (told.answer, "SHA-256" in told.said) == ("undecided", True)
    failed = perform(replace(next(j for j in made(tmp_path / "other", whole)), data_root=tmp_path))
    assert (failed.state, "other weights make another comparison" in failed.message) == ("failed", True)


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    first, second = "1" * 64, "2" * 64
    a = protocol(weights_digest=first)
    assert a.fingerprint == protocol(weights="elsewhere/x.pth", weights_digest=first).fingerprint
    assert a.fingerprint != protocol(weights_digest=second).fingerprint
    assert a.fingerprint != protocol().fingerprint
    write(tmp_path / "w.pth", protocol(), 1.0)
    with pytest.raises(InputError, match="leave weights_digest out"):
        resolve(study(table(weights_digest=first)), tmp_path, tmp_path)
    with pytest.raises(InputError, match="nothing at"):
        resolve(study(table(weights="missing.pth")), tmp_path, tmp_path)


def test_a_plan_is_amended_with_the_file_where_it_lies(tmp_path: Path) -> None:
    write(tmp_path / "w.pth", protocol(), 1.0)
    before = resolve(study(table()), tmp_path, tmp_path)
    StudyFolder(tmp_path / "study").adopt(before)
    regime = {k: v for k, v in table()["regime"].items() if k not in ("optimizer", "pretraining")}
    lines = [
        'name = "s"',
        "seeds = [0, 1, 2]",
        "[plan]",
        'test = "t"',
        "[[strategies]]",
        'name = "random"',
        "[[strategies]]",
        'name = "entropy"',
    ]
    lines += [
        "tuning = 0",
        "[[protocols]]",
        'name = "given"',
        'task = "segmentation"',
        'metric = "mean_iou"',
        "budgets = [4, 6]",
    ]
    lines += ['data = { name = "digit-scenes" }', 'model = { name = "unet-small", width = 2 }', "[protocols.regime]"]
    lines += [f"{k} = {v!r}" for k, v in regime.items()]
    lines += ['optimizer = { name = "adam", lr = 0.01 }', 'pretraining = { then = "fine-tune", weights = "w.pth" }']
    (tmp_path / "new.toml").write_text("\n".join(lines))
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "w.pth").rename(root / "w.pth")
    with pytest.raises(InputError, match="nothing at"):
        amend(tmp_path / "study", tmp_path / "new.toml", "one more seed")
    amend(tmp_path / "study", tmp_path / "new.toml", "one more seed", root)
    after = StudyFolder(tmp_path / "study").read_plan()
    assert after.seeds == (0, 1, 2)
    assert after.protocols[0].fingerprint == before.protocols[0].fingerprint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"then": "linear-probe"}, "use 'fine-tune' for segmentation"),
        ({"weights": None}, "self_supervised or a file of weights"),
        ({"weights": None, "weights_digest": "1" * 64}, "self_supervised or a file of weights"),
        ({"weights_digest": "xyz"}, "weights_digest"),
        (
            {
                "self_supervised": {
                    "method": "simsiam",
                    "epochs": 1,
                    "batch_size": 4,
                    "optimizer": {"name": "adam", "lr": 0.1},
                }
            },
            "found both",
        ),
    ],
)
def test_what_does_not_go_together_is_told(changes: dict[str, Any], said: str) -> None:
    given = {k: v for k, v in (table()["regime"]["pretraining"] | changes).items() if v is not None}
    broken = table()
    broken["regime"]["pretraining"] = given
    with pytest.raises(InputError, match=said):
        parse(Protocol, broken, "t")


def test_a_linear_probe_on_given_weights_is_on_their_embeddings(tmp_path: Path) -> None:
    p = protocol("classification", then="linear-probe")
    write(tmp_path / "w.pth", p, 0.01)
    images, _ = load(Data(name="digits"), None)
    embedded, resident = prepare(
        p, images, Resident.of(images, torch.device("cpu")), np.arange(100), None, data_root=tmp_path
    )
    assert embedded.pixels.shape == (
        images.n,
        1,
        1,
        TASKS["classification"].build(Model(name="small-cnn", width=4), images, 0).embedding_size,
    )
    assert resident.start is not None

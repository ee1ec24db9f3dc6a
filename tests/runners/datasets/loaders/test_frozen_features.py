"""Frozen features: read, refused, and a run on them from plan to check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from protocol.digests import sha256
from protocol.errors import InputError
from protocol.formats.checklist import to_markdown
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.data import Data
from protocol.spec.protocol import Model
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets.duplicates import duplicate_groups
from runners.models import build
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.regimes import Resident
from runners.run.perform import perform
from runners.verbs.browse.encode import encode
from tests.support.study_builder import rewrite


def arrays(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"features": rng.normal(3, 2, (30, 5)), "labels": rng.integers(0, 3, 30)} | changes


def written(path: Path, **changes: Any) -> Data:
    np.savez(path / "mine.npz", **{key: value for key, value in arrays(**changes).items() if value is not None})
    return Data(name="features", path="mine.npz")


def test_features_are_read_as_they_are_and_standardised_over_the_pool(tmp_path: Path) -> None:
    constant = arrays()["features"].copy()
    constant[:, 2] = 7
    images, labels = load(
        written(tmp_path, features=constant, test_features=np.ones((4, 5)), test_labels=np.arange(4) % 3), tmp_path
    )
    assert (images.train_size, images.test_size, images.channels, images.height) == (30, 4, 5, 1)
    np.testing.assert_array_equal(images.pixels[:30, 0, 0], constant.astype(np.float32))
    assert labels.for_oracle()[30:].tolist() == [0, 1, 2, 0]
    pool = np.arange(3, 30, 2)
    scaling = Resident.of(images, torch.device("cpu")).scaling(pool)
    own = constant.astype(np.float32)[pool]
    np.testing.assert_allclose(scaling.mean.flatten(), own.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scaling.deviation.flatten(), [*own.std(0)[:2], 1, *own.std(0)[3:]], rtol=1e-5)
    alike = duplicate_groups(images.pixels)
    assert len(np.unique(alike["content"])) == 31  # the four test images are one
    assert len(alike["look"]) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"features": None}, "features"),
        ({"labels": None}, "labels"),
        ({"test_features": np.ones((2, 5))}, "test_labels"),
        ({"test_features": np.ones((2, 4)), "test_labels": np.array([0, 1])}, "one encoder"),
        ({"features": np.ones((30, 5), np.int64)}, "floating-point numbers"),
        ({"features": np.full((30, 5), np.nan)}, "finite"),
        ({"features": np.full((30, 5), 1e300)}, "finite"),
        ({"features": np.ones((29, 5))}, "as many labels"),
        ({"labels": np.full(30, -1)}, "0 to"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_unusable_features_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(written(tmp_path, **changes), tmp_path)


def study(**regime: Any) -> Study:
    recipe = {"name": "probe", "steps": 40, "batch_size": 32, "optimizer": {"name": "adamw", "lr": 0.02}} | regime
    protocol = {
        "name": "p",
        "data": {"name": "features", "path": "mine.npz"},
        "splits": {"test_size": 500},
        "budgets": [50, 100],
    }
    protocol |= {"model": {"name": "linear"}, "regime": recipe}
    return parse(
        Study,
        {"name": "s", "protocols": [protocol], "strategies": [{"name": "margin"}, {"name": "random"}], "seeds": [0]},
        "s",
    )


def made(tmp_path: Path, planned_study: Study, isolate: bool = False) -> Any:
    digits = load_digits()
    if not (tmp_path / "mine.npz").exists():
        np.savez(tmp_path / "mine.npz", features=digits.data, labels=digits.target)
    folder = StudyFolder(tmp_path / f"study-{isolate}")
    adopt(folder, planned_study, folder.path)
    job = jobs(folder, planned_study, tmp_path, "cpu", 1, planned_runs(planned_study)[:1], isolate)[0]
    return perform(job), folder.run(RunId("p", job.strategy.id, 0)).events


def test_a_probe_on_features_runs_and_learns_also_with_the_labels_elsewhere(tmp_path: Path) -> None:
    curves = []
    for isolate in (False, True):
        result, events = made(tmp_path, study(), isolate)
        assert result.state == "done", result.message
        curves.append([(r.metrics, r.query) for r in read(events).rounds])
    assert curves[0] == curves[1]
    assert curves[0][1][0]["accuracy"] > 0.75


def test_augmenting_features_is_refused(tmp_path: Path) -> None:
    result, _ = made(tmp_path, study(augmentation={"flip": True}))
    assert result.state == "failed"
    assert "none for frozen features" in result.message


def test_probes_have_the_layers_they_say(tmp_path: Path) -> None:
    images, _ = load(written(tmp_path), tmp_path)
    assert sum(p.numel() for p in build(Model(name="linear"), images, 1).parameters()) == 5 * 3 + 3
    assert sum(p.numel() for p in build(Model(name="mlp", width=7), images, 1).parameters()) == 5 * 7 + 7 + 7 * 3 + 3
    with pytest.raises(InputError, match="no hidden layer"):
        build(Model(name="linear", width=3), images, 1)


def encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """digits as features in mine.npz, made by `encode`; returns the card in the file."""
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "enc.py").write_text("def rows(images): return images.reshape(len(images), -1) / 255")
    encode(data="digits", encoder="enc.py:rows", out=Path("mine.npz"), data_root=None, json=False)
    with np.load("mine.npz") as file:
        card: dict[str, Any] = json.loads(str(file["card"]))
    return card


@pytest.mark.parametrize("isolate", [False, True])
def test_a_record_says_which_encoder_made_its_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolate: bool
) -> None:
    card = encoded(tmp_path, monkeypatch)
    result, events = made(tmp_path, study(), isolate)
    assert result.state == "done", result.message
    head = json.loads(events.read_bytes().splitlines()[0])
    assert head["data"]["encoded"] == card
    assert card["encoder"]["source_digest"] == sha256((tmp_path / "enc.py").read_bytes())
    found = check_study(events.parents[4])
    said = next(f for r in found.results for f in r.findings if r.rule.id == "TRN-10")
    assert (said.answer, said.found) == ("broken", "not declared")
    assert "enc.py:rows of protocol p" in said.expected
    look = next(f for r in found.results for f in r.findings if r.rule.id == "SPL-08")
    assert (look.answer, look.found) == ("unverifiable", "features, without the images to compare")
    assert "digits, as features by enc.py:rows (which learned from: not declared)" in to_markdown(found)


def test_a_run_begun_before_there_were_cards_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded(tmp_path, monkeypatch)
    result, events = made(tmp_path, study())
    whole = [r.query for r in read(events).rounds]
    rewrite(events, lambda e: (e[0]["data"].pop("encoded"), e.__delitem__(slice(3, None))))
    result, events = made(tmp_path, study())
    assert result.state == "done", result.message
    assert [r.query for r in read(events).rounds] == whole


def test_features_without_a_card_leave_no_trace_of_one(tmp_path: Path) -> None:
    _, events = made(tmp_path, study())
    assert "encoded" not in json.loads(events.read_bytes().splitlines()[0])["data"]


def test_a_card_of_other_features_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = encoded(tmp_path, monkeypatch)
    for told, says in (
        (json.dumps(card), "a card of these features and labels"),
        ("a note", "the card that `beatrandom encode` writes"),
    ):
        with pytest.raises(InputError, match=f"{says}[\\s\\S]*remove the array 'card' from"):
            load(written(tmp_path, card=np.asarray(told)), tmp_path)

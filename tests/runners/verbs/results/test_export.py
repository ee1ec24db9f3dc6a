"""`beatrandom export`: the tables say what the records say, packed or not, finished or not."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from analysis.loading.records import load_study
from analysis.secondary.effort import effort
from analysis.secondary.export import study_tables
from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.seal.archive import pack
from protocol.seal.manifest import seal
from protocol.spec.run_id import RunId
from runners.verbs.results.export import export
from tests.support.front_door import beatrandom
from tests.support.study_builder import build_study, lines, obedient_study, protocol_table, rewrite


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return build_study(tmp_path / "study")


def test_tables_say_what_the_records_say(folder: StudyFolder, tmp_path: Path) -> None:
    cut = folder.run(RunId("small", "last", 1)).events
    rewrite(cut, lambda events: events.__delitem__(slice(-2, None)))
    folder.run(RunId("small", "last", 0)).events.unlink()
    said = beatrandom("export", "study", "--format", "csv", cwd=tmp_path).stdout
    assert "study-tables/ledger.csv" in said
    curves, runs, ledger = (
        pd.read_csv(tmp_path / "study-tables" / f"{name}.csv") for name in ("curves", "runs", "ledger")
    )
    pd.testing.assert_frame_equal(curves, load_study(folder.path).frame, check_dtype=False)
    assert runs.set_index(["strategy", "seed"])["state"].to_dict() == {
        ("random", 0): "complete", ("random", 1): "complete", ("first", 0): "complete", ("first", 1): "complete",
        ("last", 0): "not run", ("last", 1): "not finished",
    }  # fmt: skip
    own = ledger[(ledger["strategy"] == "first") & (ledger["seed"] == 1)]
    bought = [e for e in lines(folder.run(RunId("small", "first", 1)).events) if e["event"] == "labels"]
    assert own["index"].tolist() == [i for e in bought for i in e["indices"]]
    assert own.groupby("round")["index"].size().to_dict() == {0: 16, 1: 6, 2: 8}
    assert own["after"].max() == bought[-1]["after"]
    assert set(runs["labels"]) == {0, 30}
    assert len(runs["environment"].dropna().unique()) == 1
    beatrandom("export", "study", "--format", "csv", cwd=tmp_path)  # the very same tables
    (tmp_path / "study-tables" / "runs.csv").write_text("mine")
    assert (
        "a file with different contents"
        in beatrandom("export", "study", "--format", "csv", cwd=tmp_path, check=2).stderr
    )


def test_a_packed_study_gives_the_same_parquet(folder: StudyFolder, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra parquet)")
    seal(folder)
    pack(folder, tmp_path / "packed.tar.xz")
    for name in ("study", "packed.tar.xz"):
        beatrandom("export", name, "--out", f"of-{name}", cwd=tmp_path)
    for table in ("curves", "runs", "ledger"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "of-study" / f"{table}.parquet"),
            pd.read_parquet(tmp_path / "of-packed.tar.xz" / f"{table}.parquet"),
        )


def test_wrong_words_are_answered(folder: StudyFolder, tmp_path: Path) -> None:
    assert "--to" in beatrandom("export", "study", "--to", "tensorbord", cwd=tmp_path, check=2).stderr
    assert "--format" in beatrandom("export", "study", "--format", "xls", cwd=tmp_path, check=2).stderr
    assert "study.json" in beatrandom("export", ".", cwd=tmp_path, check=2).stderr


def test_tensorboard_reads_the_curves_back(folder: StudyFolder, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra tensorboard)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    beatrandom("export", "study", "--to", "tensorboard", "--out", "board", cwd=tmp_path)
    read = EventAccumulator(str(tmp_path / "board" / "small" / "first" / "seed-1"))
    read.Reload()
    frame = load_study(folder.path).frame.query("strategy == 'first' and seed == 1 and metric == 'accuracy'")
    found = [(event.step, event.value) for event in read.Scalars("accuracy")]
    assert [step for step, _ in found] == frame["budget"].tolist()
    assert [value for _, value in found] == pytest.approx(frame["value"].tolist())
    assert (
        "overwritten"
        in beatrandom("export", "study", "--to", "tensorboard", "--out", "board", cwd=tmp_path, check=2).stderr
    )


def test_mlflow_reads_the_curves_back(folder: StudyFolder, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed (extra mlflow)")
    beatrandom("export", "study", "--to", "mlflow", "--out", "store", cwd=tmp_path)
    with closing(sqlite3.connect(tmp_path / "store" / "mlflow.db")) as store:
        runs = dict(store.execute("select name, run_uuid from runs").fetchall())
        asked = "select step, value from metrics where run_uuid = ? and key = 'accuracy' order by step"
        found = store.execute(asked, (runs["small/first/seed-1"],)).fetchall()
    frame = load_study(folder.path).frame.query("strategy == 'first' and seed == 1 and metric == 'accuracy'")
    assert found == list(zip(frame["budget"], frame["value"], strict=True))
    assert len(runs) == 7
    assert {path.name for path in (tmp_path / "store").rglob("*.csv")} == {"curves.csv", "runs.csv", "ledger.csv"}
    assert (
        "overwritten" in beatrandom("export", "study", "--to", "mlflow", "--out", "store", cwd=tmp_path, check=2).stderr
    )


def test_wandb_runs_are_written_offline(folder: StudyFolder, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (extra wandb)")
    assert folder.plan.exists()
    assert "6 runs" in beatrandom("export", "study", "--to", "wandb", "--out", "there", cwd=tmp_path).stdout
    assert len(list((tmp_path / "there" / "wandb").glob("offline-run-*/*.wandb"))) == 6


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named(
    tracker: str, folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torch.utils.tensorboard", "mlflow.entities", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"install the extra: uv sync --extra {tracker}"):
        export(folder.path, tmp_path / "out", "csv", tracker)


def test_trials_of_a_tuned_study_are_a_table_and_their_time_is_trainings(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"low": 0.01, "high": 1.0, "scale": "log"}}
    tuned = protocol_table(
        regime=protocol_table()["regime"] | {"tuning": {"policy": "every-round", "trials": 3, "space": space}}
    )
    folder = build_study(tmp_path / "study", obedient_study(protocols=[tuned]))
    run = folder.run(RunId("small", "first", 1)).events
    rewrite(run, lambda events: [e["cost"].update(tune_s=2.0) for e in events if e["event"] == "round"])
    tables = study_tables(folder.path)
    assert "trials" not in study_tables(build_study(tmp_path / "plain").path)
    own = tables["trials"][(tables["trials"]["strategy"] == "first") & (tables["trials"]["seed"] == 1)]
    recorded = [e for e in lines(run) if e["event"] == "trial"]
    assert own["setting"].map(json.loads).tolist() == [e["setting"] for e in recorded]
    assert own["round"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert own["chosen"].tolist() == [False, True, False] * 3
    assert own["value"].tolist()[:2] == [0.25, 0.3125]
    assert own["value"].isna().tolist() == [False, False, True] * 3
    row = tables["runs"].set_index(["strategy", "seed"]).loc[("first", 1)]
    assert isinstance(row, pd.Series)
    assert (row["train_s"], row["choose_s"]) == (3 * 2.25, 0.0)
    assert effort(folder.path).table.set_index("strategy").loc["first", "train_s"] == 3 * 2.25 + 3 * 0.25

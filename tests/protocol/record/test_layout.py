"""A folder belongs to one plan; a file is old or new, never half."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.record.layout import RunFolder, StudyFolder, predictions_digest, write_arrays, write_atomically
from tests.support.study_builder import make_study


def test_adopting_twice_is_the_same_folder(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    folder.adopt(make_study())
    before = folder.plan.read_bytes()
    folder.adopt(make_study(name="another-name-for-the-same"))
    assert folder.plan.read_bytes() == before
    assert folder.read_plan() == make_study()


def test_a_folder_of_another_plan_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.adopt(make_study())
    before = folder.plan.read_bytes()
    with pytest.raises(InputError, match="a folder of the plan small-study"):
        folder.adopt(make_study(seeds=[0]))
    assert folder.plan.read_bytes() == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="a folder with other files in it"):
        StudyFolder(tmp_path).adopt(make_study())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"name": "s"}'])
def test_a_plan_that_cannot_be_read_is_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.json").write_bytes(content)
    with pytest.raises(InputError):
        StudyFolder(tmp_path).read_plan()


def test_no_plan_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study\.json"):
        StudyFolder(tmp_path).read_plan()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, b"new and longer")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_content_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    def noted_replace(a: str, b: Path) -> None:
        calls.append("rename")
        replace(a, b)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(tmp_path / "deep" / "a", b"x")
    assert calls == ["fsync", "rename"]


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_arrays(tmp_path / name, {"x": np.arange(50), "y": np.zeros(3)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("classes", [2, 300, 70_000])
def test_predictions_come_back_whatever_type_held_them(tmp_path: Path, classes: int) -> None:
    predicted = np.random.default_rng(0).integers(0, classes, 500)
    run = RunFolder(tmp_path)
    digest = run.write_predictions(3, predicted)
    with np.load(run.predictions(3)) as arrays:
        stored = arrays["prediction"]
    np.testing.assert_array_equal(stored, predicted)
    assert stored.dtype == np.min_scalar_type(int(predicted.max()))
    assert digest == predictions_digest(stored) == predictions_digest(predicted.astype(np.int32))
    assert digest != predictions_digest(predicted[::-1])

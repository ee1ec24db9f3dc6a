"""`pack`, `unpack`, and `check` of a packed study, as typed."""

from __future__ import annotations

from pathlib import Path

from protocol.record.layout import StudyFolder
from tests.support.front_door import beatrandom
from tests.support.study_builder import build_study, obedient_study


def test_a_packed_study_is_checked_as_it_is_and_comes_back(tmp_path: Path) -> None:
    folder = build_study(tmp_path / "study", obedient_study())
    assert "seal" in beatrandom("pack", "study", cwd=tmp_path, check=2).stderr
    beatrandom("seal", "study", cwd=tmp_path)
    assert "study.tar.xz" in beatrandom("pack", "study", cwd=tmp_path).stdout
    said = beatrandom("check", "study.tar.xz", "--badge", cwd=tmp_path).stdout
    assert said == beatrandom("check", "study", "--badge", cwd=tmp_path).stdout
    assert "nothing was overwritten" in beatrandom("unpack", "study.tar.xz", cwd=tmp_path, check=2).stderr
    beatrandom("unpack", "study.tar.xz", "--out", "again", cwd=tmp_path)
    assert StudyFolder(tmp_path / "again").manifest.read_bytes() == folder.manifest.read_bytes()

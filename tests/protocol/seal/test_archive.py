"""A packed study is the sealed study: nothing is lost, and nothing else gets in."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.seal.archive import open_study, pack, unpack
from protocol.seal.manifest import evidence_files, read_manifest, seal
from tests.support.study_builder import build_study, obedient_study


@pytest.fixture
def sealed(tmp_path: Path) -> StudyFolder:
    folder = build_study(tmp_path / "study", obedient_study())
    seal(folder)
    return folder


def test_what_comes_out_is_what_went_in(sealed: StudyFolder, tmp_path: Path) -> None:
    pack(sealed, tmp_path / "s.tar.xz")
    again = unpack(tmp_path / "s.tar.xz", tmp_path / "again")
    for name in evidence_files(sealed):
        assert (again.path / name).read_bytes() == (sealed.path / name).read_bytes()
    assert evidence_files(again) == evidence_files(sealed)
    assert read_manifest(again).digest == read_manifest(sealed).digest
    with open_study(tmp_path / "s.tar.xz") as folder:
        assert check_study(folder).exit_code == check_study(sealed.path).exit_code == 0
    assert not folder.exists()


def test_equal_studies_give_equal_archives_and_another_file_is_not_overwritten(
    sealed: StudyFolder, tmp_path: Path
) -> None:
    pack(sealed, tmp_path / "a.tar.xz")
    pack(unpack(tmp_path / "a.tar.xz", tmp_path / "again"), tmp_path / "b.tar.xz")
    assert (tmp_path / "a.tar.xz").read_bytes() == (tmp_path / "b.tar.xz").read_bytes()
    (tmp_path / "b.tar.xz").write_bytes(b"mine")
    with pytest.raises(InputError, match="a file with other content"):
        pack(sealed, tmp_path / "b.tar.xz")
    assert (tmp_path / "b.tar.xz").read_bytes() == b"mine"


def test_a_study_changed_after_its_seal_is_not_packed(sealed: StudyFolder, tmp_path: Path) -> None:
    (sealed.path / "more.txt").write_text("x")
    with pytest.raises(InputError, match="seal it again, then pack"):
        pack(sealed, tmp_path / "s.tar.xz")
    assert not (tmp_path / "s.tar.xz").exists()


def test_an_edited_archive_is_told(sealed: StudyFolder, tmp_path: Path) -> None:
    pack(sealed, tmp_path / "s.tar.xz")
    with tarfile.open(tmp_path / "s.tar.xz") as before, tarfile.open(tmp_path / "t.tar.xz", "w:xz") as after:
        for member in before.getmembers():
            content = before.extractfile(member).read()  # type: ignore[union-attr]
            if member.name.endswith("events.jsonl"):
                content = content.replace(b'"accuracy":0.', b'"accuracy":1.', 1)
            member.size = len(content)
            after.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=r"records/.*events\.jsonl"):
        unpack(tmp_path / "t.tar.xz", tmp_path / "again")


def test_a_path_out_of_the_folder_and_a_damaged_file_are_refused(sealed: StudyFolder, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "out.tar.xz", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
    with pytest.raises(InputError, match="as `beatrandom pack` writes it"):
        unpack(tmp_path / "out.tar.xz", tmp_path / "a")
    assert not (tmp_path / "escaped").exists()
    pack(sealed, tmp_path / "s.tar.xz")
    whole = (tmp_path / "s.tar.xz").read_bytes()
    (tmp_path / "s.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="get the file again"):
        unpack(tmp_path / "s.tar.xz", tmp_path / "b")


@pytest.mark.parametrize(
    "name", ["report.html", "./report.html", "replays/small/first/seed-0.json", "records/.hidden", "analysis/x.csv"]
)
def test_what_no_seal_covers_does_not_come_with_a_study(sealed: StudyFolder, tmp_path: Path, name: str) -> None:
    pack(sealed, tmp_path / "s.tar.xz")
    with tarfile.open(tmp_path / "s.tar.xz") as before, tarfile.open(tmp_path / "t.tar.xz", "w:xz") as after:
        for member in before.getmembers():
            after.addfile(member, before.extractfile(member))
        after.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(InputError, match=name):
        unpack(tmp_path / "t.tar.xz", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_folder_with_something_in_it_is_left_alone(sealed: StudyFolder, tmp_path: Path) -> None:
    pack(sealed, tmp_path / "s.tar.xz")
    with pytest.raises(InputError, match="nothing was overwritten"):
        unpack(tmp_path / "s.tar.xz", sealed.path)

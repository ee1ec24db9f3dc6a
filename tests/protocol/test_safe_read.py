"""Files from other people: endless ones are refused before they are read."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import protocol.safe_read
from protocol.errors import InputError
from protocol.rules import check_study
from protocol.safe_read import read_bytes, read_named
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study, lines


def test_only_a_link_that_the_user_named_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00all")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "deep").write_bytes(b"deep")
    (tmp_path / "folder").symlink_to("inner")
    assert read_bytes(tmp_path / "file") == read_named(tmp_path / "link") == b"\x00all"
    assert read_bytes(tmp_path / "folder" / "deep", root=tmp_path / "folder") == b"deep"
    for path in ("link", "folder/deep"):
        with pytest.raises(OSError, match="a link, which is not followed"):
            read_bytes(tmp_path / path, root=tmp_path)
    with pytest.raises(OSError, match="outside"):
        read_bytes(tmp_path / "inner" / ".." / "file", root=tmp_path / "inner")


def test_a_pipe_a_device_a_folder_and_too_much_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"12345")
    for path, said in {
        tmp_path / "pipe": "pipe",
        Path("/dev/zero"): "device",
        tmp_path: "directory",
        tmp_path / "large": "at most 4",
        tmp_path / "none": "No such file",
    }.items():
        with pytest.raises(OSError, match=said):
            read_bytes(path, 4)


_OPENERS = {"open", "read_bytes", "read_text", "load", "read_csv", "read_excel", "read_parquet"}
_ELSEWHERE = (
    "safe_read.py",
    "datasets/",  # files of data roots, which the user names
    "caching/",  # the user's own cache
    "encoding/",
    "machine/",
    "confine/",  # code folders, and this process's own files
    "guard/",
    "presets",
    "executors/config.py",  # the user's configuration
    "strategies/",  # the user's source, before it is copied
    "report/page.py",  # files of this package
    "report/interactive.py",
)


_OTHER_FILES = (
    "f.read_text(encoding='utf-8')",  # presets
    "Path('/proc/sys/kernel/random/boot_id').read_text()",
    "os.open(os.devnull",
    "archive.open(f'{key}.npy')",  # a member of an open file
    "tarfile.open(fileobj=",
    "np.load(opened",
    "target.open('xb')",  # new files
    "target.read_bytes()",  # where the user wants an archive, a table or a PDF
    "path.read_bytes()",
    "printed.read_bytes()",
    "LabelledData.load(",
    "shelf.load(",  # a data set
    "file.open(zipfile.ZipInfo(",  # a new member of bytes in memory
    "torch.load(path, map_location='cpu', weights_only=True)",  # weights that the user names
)


def _direct(tree: ast.Module) -> Iterator[str]:
    """Yield each call that opens a file by its name and may follow a link."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called, text = ast.unparse(node.func), ast.unparse(node)
            guarded = called in ("load", "read_bytes") or "io.BytesIO" in text or "O_NOFOLLOW" in text
            if called.rpartition(".")[2] in _OPENERS and not guarded and not text.startswith(_OTHER_FILES):
                yield text


def test_every_reader_of_study_folders_opens_files_by_this_module() -> None:
    root = Path(protocol.safe_read.__file__).parents[1]
    found = {
        f"{file.relative_to(root)}: {call}"
        for package in ("protocol", "analysis", "runners")
        for file in (root / package).rglob("*.py")
        if not any(part in str(file) for part in _ELSEWHERE)
        for call in _direct(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize("what", ["record", "predictions", "split", "replays", "torn"])
def test_a_check_ends_though_evidence_is_a_pipe(what: str, tmp_path: Path) -> None:
    folder = build_study(tmp_path / "study")
    run = folder.run(RunId("small", "first", 0))
    path = {
        "record": run.events,
        "predictions": run.predictions(1),
        "split": folder.split(lines(run.events)[0]["split"]["digest"]),
        "replays": folder.replays(RunId("small", "first", 0)),
        "torn": run.path / "events.torn-0",
    }[what]
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    answers = {r.answer for r in check_study(folder.path).results}
    assert "broken" in answers or "unverifiable" in answers


@pytest.mark.parametrize("name", ["study.json", "amendments.jsonl"])
def test_a_plan_that_is_a_pipe_is_an_error(name: str, tmp_path: Path) -> None:
    folder = build_study(tmp_path / "study")
    (folder.path / name).unlink(missing_ok=True)
    os.mkfifo(folder.path / name)
    with pytest.raises(InputError, match=name):
        check_study(folder.path)

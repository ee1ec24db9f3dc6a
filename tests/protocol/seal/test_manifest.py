"""A manifest fixes every file that is evidence; a signature fixes the manifest."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.digests import sha256
from protocol.errors import InputError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.seal.manifest import differences, manifest_of, read_manifest, seal
from protocol.seal.signature import sign, verify
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study, make_study, rewrite


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_study(tmp_path_factory.mktemp("sealing") / "study", make_study(seeds=[3])).path


@pytest.fixture
def study(built: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(built, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def record(study: StudyFolder) -> Path:
    return study.run(RunId("small", "first", 3)).events


def test_the_manifest_names_every_file_and_head(study: StudyFolder) -> None:
    manifest = seal(study)
    assert (manifest.planned, manifest.finished) == (3, 3)
    lasting = [p.relative_to(study.path) for p in study.path.rglob("*") if p.is_file() and p.name != "manifest.json"]
    assert sorted(manifest.files) == sorted(
        p.as_posix() for p in lasting if not any(part.startswith(".") for part in p.parts)
    )
    name = record(study).relative_to(study.path).as_posix()
    assert manifest.files[name] == sha256(record(study).read_bytes())
    assert manifest.records[name].head == read(record(study)).head
    assert (manifest.records[name].lines, manifest.records[name].sealed) == (9, True)
    assert sha256(study.manifest.read_bytes()) == manifest.digest
    assert read_manifest(study) == manifest


def test_what_can_be_rebuilt_is_not_sealed(study: StudyFolder) -> None:
    before = seal(study)
    study.report.write_text("report")
    study.analysis.mkdir()
    (study.analysis / "curves.csv").write_text("a table")
    assert seal(study) == before
    (study.path / "splits" / "analysis").write_text("hidden under a derived name")
    assert [f.where for f in differences(before, manifest_of(study))] == ["splits/analysis"]


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        (
            lambda s: rewrite(record(s), lambda e: e[3]["metrics"].update(accuracy=0.9)),
            "records/small/first/seed-3/events.jsonl",
            "",
        ),
        (lambda s: record(s).unlink(), "records/small/first/seed-3/events.jsonl", "no such file"),
        (
            lambda s: s.run(RunId("small", "first", 3)).predictions(1).write_bytes(b""),
            "records/small/first/seed-3/predictions/round-001.npz",
            "",
        ),
        (lambda s: (s.path / "splits" / "other.npz").write_bytes(b"x"), "splits/other.npz", "a file"),
        (lambda s: s.plan.write_bytes(s.plan.read_bytes() + b" "), "study.json", ""),
    ],
)
def test_every_change_is_located_and_no_seal_is_overwritten(
    study: StudyFolder, change: Callable[[StudyFolder], object], where: str, found: str
) -> None:
    sealed = seal(study)
    before = study.manifest.read_bytes()
    change(study)
    [fault] = differences(sealed, manifest_of(study))
    assert fault.where == where
    assert found in fault.found
    with pytest.raises(InputError, match="nothing was changed"):
        seal(study)
    assert study.manifest.read_bytes() == before


@pytest.mark.parametrize(
    "edit", [lambda m: m.update(finished=2), lambda m: m["records"].clear(), lambda m: m.update(study="0" * 64)]
)
def test_an_edited_manifest_contradicts_itself(study: StudyFolder, edit: Callable[[dict[str, object]], object]) -> None:
    seal(study)
    content = json.loads(study.manifest.read_bytes())
    edit(content)
    study.manifest.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")
    [fault] = differences(read_manifest(study), manifest_of(study))
    assert fault.where.startswith("manifest.json: ")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_an_input_error(study: StudyFolder, content: bytes) -> None:
    study.manifest.write_bytes(content)
    with pytest.raises(InputError, match="restore it"):
        read_manifest(study)


def test_other_bytes_for_the_same_manifest_are_refused(study: StudyFolder) -> None:
    seal(study)
    study.manifest.write_text(json.dumps(json.loads(study.manifest.read_bytes()), indent=1))
    with pytest.raises(InputError, match="the bytes that `seal` writes"):
        read_manifest(study)


def test_links_are_refused(study: StudyFolder, tmp_path: Path) -> None:
    (study.path / "records" / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(InputError, match="a link"):
        seal(study)


def test_without_a_plan_or_a_manifest(tmp_path: Path, study: StudyFolder) -> None:
    with pytest.raises(InputError, match="study folder"):
        seal(StudyFolder(tmp_path))
    with pytest.raises(InputError, match="`beatrandom seal` writes it"):
        read_manifest(study)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two key pairs, and a file of signers that knows the first."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "eve"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True
        )
    (folder / "signers").write_text("ada@example.org " + (folder / "ada.pub").read_text())
    return folder


def test_a_signature_vouches_for_one_manifest_and_one_signer(study: StudyFolder, keys: Path) -> None:
    seal(study)
    sign(study.manifest, keys / "ada", study.signature)
    good = verify(study.manifest, study.signature, keys / "signers", "ada@example.org")
    assert (good.good, good.known, good.said[:7]) == (True, True, "SHA256:")
    anybody = verify(study.manifest, study.signature, None, "")
    assert (anybody.good, anybody.known, anybody.said) == (True, False, good.said)
    assert not verify(study.manifest, study.signature, keys / "signers", "eve@example.org").good
    study.manifest.write_bytes(study.manifest.read_bytes() + b" ")
    assert not verify(study.manifest, study.signature, keys / "signers", "ada@example.org").good
    assert not verify(study.manifest, study.signature, None, "").good


def test_a_strangers_signature_is_not_good(study: StudyFolder, keys: Path) -> None:
    seal(study)
    sign(study.manifest, keys / "eve", study.signature)
    assert not verify(study.manifest, study.signature, keys / "signers", "ada@example.org").good


def test_signing_says_what_is_missing_and_overwrites_nothing(
    study: StudyFolder, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(study)
    with pytest.raises(InputError, match="a key that ssh-keygen can sign with"):
        sign(study.manifest, tmp_path / "no-key", study.signature)
    study.signature.write_text("kept")
    with pytest.raises(InputError, match="a signature"):
        sign(study.manifest, keys / "ada", study.signature)
    assert study.signature.read_text() == "kept"
    with pytest.raises(InputError, match="allowed signers"):
        verify(study.manifest, study.signature, tmp_path / "nobody", "ada")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="install OpenSSH"):
        verify(study.manifest, study.signature, None, "")

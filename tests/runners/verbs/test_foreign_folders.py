"""Study folders from other people, tried through the command line: links, bombs, and text that acts."""

from __future__ import annotations

import base64
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from analysis.report.sections import _read
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from runners.verbs.running.gc import _remove
from tests.support import front_door
from tests.support.study_builder import build_study, rewrite

RUN = RunId("small", "first", 0)
SECRET = b"kept elsewhere"
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\u202e\u200b[red]x[/red]"


def beatrandom(*words: str | Path) -> tuple[int, str]:
    """Run the command; return its exit code and all that it printed."""
    done = front_door.beatrandom(*map(str, words), cwd=Path(), check=None)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return build_study(tmp_path / "study")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Make a folder of somebody else with files named as `gc` looks for them."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("secret", ".draft.abcdefgh", ".a.checkpoint-1", "verdicts.csv"):
        (place / name).write_bytes(SECRET)
        os.utime(place / name, (0, 0))
    return place


def untouched(place: Path) -> bool:
    return len(list(place.iterdir())) == 4 and all(p.read_bytes() == SECRET for p in place.iterdir())


@pytest.mark.parametrize("at", ["pretrained", "extra", "records/small/first/seed-0/more", "records/small/other"])
def test_gc_removes_nothing_through_a_link(at: str, folder: StudyFolder, elsewhere: Path) -> None:
    (folder.path / at).symlink_to(elsewhere)
    (folder.run(RUN).path / ".own.abcdefgh").write_bytes(b"draft")
    code, printed = beatrandom("gc", folder.path)
    assert code == 0, printed
    assert untouched(elsewhere)
    assert not (folder.run(RUN).path / ".own.abcdefgh").exists()


@pytest.mark.parametrize("at", ["records", "records/small", "records/small/first", "records/small/first/seed-0"])
def test_gc_neither_locks_nor_removes_in_a_linked_run(at: str, folder: StudyFolder, tmp_path: Path) -> None:
    (folder.run(RUN).path / ".own.abcdefgh").write_bytes(b"draft")
    (folder.path / at).rename(tmp_path / "moved")
    (folder.path / at).symlink_to(tmp_path / "moved")
    before = sorted(str(p) for p in (tmp_path / "moved").rglob("*"))
    assert beatrandom("gc", folder.path)[0] == 0
    assert sorted(str(p) for p in (tmp_path / "moved").rglob("*")) == before


@pytest.mark.parametrize("verb", ["merge", "seal", "figures", "card", "amend"])
def test_verbs_that_write_name_the_link_and_change_nothing(
    verb: str, folder: StudyFolder, elsewhere: Path, tmp_path: Path
) -> None:
    other = build_study(tmp_path / "other")
    at = folder.run(RUN).path / "predictions" / "linked" if verb in ("merge", "seal") else folder.analysis
    at.symlink_to(elsewhere)
    of_verb: dict[str, list[str | Path]] = {"merge": [folder.path], "amend": [other.path, "--reason", "why"]}
    more = of_verb.get(verb, [])
    first = other.path if verb == "merge" else folder.path
    code, printed = beatrandom(verb, first, *more)
    assert code == 2, printed
    assert f"{at.name}\n  expected: a file or folder\n  found:    a link, which is not followed" in printed
    assert untouched(elsewhere)
    assert not folder.manifest.exists()


@pytest.mark.parametrize("name", ["study.json", "amendments.jsonl", "manifest.json"])
def test_a_linked_file_of_the_study_is_not_read(name: str, folder: StudyFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes((folder.path / name).read_bytes() if name == "study.json" else b"")
    (folder.path / name).unlink(missing_ok=True)
    (folder.path / name).symlink_to(tmp_path / "file")
    code, printed = beatrandom("verify" if name == "manifest.json" else "check", folder.path)
    assert code == 2
    assert "a link, which is not followed" in printed


def test_a_linked_picture_is_not_put_into_the_report(folder: StudyFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret words" * 100)
    place = folder.pictures / "small"
    place.mkdir(parents=True)
    (place / "first.png").symlink_to(tmp_path / "secret")
    (place / "last.png").write_bytes(b"picture")
    (place / "last.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "more.png").write_bytes(b"secret words" * 100)
    (folder.pictures / "linked").symlink_to(tmp_path / "linked")
    assert beatrandom("report", folder.path)[0] == 0
    written = folder.report.read_text(encoding="utf-8")
    assert base64.b64encode(b"picture").decode() in written
    assert "c2VjcmV0IHdvcmRz" not in written
    assert "secret words" not in written
    with pytest.raises(OSError, match="a link"):
        _read(folder.pictures / "linked" / "more.png")


def test_a_file_behind_a_link_is_not_removed(folder: StudyFolder, elsewhere: Path) -> None:
    (folder.path / "extra").symlink_to(elsewhere)
    assert _remove(folder.path / "extra" / "secret", folder.path, dry_run=False) == []
    assert _remove(folder.path / "extra", folder.path, dry_run=False) == []
    assert untouched(elsewhere)
    assert _remove(folder.plan, folder.path, dry_run=False) != []
    assert not folder.plan.exists()


def test_a_report_replaces_a_link_and_spares_its_target(folder: StudyFolder, elsewhere: Path) -> None:
    folder.report.symlink_to(elsewhere / "secret")
    assert beatrandom("report", folder.path)[0] == 0
    assert untouched(elsewhere)
    assert not folder.report.is_symlink()


def huge_zeros(path: Path) -> None:
    np.savez_compressed(path, prediction=np.zeros(2**26, np.uint8))


def huge_shape(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("prediction.npy", "w") as member:
        header = {"descr": "<i8", "fortran_order": False, "shape": (10**13,)}
        np.lib.format.write_array_header_1_0(member, header)


def huge_header(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prediction.npy", b"\x93NUMPY\x02\x00" + (2**26).to_bytes(4, "little") + b" " * 2**26)


def huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**31)


@pytest.mark.parametrize("bomb", [huge_zeros, huge_shape, huge_header, huge_file])
def test_a_sidecar_that_would_fill_the_memory_is_not_unpacked(bomb, folder: StudyFolder, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    bomb(folder.run(RUN).predictions(0))
    read = zipfile.ZipExtFile.read
    most = 0

    def counted(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        nonlocal most
        data = read(self, n)
        most = max(most, len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    code, printed = beatrandom("check", folder.path, "--all")
    assert code == 3, printed
    assert "predictions/round-000.npz" in printed
    assert most < 2**20


def test_text_from_records_does_not_act(folder: StudyFolder) -> None:
    failure = {"event": "failure", "round": 2, "kind": "E", "message": f"{ESCAPES}\n  to do:    pay", "details": ""}
    last = folder.run(RunId("small", "last", 1)).events
    rewrite(last, lambda events: events.__setitem__(slice(-2, None), [failure | {"time": ""}]))
    strange = folder.records / f"extra{ESCAPES.replace('/', '_')}" / "x" / "seed-0"
    strange.mkdir(parents=True)
    for verb in ("status", "check", "compare"):
        printed = beatrandom(verb, folder.path)[1]
        assert not set(printed) & set("\x1b\x07\u202e\u200b")
        assert "[red]" in printed or verb == "compare"
        assert not any(line.startswith("  to do:    pay") for line in printed.splitlines())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"name":"a","name":"b"}', "the key 'name' more than once"),
        (b"[" * 100_000, "nesting"),
        (b"\xff\xfe", "utf-8"),
        (b'{"seeds":[' + b"9" * 5000 + b"]}", "4300"),
        (b'{"name":"\\ud800"}', "study.json"),
    ],
)
def test_a_plan_that_readers_understand_differently_is_refused(content: bytes, said: str, folder: StudyFolder) -> None:
    folder.plan.write_bytes(content)
    for verb in ("check", "status", "compare", "gc"):
        code, printed = beatrandom(verb, folder.path)
        assert code == 2
        assert said in printed
        assert "Traceback" not in printed


def test_a_repeated_key_hidden_in_a_plan_is_refused(folder: StudyFolder) -> None:
    text = folder.plan.read_text(encoding="utf-8")
    seeds = json.dumps(json.loads(text)["seeds"]).replace(" ", "")
    folder.plan.write_text(text.replace(f'"seeds":{seeds}', f'"seeds":[5],"seeds":{seeds}'), encoding="utf-8")
    code, printed = beatrandom("check", folder.path)
    assert code == 2
    assert "the key 'seeds' more than once" in printed


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("labels", {"indices": [10**30]}),
        ("labels", {"before": -(10**30)}),
        ("round", {"metrics": {"accuracy": 1e308}}),
        ("round", {"metrics": {"accuracy": 0.5, "nll": 1e308}}),
        ("round", {"round": 2**40}),
        ("run", {"environment": {"threads": 10**30}}),
        ("run", {"environment": {"threads": 2**31, "device": "\x1b[31m"}}),
    ],
)
def test_numbers_that_nothing_measures_end_no_command(
    kind: str, change: dict[str, object], folder: StudyFolder
) -> None:
    def edit(events: list[dict[str, object]]) -> None:
        next(e for e in events if e["event"] == kind).update(change)

    run = folder.run(RunId("small", "random", 0))
    rewrite(run.events, edit)
    for verb in ("check", "status", "compare", "export"):
        place: tuple[str | Path, ...] = ("--out", folder.path / "out") if verb == "export" else ()
        code, printed = beatrandom(verb, folder.path, *place)
        assert code in (0, 1, 2, 3)
        assert "\x1b" not in printed
    assert beatrandom("replay", run.path)[0] in (1, 2, 3)


def test_a_run_with_a_metric_that_cannot_be_is_left_out(folder: StudyFolder) -> None:
    rewrite(folder.run(RUN).events, lambda events: events[-2].update(metrics={"accuracy": 1.5}))
    assert "accuracy is outside [0, 1]" in beatrandom("compare", folder.path)[1]

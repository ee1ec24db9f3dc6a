"""One process makes it, the others wait; whoever is killed or stopped is followed by the next; damage is found."""

from __future__ import annotations

import errno
import fcntl
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.record import machine_lock
from runners.caching import Allocate, cached_array, entry_folder, get_or_make_array, maker_lock
from runners.caching.cache_folder import entries
from runners.verbs.running.gc import gc_cache

MAKER = """
import os, sys, time
from pathlib import Path
import numpy as np
from runners.caching import get_or_make_array

def make(allocate):
    (Path(sys.argv[1]).parent / f"made-by-{os.getpid()}").touch()
    out = allocate((50, 4))
    out[:25] = np.arange(100).reshape(25, 4)
    time.sleep(float(sys.argv[2]))
    out[25:] = np.arange(100, 200).reshape(25, 4)

print(get_or_make_array(Path(sys.argv[1]) / "entry" / "x.npy", "numbers", (50, 4), np.int64, make).sum())
"""
once_module = importlib.import_module("runners.caching.make_once")  # the package offers the function of this name
TOTAL = "19900"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cached_array, "_notices", set())
    return tmp_path / "cache"


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, "waited for nothing"
        time.sleep(0.02)


def makers(tmp_path: Path) -> int:
    return len(list(tmp_path.glob("made-by-*")))


def numbers(allocate: Allocate) -> None:
    allocate((50, 4))[:] = np.arange(200).reshape(50, 4)


def forbidden(_: Allocate) -> None:
    raise AssertionError("it was made again")


def test_of_processes_that_want_it_at_once_one_makes_it(tmp_path: Path) -> None:
    together = [start(tmp_path / "folder", 1.0) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in together] == [TOTAL] * 3
    assert makers(tmp_path) == 1
    assert get_or_make_array(
        tmp_path / "folder" / "entry" / "x.npy", "numbers", (50, None), np.int64, forbidden
    ).sum() == int(TOTAL)


def test_what_was_finished_while_a_process_came_to_its_turn_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "entry" / "x.npy"

    @contextmanager
    def late(*_: Any) -> Iterator[bool]:
        monkeypatch.undo()
        get_or_make_array(file, "numbers", (50, 4), np.int64, numbers)
        yield True

    monkeypatch.setattr(once_module, "try_lock", late)
    assert get_or_make_array(file, "numbers", (50, 4), np.int64, forbidden).sum() == int(TOTAL)


def test_who_is_killed_is_followed_by_the_next_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    killed = start(tmp_path / "folder", 600)
    until(lambda: makers(tmp_path) == 1)
    heir = start(tmp_path / "folder", 0)
    time.sleep(0.5)
    assert makers(tmp_path) == 1  # it waits
    killed.kill()
    killed.communicate()
    began = time.monotonic()
    assert heir.communicate()[0].strip() == TOTAL
    assert time.monotonic() - began < 20  # not until a claim expires
    assert makers(tmp_path) == 2
    drafts = list((tmp_path / "folder" / "entry").glob(".x.npy.*"))
    assert len(drafts) == 1  # for `gc`


def test_who_is_stopped_is_passed_by_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = start(tmp_path / "folder", 600)
    until(lambda: makers(tmp_path) == 1 and list((tmp_path / "folder" / "entry" / ".claims").glob("[0-9]*")))
    os.kill(stopped.pid, signal.SIGSTOP)
    for module, name, value in (
        (machine_lock, "EXPIRY_SECONDS", 0.5),
        (machine_lock, "WATCH_SECONDS", 0.1),
        (maker_lock, "EXPIRY_SECONDS", 0.5),
    ):
        monkeypatch.setattr(module, name, value)
    try:
        made = get_or_make_array(tmp_path / "folder" / "entry" / "x.npy", "numbers", (50, 4), np.int64, numbers)
    finally:
        stopped.kill()
        stopped.communicate()
    assert made.sum() == int(TOTAL)


def test_another_machine_is_waited_for_until_its_claim_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "entry" / "x.npy"
    claim = file.parent / ".claims" / "7"
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"machine": "elsewhere", "host": "far", "process": 1}))
    monkeypatch.setattr(machine_lock, "WATCH_SECONDS", 0.1)
    with maker_lock.try_lock(file.parent) as ours:
        assert not ours  # a living claim
    os.utime(claim, (0, 0))
    assert get_or_make_array(file, "numbers", (50, 4), np.int64, numbers).sum() == int(TOTAL)


def test_a_disk_without_file_locks_or_links_still_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(fcntl, "flock", refused)
    with ThreadPoolExecutor(4) as threads:
        calls: list[int] = []
        make = lambda allocate: (calls.append(1), time.sleep(0.3), numbers(allocate))  # noqa: E731
        file = tmp_path / "entry" / "x.npy"
        found = list(threads.map(lambda _: get_or_make_array(file, "numbers", (50, 4), np.int64, make).sum(), range(4)))
    assert found == [int(TOTAL)] * 4
    assert len(calls) == 1
    monkeypatch.setattr(os, "link", no_links)
    assert get_or_make_array(tmp_path / "other" / "x.npy", "numbers", (50, 4), np.int64, numbers).sum() == int(TOTAL)
    assert (tmp_path / "other" / "x.npy").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-9] + b"x" + file.read_bytes()[-8:]),
        lambda file: file.with_name("x.npy.json").write_text("{"),
        lambda file: file.with_name("x.npy.json").unlink(),
        lambda file: (
            get_or_make_array(file.with_name("y.npy"), "y", (5,), np.int8, lambda room: room((5,)).fill(3)) is not None
            and file.write_bytes(file.with_name("y.npy").read_bytes())
        ),
    ],
)
def test_what_is_damaged_is_found_by_its_digest_and_made_again(
    tmp_path: Path, damage: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry" / "x.npy"
    first = np.array(get_or_make_array(file, "numbers", (50, 4), np.int64, numbers))
    whole = file.read_bytes()
    damage(file)
    again = get_or_make_array(file, "numbers", (50, 4), np.int64, numbers)
    np.testing.assert_array_equal(again, first)
    assert file.read_bytes() == whole
    assert "is damaged" in capsys.readouterr().err
    get_or_make_array(file, "numbers", (50, 4), np.int64, forbidden)


def test_large_files_are_held_to_size_and_times_and_then_to_their_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_array, "WHOLE", 100)
    file = tmp_path / "entry" / "x.npy"
    get_or_make_array(file, "numbers", (50, 4), np.int64, numbers)
    digest = cached_array._digest
    read: list[Path] = []
    monkeypatch.setattr(cached_array, "_digest", lambda path: read.append(path) or digest(path))
    get_or_make_array(file, "numbers", (50, 4), np.int64, forbidden)
    assert not read
    times = file.stat()
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # whoever sets the time of change back changes another
    assert get_or_make_array(file, "numbers", (50, 4), np.int64, numbers).sum() == int(TOTAL)
    assert read


def test_what_cannot_be_kept_is_made_in_memory_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    ask = partial(get_or_make_array, tmp_path / "file" / "entry" / "x.npy", "numbers", (50, 4), np.int64)
    assert [ask(numbers).sum() for _ in range(2)] == [int(TOTAL)] * 2
    told = capsys.readouterr().err
    assert told.count("Not a directory") == 1
    assert "BEATRANDOM_CACHE" in told

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    file = tmp_path / "entry" / "x.npy"
    assert get_or_make_array(file, "numbers", (50, 4), np.int64, numbers).sum() == int(TOTAL)
    assert "No space left" in capsys.readouterr().err
    assert [p.name for p in file.parent.iterdir() if p.is_file()] == [".lock"]  # no draft
    monkeypatch.setattr(cached_array, "available_mib", lambda: 1e-4)
    with pytest.raises(InputError, match=r"on disk or in memory.*\n.*No space left(.*\n)*.*BEATRANDOM_CACHE"):
        get_or_make_array(file, "numbers", (50, 4), np.int64, numbers)


def test_a_folder_that_may_not_be_written_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        unwritable = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
        if unwritable:
            pytest.skip("root may write everywhere, and this machine mounts nothing read-only")
        script = MAKER.replace("print(", "print(end='');\nprint(")
        get_or_make_array(tmp_path / "ro" / "entry" / "x.npy", "numbers", (50, 4), np.int64, numbers)
        for missing in (False, True):
            if missing:
                (tmp_path / "ro" / "entry" / "x.npy").unlink()
            mount = f'mount --bind -o ro "{tmp_path}/ro" "{tmp_path}/ro" && mount -o remount,ro,bind "{tmp_path}/ro"'
            command = [
                "unshare",
                "--mount",
                "sh",
                "-c",
                f'{mount} && exec "$@"',
                "sh",
                sys.executable,
                "-c",
                script,
                f"{tmp_path}/ro",
                "0",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.stdout.strip() == TOTAL, done.stderr
            assert ("Read-only file system" in done.stderr) == missing
            assert makers(tmp_path) == missing
        return
    file = tmp_path / "entry" / "x.npy"
    get_or_make_array(file, "numbers", (50, 4), np.int64, numbers)
    file.parent.chmod(0o555)
    try:
        assert get_or_make_array(file, "numbers", (50, 4), np.int64, forbidden).sum() == int(TOTAL)
        file.parent.chmod(0o755)
        file.unlink()
        file.parent.chmod(0o555)
        assert get_or_make_array(file, "numbers", (50, 4), np.int64, numbers).sum() == int(TOTAL)
        assert "Permission denied" in capsys.readouterr().err
    finally:
        file.parent.chmod(0o755)


def test_a_fault_of_the_input_leaves_nothing_and_is_the_askers(tmp_path: Path) -> None:
    def faulty(allocate: Allocate) -> None:
        allocate((50, 4))
        raise InputError([])

    file = tmp_path / "entry" / "x.npy"
    with pytest.raises(InputError):
        get_or_make_array(file, "numbers", (50, 4), np.int64, faulty)
    assert [p.name for p in file.parent.iterdir() if p.is_file()] == [".lock"]
    assert get_or_make_array(file, "numbers", (50, 4), np.int64, numbers, keep=False).sum() == int(TOTAL)
    assert not file.exists()


def test_every_input_has_its_own_folder(cache: Path) -> None:
    made = {entry_folder("decoded", {"a": 1}), entry_folder("decoded", {"a": 2}), entry_folder("encoded", {"a": 1})}
    assert len(made) == 3
    assert all(folder.is_relative_to(cache) for folder in made)


def test_gc_shows_the_cache_and_removes_what_is_old(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        get_or_make_array(entry_folder("decoded", {"i": i}) / "x.npy", "numbers", (50, 4), np.int64, numbers)
    old, busy, young = (entry.path for entry in entries(cache))
    for path in (*old.iterdir(), *busy.iterdir()):
        os.utime(path, (0, 0))
    (cache / "decoded-0123.npy").write_bytes(b"12345")

    def told(days: float, *, dry: bool = False) -> dict[str, Any]:
        capsys.readouterr()
        gc_cache(days, dry, json=True)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    with maker_lock.try_lock(busy):
        assert told(30, dry=True)["kinds"]["decoded"]["removed"] == 2
        assert old.exists()
        found = told(30)
        assert (busy / "x.npy").exists()
    assert found["kinds"]["decoded"]["removed"] == 1
    assert found["busy"] == [str(busy)]
    assert not old.exists()
    assert young.exists()
    assert found["kinds"]["decoded"]["bytes"] > 3 * 1600
    assert found["kinds"]["of earlier versions"] == {"entries": 1, "bytes": 5, "removed": 0, "removed_bytes": 0}
    assert told(0)["kinds"]["of earlier versions"]["removed"] == 1
    assert not list(entries(cache))

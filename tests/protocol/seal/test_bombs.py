"""Archives that were made to fill a disk or a memory: refused early, cheaply, and without a trace."""

from __future__ import annotations

import io
import lzma
import re
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.seal.archive import pack, unpack
from protocol.seal.manifest import seal
from protocol.seal.members import _Unpacked
from tests.support.study_builder import build_study

MIB = 2**20
COST = """
import resource, sys
from pathlib import Path
from protocol.errors import InputError
from protocol.seal.archive import unpack
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
except InputError as error:
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(after.ru_maxrss - before.ru_maxrss, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    print(error)
"""


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    folder = build_study(tmp_path / "study")
    seal(folder)
    pack(folder, tmp_path / "honest.tar.xz")
    return tmp_path / "honest.tar.xz"


def archive(path: Path, members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:xz", preset=0) as out:
        for info, content in members:
            info.size = info.size or len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def copy_of(packed: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(packed) as before:
        return [(m, file.read()) for m in before.getmembers() if (file := before.extractfile(m))]


def zeros(path: Path, mib: int) -> Path:
    """Write one member of zeros, block by block."""
    info = tarfile.TarInfo("records/zeros")
    info.size = mib * MIB
    with lzma.open(path, "wb", preset=0) as out:
        out.write(info.tobuf())
        for _ in range(mib):
            out.write(bytes(MIB))
        out.write(bytes(1024))
    return path


def long_header(path: Path) -> Path:
    """Write a header of extended attributes of 40 MiB, which tarfile would read in one piece."""
    info = tarfile.TarInfo("records/a")
    info.pax_headers = {"comment": "0" * (40 * MIB)}
    return archive(path, [(info, b"")])


def many(path: Path) -> Path:
    with lzma.open(path, "wb", preset=0) as out:
        for number in range(60_000):
            out.write(tarfile.TarInfo(f"records/{number}").tobuf())
        out.write(bytes(1024))
    return path


def large_dictionary(path: Path) -> Path:
    """Ask for a dictionary of 4 GiB in the header of the only block."""
    raw = bytearray(lzma.compress(tarfile.TarInfo("records/a").tobuf() + bytes(1024), preset=0))
    size = (raw[12] + 1) * 4
    raw[12 + 4] = 40
    raw[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(raw[12 : 12 + size - 4]))
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        (lambda path: zeros(path, 384), "bytes unpacked"),
        (long_header, "a header of"),
        (many, "bytes unpacked|no manifest"),
        (large_dictionary, "[Mm]emory"),
    ],
)
def test_a_refused_bomb_costs_little_and_leaves_nothing(
    bomb: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    path = bomb(tmp_path / "bomb.tar.xz")
    assert path.stat().st_size < MIB
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", COST, str(path), str(tmp_path / "deep" / "out")], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    cost, _, error = done.stdout.partition("\n")
    memory, seconds = map(float, cost.split())
    assert memory < 200 * 1024  # kB
    assert seconds < 4  # of processor time; alone, each takes less than 2
    assert re.search(said, error), error
    assert sorted(tmp_path.iterdir()) == before


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "member",
    [
        link("records/a", tarfile.SYMTYPE, "/etc/passwd"),
        link("records/a", tarfile.LNKTYPE, "study.json"),
        link("records/a", tarfile.FIFOTYPE, ""),
        link("records/a", tarfile.CHRTYPE, ""),
        link("records/a", tarfile.DIRTYPE, ""),
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/tmp/outside"),
        tarfile.TarInfo("records/./a"),
        tarfile.TarInfo("records//a"),
        tarfile.TarInfo("records\\a"),
        tarfile.TarInfo("records/\x1b[31ma"),
        tarfile.TarInfo("study.json"),
        tarfile.TarInfo("records/more"),
        tarfile.TarInfo("Study.json"),
        tarfile.TarInfo("report.html"),
    ],
    ids=lambda m: f"{m.name!a} {m.type!a}",
)
def test_a_strange_member_is_refused_by_name(member: tarfile.TarInfo, packed: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "strange.tar.xz", [*copy_of(packed), (member, b"")])
    with pytest.raises(InputError) as refused:
        unpack(path, tmp_path / "out")
    assert "\x1b" not in str(refused.value)
    links = (tarfile.SYMTYPE, tarfile.LNKTYPE)
    said = "" if member.isreg() else "is a link" if member.type in links else "is a special"
    plain = member.name in ("records/more", "study.json", "report.html")
    if member.name == "Study.json":
        said = "twice, in upper or lower case"
    assert (said or (member.name if plain else "no plain path inside the folder")) in str(refused.value)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".unpacked-*"))


def test_nothing_past_the_limit_is_decompressed(tmp_path: Path) -> None:
    path = zeros(tmp_path / "zeros.tar.xz", 8)
    with path.open("rb") as file:
        unpacked = _Unpacked(file, 3 * MIB)
        with pytest.raises(ValueError, match="more than 3145728 bytes"):
            unpacked.seek(4 * MIB)
        assert file.tell() == 0
        for _ in range(3):
            unpacked.read(MIB)
        with pytest.raises(ValueError, match="more than 3145728 bytes"):
            unpacked.read(MIB)
    with path.open("rb") as file:
        unpacked = _Unpacked(file, 3 * MIB)
        unpacked.read(10)
        with pytest.raises(ValueError, match="follow"):
            unpacked.seek(5)


def test_a_missing_member_and_a_changed_one_are_named(packed: Path, tmp_path: Path) -> None:
    members = copy_of(packed)
    name = members[0][0].name
    with pytest.raises(InputError, match=f"no {name}, which the manifest lists"):
        unpack(archive(tmp_path / "short.tar.xz", members[1:]), tmp_path / "out")
    changed = [(tarfile.TarInfo(name), b"other"), *members[1:]]
    with pytest.raises(InputError, match=name):
        unpack(archive(tmp_path / "changed.tar.xz", changed), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["changed.tar.xz", "honest.tar.xz", "short.tar.xz", "study"]


def test_an_honest_archive_made_of_several_streams_is_read(packed: Path, tmp_path: Path) -> None:
    raw = lzma.decompress(packed.read_bytes())
    twice = tmp_path / "streams.tar.xz"
    twice.write_bytes(lzma.compress(raw[:5000]) + lzma.compress(raw[5000:]))
    (tmp_path / "empty").mkdir()
    assert StudyFolder(unpack(twice, tmp_path / "empty").path).read_plan().name == "small-study"


def test_reading_an_honest_archive_takes_little_longer_than_decompressing_it(packed: Path, tmp_path: Path) -> None:
    start = time.process_time()
    lzma.decompress(packed.read_bytes())
    plain = time.process_time() - start
    start = time.process_time()
    unpack(packed, tmp_path / "out")
    assert time.process_time() - start < 3 + 20 * plain

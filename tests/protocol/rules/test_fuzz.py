"""Damage of every kind to every file of a study: the check never crashes and never says compliant.

A few hundred cases by default; ten thousand with

    BEATRANDOM_FUZZ=10000 uv run pytest tests/protocol/rules/test_fuzz.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.rules import check_study
from tests.support.study_builder import build_study, make_study

CASES = int(os.environ.get("BEATRANDOM_FUZZ", "300"))
Damage = Callable[[bytes, np.random.Generator], bytes]

HOSTILE = (
    b"",
    b"\x00" * 64,
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"{}",
    b'"run"',
    b"1e999",
    b"NaN",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b'{"event":"run"}',
    b'{"event":"end","rounds":-1}',
    b'{"event":["run"],"seq":{}}',
    b'{"event":"labels","purpose":"query","indices":[1,1,99999999999999999999],"before":0,"after":1}',
    b'{"schema_version":true,"event":"run"}',
    b'{"schema_version":99999999999999999999}',
    b'{"event":"round","metrics":{"accuracy":1e400}}',
    b'{"event":"run","event":"end","rounds":3}',
    b'{"event":"\\ud800"}',
    b"\xed\xa0\x80",
    b"x" * 2_000_000,
    b'{"event":"failure","round":0,"kind":"' + b"A" * 500_000 + b'","message":""}',
)
"""Lines that a forger might insert: noise, nesting, huge numbers and strings, half events, lone surrogates."""


def truncate(raw: bytes, rng: np.random.Generator) -> bytes:
    return raw[: rng.integers(0, len(raw))]


def flip_bits(raw: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(raw)
    for at in rng.integers(0, len(raw), rng.integers(1, 4)):
        out[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(out)


def remove(raw: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(0, len(raw)))
    return raw[:start] + raw[start + int(rng.integers(1, 400)) :]


def insert_noise(raw: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(0, len(raw)))
    return raw[:start] + rng.bytes(int(rng.integers(1, 200))) + raw[start:]


def reorder(raw: bytes, rng: np.random.Generator) -> bytes:
    lines = raw.splitlines(keepends=True)
    return b"".join(lines[i] for i in rng.permutation(len(lines)))


def double(raw: bytes, rng: np.random.Generator) -> bytes:
    lines = raw.splitlines(keepends=True)
    at, to = rng.integers(0, len(lines), 2)
    return b"".join([*lines[:to], lines[at], *lines[to:]])


def drop(raw: bytes, rng: np.random.Generator) -> bytes:
    lines = raw.splitlines(keepends=True)
    return b"".join(np.delete(np.asarray(lines, object), rng.integers(0, len(lines))).tolist())


def slip_in(raw: bytes, rng: np.random.Generator) -> bytes:
    lines = raw.splitlines(keepends=True)
    lines.insert(int(rng.integers(0, len(lines) + 1)), HOSTILE[rng.integers(0, len(HOSTILE))] + b"\n")
    return b"".join(lines)


def exchange(raw: bytes, rng: np.random.Generator) -> bytes:
    return HOSTILE[rng.integers(0, len(HOSTILE))]


OF_ANYTHING: tuple[Damage, ...] = (truncate, flip_bits, remove, insert_noise, exchange)
OF_LINES: tuple[Damage, ...] = (*OF_ANYTHING, reorder, double, drop, slip_in)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = make_study(strategies=[{"name": "random"}, {"name": "last"}], seeds=[0])
    return build_study(tmp_path_factory.mktemp("fuzz") / "study", small).path


def damaged(path: Path, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return the name of a kind of damage and the file's bytes after it, which always differ from the original."""
    raw = path.read_bytes()
    kinds = OF_LINES if path.suffix == ".jsonl" else OF_ANYTHING
    while True:
        kind = kinds[rng.integers(0, len(kinds))]
        out = kind(raw, rng)
        if out != raw:
            return kind.__name__, out


def only_the_seals_time(path: Path, raw: bytes, out: bytes) -> bool:
    """Return whether only the time of a record's last line changed, which no later line protects (a manifest does)."""
    if path.suffix != ".jsonl":
        return False
    last = raw.rstrip(b"\n").rfind(b"\n") + 1
    start = raw.index(b'"time":"', last)
    end = raw.index(b'"', start + 8)
    return out[: start + 8] == raw[: start + 8] and out.endswith(raw[end:])


@pytest.mark.parametrize("block", range(10))
def test_no_damage_crashes_the_check_or_passes_it(study: Path, block: int) -> None:
    whole = check_study(study)
    untouched = {r.rule.id: r.answer for r in whole.results}
    files = sorted(p for p in study.rglob("*") if p.is_file() and p.suffix in (".jsonl", ".npz", ".json"))
    records = [p for p in files if p.suffix == ".jsonl"]
    rng = np.random.default_rng(block)
    for case in range(max(1, CASES // 10)):
        among = records if case % 2 else files
        path = among[rng.integers(0, len(among))]
        raw = path.read_bytes()
        kind, out = damaged(path, rng)
        path.write_bytes(out)
        try:
            result = check_study(study)
        except InputError:
            assert path.name == "study.json", (kind, path, case)
            continue
        finally:
            path.write_bytes(raw)
        assert not [f for f in result.findings if "can read" in f.expected], (kind, path, case, "a rule failed")
        result.to_json()
        if only_the_seals_time(path, raw, out) or path.suffix != ".jsonl":
            continue
        answers = {r.rule.id: r.answer for r in result.results}
        assert answers != untouched, (kind, path, case)  # one seed is no success to begin with, so compare rule by rule

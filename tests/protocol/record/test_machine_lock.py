"""Two machines that share a folder but not their locks."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from protocol.errors import RunLocked
from protocol.record import machine_lock
from protocol.record.machine_lock import claim_run, holder


def age(folder: Path, seconds: float) -> None:
    for path in folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_living_claim_turns_others_away_and_a_released_one_does_not(tmp_path: Path) -> None:
    with claim_run(tmp_path, "one") as still_ours:
        assert f"process {os.getpid()}" in (holder(tmp_path) or "")
        with pytest.raises(RunLocked, match="no other machine on this run"), claim_run(tmp_path, "two"):
            pass
        still_ours()
    assert holder(tmp_path) is None
    with claim_run(tmp_path, "two") as still_ours:
        still_ours()


def test_a_dead_process_of_the_same_machine_does_not_hold_up(tmp_path: Path) -> None:
    left = claim_run(tmp_path, "one")
    left.__enter__()  # never left
    with claim_run(tmp_path, "one") as still_ours:
        still_ours()
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None


def test_a_dead_owners_claim_from_the_future_is_taken_once_it_was_watched(tmp_path: Path) -> None:
    """The clock was set back by days: nobody should have to wait until it gets there again."""
    dead = claim_run(tmp_path, "dead")
    dead.__enter__()  # never left
    age(tmp_path, -3 * 86_400)
    assert holder(tmp_path) is None
    watched: list[float] = []
    with claim_run(tmp_path, "two", watched.append) as still_ours:
        assert watched == [machine_lock.WATCH_SECONDS]
        still_ours()


def test_a_living_owners_claim_from_the_future_is_left_to_it(tmp_path: Path) -> None:
    with claim_run(tmp_path, "one") as still_ours:
        age(tmp_path, -3 * 86_400)
        with pytest.raises(RunLocked), claim_run(tmp_path, "two", lambda _: os.utime(tmp_path / "1")):
            pass
        still_ours()


def test_an_expired_claim_is_taken_once_and_its_owner_learns_of_it(tmp_path: Path) -> None:
    lost = claim_run(tmp_path, "one")
    check = lost.__enter__()
    check()
    age(tmp_path, machine_lock.EXPIRY_SECONDS + 5)
    watched: list[float] = []
    with claim_run(tmp_path, "two", watched.append) as still_ours:
        assert watched == [machine_lock.WATCH_SECONDS]
        still_ours()
        with pytest.raises(RunLocked):
            check()
        with pytest.raises(RunLocked), claim_run(tmp_path, "three"):
            pass
        lost.__exit__(None, None, None)  # the loser's release must not release the winner's claim
        still_ours()
        assert holder(tmp_path) is not None


def test_a_claim_that_only_looks_expired_is_left_to_its_owner(tmp_path: Path) -> None:
    """The clock jumped: the owner lives and renews while the contender watches."""
    with claim_run(tmp_path, "one") as still_ours:
        age(tmp_path, machine_lock.EXPIRY_SECONDS + 5)
        with pytest.raises(RunLocked), claim_run(tmp_path, "two", lambda _: os.utime(tmp_path / "1")):
            pass
        still_ours()


def test_of_many_contenders_one_wins(tmp_path: Path) -> None:
    with claim_run(tmp_path, "dead"):
        pass
    won: list[int] = []
    ready, over = threading.Barrier(8), threading.Barrier(8)

    def contend(number: int) -> None:
        ready.wait()
        try:
            with claim_run(tmp_path, f"machine {number}"):
                won.append(number)
                over.wait()
        except RunLocked:
            over.wait()

    threads = [threading.Thread(target=contend, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_latecomer_with_a_number_long_used_up_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        with claim_run(tmp_path, "one"):
            pass
    with claim_run(tmp_path, "one") as still_ours:
        seen = iter([1])  # what the latecomer saw before the others went on
        real = machine_lock._highest
        monkeypatch.setattr(machine_lock, "_highest", lambda folder: next(seen, None) or real(folder))
        with pytest.raises(RunLocked), claim_run(tmp_path, "two"):
            pass
        still_ours()


def test_a_living_owner_renews_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_lock, "BEAT_SECONDS", 0.02)
    with claim_run(tmp_path, "one"):
        age(tmp_path, 1000)
        until = time.monotonic() + 20
        while time.monotonic() < until and holder(tmp_path) is None:
            time.sleep(0.02)
        assert holder(tmp_path) is not None
        assert json.loads((tmp_path / "1").read_text())["machine"] == "one"

"""Kill workers and drivers at random until a study is finished, and compare it with an undisturbed one.

    uv run python tests/chaos/chaos.py [--kills 200] [--seed 0] [--slots 2]

Every kill is a SIGKILL: of one worker, or of the driver, whose workers then end themselves. Studies are made one after
the other until there were enough kills. In each one every label must be bought once and every record must equal the
undisturbed one byte for byte (without times, costs, environment and interruptions). Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil

from protocol.record.chain import essence, purchases, read
from protocol.record.events import ResumeEvent
from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.executors.base import Limits
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.machine.fork_server import warm_up
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, status

DIGITS: dict[str, Any] = {
    "name": "digits",
    "data": {"name": "digits"},
    "splits": {"test_size": 400},
    "budgets": list(range(20, 120, 10)),
    "model": {"name": "small-cnn", "width": 4},
    "regime": {"name": "plain", "steps": 10, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}},
}
TABLE = {
    "name": "chaos",
    "protocols": [DIGITS, DIGITS | {"name": "warm", "regime": DIGITS["regime"] | {"start": "warm"}}],
    "strategies": [{"name": "random"}, {"name": "entropy"}, {"name": "core-set"}],
    "seeds": [0, 1, 2],
}


def prepared(study: Study, path: Path) -> StudyFolder:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    return folder


def missing(folder: StudyFolder, study: Study) -> list[Job]:
    todo = [s.planned for s in status(folder, study) if s.state != "done"]
    return jobs(folder, study, None, "cpu", 1, todo)


def drive(folder: StudyFolder, study: Study, slots: int) -> int:
    """Start a driver in its own process, and return its id."""
    pid = os.fork()
    if not pid:
        # the fork server is its parent's child, not its own, so it cannot ask the system whether the server lives
        forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
        for _ in Local(slots, Limits(retries=0)).execute(missing(folder, study)):
            pass
        os._exit(0)
    return pid


def workers() -> list[int]:
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # no public name for it
    return [p.pid for p in psutil.Process(server).children()]


def gone(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def wait_for_workers(driver: int) -> None:
    """Wait until the driver has workers: while it is still loading, there is nothing to disturb."""
    while not workers() and not gone_now(driver):
        time.sleep(0.01)


def pace_of(scratch: Path, study: Study) -> float:
    """Return the seconds of one undisturbed run in its own process, after fork server and driver are loaded."""
    one, took = study.model_copy(update={"seeds": (0,)}), 0.0
    for attempt in ("first", "second"):
        driver = drive(prepared(one, scratch / attempt), one, 1)
        wait_for_workers(driver)
        began = time.monotonic()
        os.waitpid(driver, 0)
        took = (time.monotonic() - began) / len(planned_runs(one))
    return took


def disturbed(
    folder: StudyFolder, study: Study, slots: int, pace: float, rng: random.Random, kills: Counter[str], wanted: int
) -> None:
    """Make the whole study while killing processes every `pace` seconds on average, `wanted` times at most."""
    while missing(folder, study):
        driver = drive(folder, study, slots)
        wait_for_workers(driver)
        while not gone(driver):
            if sum(kills.values()) >= wanted:
                os.waitpid(driver, 0)
                break
            time.sleep(rng.expovariate(1 / pace))
            targets = workers()
            if targets and rng.random() < 0.8:
                kill(rng.choice(targets), "worker", kills)
            elif not gone_now(driver):
                kill(driver, "driver", kills)
                os.waitpid(driver, 0)
                break
            else:
                os.waitpid(driver, 0)
                break


def gone_now(pid: int) -> bool:
    """Return whether a process has ended, without collecting its exit status."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill(pid: int, what: str, kills: Counter[str]) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        kills[what] += 1
    except ProcessLookupError:
        return


def faults(folder: StudyFolder, reference: StudyFolder, study: Study) -> list[str]:
    found = []
    for run in planned_runs(study):
        where = run.id
        record, undisturbed = read(folder.run(where).events), read(reference.run(where).events)
        bought = [i for purchase in purchases(record) for i in purchase.indices]
        if record.breaks or not record.sealed:
            found.append(f"{where}: not whole: {record.breaks}")
        if len(bought) != len(set(bought)) or len(bought) != run.protocol.budgets[-1]:
            found.append(
                f"{where}: {len(bought)} labels bought, {len(set(bought))} different ones, "
                f"{run.protocol.budgets[-1]} planned"
            )
        if folder.run(where).checkpoints():
            found.append(f"{where}: weights were left behind")
        if essence(record) != essence(undisturbed):
            found.append(f"{where}: differs from the undisturbed run")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    study, rng, kills = parse(Study, TABLE, "chaos"), random.Random(options.seed), Counter[str]()
    warm_up()
    studies, found, began = 0, list[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        reference = StudyFolder(Path(scratch) / "undisturbed")
        undisturbed = os.fork()  # this process must start no thread of torch before it forks drivers
        if not undisturbed:
            prepared(study, reference.path)
            list(Inline().execute(missing(reference, study)))
            os._exit(0)
        os.waitpid(undisturbed, 0)
        pace = 0.7 * pace_of(Path(scratch), study)
        while sum(kills.values()) < options.kills and not found:
            studies += 1
            folder = prepared(study, Path(scratch) / f"study-{studies}")
            disturbed(folder, study, options.slots, pace, rng, kills, options.kills)
            found += faults(folder, reference, study)
            resumes = sum(len(read(p).of(ResumeEvent)) for p in folder.records.rglob("events.jsonl"))
            print(
                f"study {studies}: {sum(kills.values())} kills so far ({dict(kills)}), "
                f"{resumes} resumed runs, {len(found)} faults",
                flush=True,
            )
    runs = studies * len(planned_runs(study))
    print(
        f"{sum(kills.values())} kills over {runs} runs in {time.monotonic() - began:.0f} s: "
        f"{len(found)} lost, doubled or different"
    )
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

"""One suite for all executors: after any accident the same jobs finish, no label is bought twice, and records equal undisturbed ones."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.events import FailureEvent
from protocol.folders import StudyFolder
from protocol.record import Record, essence, purchases, read
from protocol.spec import StrategySpec, Study
from runners.executors.base import Executor, Limits
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.jobs import Job, Result
from runners.study import adopt, planned, resolve
from runners.study import jobs as jobs_of

KILLING = {
    "exits": "os._exit(3)",
    "segfault": "os.kill(os.getpid(), signal.SIGSEGV)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "os.kill(os.getpid(), signal.SIGTERM)",
    "hangs": "time.sleep(600)",
    "leaks": "hog = bytearray(3 * 2**30); time.sleep(600)",
}
RAISING = {
    "raises": "raise RuntimeError('no idea')",
    "nan": "return top(view, torch.full((len(view.unlabelled),), float('nan')), n, rng)",
    "wrong": "return view.labelled[:n]",
}
EXECUTORS: dict[str, Callable[[Limits], Executor]] = {"inline": lambda _: Inline(), "local": lambda limits: Local(1, limits)}


def job_in(path: Path, toy_study: Study, own: Path) -> Job:
    spec = StrategySpec(name=f"{own}:mine", label="mine")
    study = resolve(toy_study.with_strategies((*toy_study.strategies, spec)), own.parent)
    folder = StudyFolder(path)
    adopt(folder, study, path)
    run = next(r for r in planned(study) if r.strategy.id == "mine")
    return jobs_of(folder, study, None, "cpu", 1, [run])[0]


def ended(executor: Executor, job: Job) -> Result:
    (result,) = [m for m in executor.execute([job]) if isinstance(m, Result)]
    return result


def record_of(job: Job) -> Record:
    return read(StudyFolder(job.study).run(job.protocol.name, job.strategy.id, job.seed).events)


def finishes_like_an_undisturbed_one(executor: Executor, job: Job, undisturbed: Job) -> None:
    assert ended(executor, job).state == "done"
    record = record_of(job)
    bought = [i for purchase in purchases(record) for i in purchase.indices]
    assert len(bought) == len(set(bought)) == job.protocol.budgets[-1]
    assert not record.breaks
    assert ended(Inline(), undisturbed).state == "done"
    assert essence(record) == essence(record_of(undisturbed))


@pytest.mark.parametrize(
    ("name", "accident"),
    [*(("inline", a) for a in RAISING), *(("local", a) for a in (*RAISING, *KILLING))],
)
def test_after_an_accident_of_the_strategy(name: str, accident: str, toy_study: Study, tmp_path: Path) -> None:
    own, mark = tmp_path / "own.py", tmp_path / "happened"
    own.write_text(
        "import os, signal, time\nimport torch\nfrom runners.strategies.base import top\n"
        f"def mine(view, n, rng):\n    if view.round == 1 and not os.path.exists('{mark}'):\n"
        f"        open('{mark}', 'w').close()\n        {(KILLING | RAISING)[accident]}\n"
        "    return rng.choice(view.unlabelled, n, replace=False)\n"
    )
    job = job_in(tmp_path / "s", toy_study, own)
    limits = Limits(run_seconds=6.0 if accident == "hangs" else None, memory_mib=2500.0 if accident == "leaks" else None, retries=0)
    assert ended(EXECUTORS[name](limits), job).state == "failed"
    assert len(record_of(job).of(FailureEvent)) == 1
    mark.touch()
    finishes_like_an_undisturbed_one(EXECUTORS[name](Limits()), job, job_in(tmp_path / "t", toy_study, own))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own at tmp_path/disk; call it with mount options to make or change it."""
    disk, mounted = tmp_path / "disk", False
    disk.mkdir()
    mount = shutil.which("mount")

    def mounts(options: str) -> Path:
        nonlocal mounted
        words = [mount or "mount", "-t", "tmpfs", "-o", ("remount," if mounted else "") + options, "tmpfs", str(disk)]
        if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small tmpfs is not permitted here")
        mounted = True
        return disk

    yield mounts
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_after_a_disk_that_took_nothing_more(
    name: str, fault: str, small_disk: Callable[[str], Path], toy_study: Study, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("def mine(view, n, rng):\n    return view.unlabelled[-n:]\n")
    disk = small_disk("size=256k")
    job = job_in(disk / "s", toy_study, own)
    if fault == "full":
        with pytest.raises(OSError, match="No space left"):
            (disk / "filler").write_bytes(bytes(2**20))
    else:
        small_disk("ro,size=256k")
    result = ended(EXECUTORS[name](Limits()), job)
    assert (result.state, result.cause) == ("failed", "disk")
    assert "found:" in result.message
    small_disk("rw,size=64m")
    finishes_like_an_undisturbed_one(EXECUTORS[name](Limits()), job, job_in(tmp_path / "t", toy_study, own))

"""Conformance tests of all executors: a study in which one strategy meets an accident once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from protocol.record.chain import Record, essence, purchases, read
from protocol.record.layout import StudyFolder
from protocol.spec.study import StrategySpec, Study
from runners.executors.base import Executor, Limits
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.executors.ray import use_driver_environment
from runners.executors.remote import Remote
from runners.progress.job import Job, Result
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, resolve
from runners.progress.status import jobs as jobs_of

MINE = '''
import os, signal, time
from pathlib import Path
import psutil, torch
from runners.strategies.base import top

# the study keeps a copy of this file: this is the folder that the study's lies in
HERE = Path(__file__).resolve().parents[2]


def mine(view, n, rng):
    """At random; in the second round whatever HERE/accident says, once, and then no further while HERE/hold exists."""
    chosen = rng.choice(view.unlabelled, n, replace=False)
    if view.round == 1:
        if (HERE / "accident").exists():
            code = (HERE / "accident").read_text()
            (HERE / "accident").unlink()
            scope = {"view": view, "n": n, "rng": rng}
            exec(code, globals() | scope, scope)
            chosen = scope.get("chosen", chosen)
        (HERE / "inside").write_text(str(os.getpid()))
        while (HERE / "hold").exists():
            time.sleep(0.02)
    return chosen
'''

DYING = {
    "exits": "os._exit(3)",
    "segfault": "os.kill(os.getpid(), signal.SIGSEGV)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "os.kill(os.getpid(), signal.SIGTERM)",
}
OVERDOING = {"hangs": "time.sleep(600)", "leaks": "hog = bytearray(3 * 2**30); time.sleep(600)"}
RAISING = {
    "raises": "raise RuntimeError('no idea')",
    "nan": "chosen = top(view, torch.full((len(view.unlabelled),), float('nan')), n, rng)",
    "wrong": "chosen = view.labelled[:n]",
}
ACCIDENTS = RAISING | DYING | OVERDOING

QUIETLY = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Schedulers leave processes of their own to the system."""
ALL = ["inline", "local", *(pytest.param(name, marks=(pytest.mark.slow, QUIETLY)) for name in ("ray", "slurm"))]
ALL_SLOWLY = [pytest.param(name, marks=(pytest.mark.slow, QUIETLY)) for name in ("inline", "local", "ray", "slurm")]


def _ray(limits: Limits, desk: Path) -> Executor:
    pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
    from runners.executors.ray import RayBackend

    return Remote(RayBackend(1, 2), limits)


def _slurm(limits: Limits, desk: Path) -> Executor:
    """Build the SLURM executor over submitit's local executor. For SLURM itself see tests/cluster/."""
    pytest.importorskip("submitit", reason="the extra slurm is not installed: uv sync --extra slurm")
    from runners.executors.slurm import SlurmBackend

    return Remote(SlurmBackend(desk, 1, 2, cluster="local", parameters={"timeout_min": 5}), limits)


def start_ray_once(name: str) -> None:
    """Start Ray once, so that executors join it instead of each starting their own."""
    if name == "ray":
        use_driver_environment()
        ray = pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
        if not ray.is_initialized():
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def end_ray() -> None:
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


EXECUTORS: dict[str, Callable[[Limits, Path], Executor]] = {
    "inline": lambda *_: Inline(),
    "local": lambda limits, _: Local(1, limits),
    "ray": _ray,
    "slurm": _slurm,
}


def with_mine(study: Study, place: Path) -> Study:
    """Return the study with one more strategy, whose source is `place`/own.py."""
    own = place / "own.py"
    own.write_text(MINE)
    return resolve(study.with_strategies((*study.strategies, StrategySpec(name=f"{own}:mine", label="mine"))), place)


def jobs_in(path: Path, study: Study) -> list[Job]:
    """Return one job of the strategy `mine` and one of random, in a study folder of their own."""
    folder = StudyFolder(path)
    adopt(folder, study, path)
    runs = [next(r for r in planned_runs(study) if r.strategy.id == name) for name in ("mine", "random")]
    return jobs_of(folder, study, None, "cpu", 1, runs)


def ended(executor: Executor, work: Sequence[Job]) -> list[Result]:
    """Return one result per job, in the order of the jobs."""
    results = {m.id: m for m in executor.execute(work) if isinstance(m, Result)}
    return [results[job.id] for job in work]


def record_of(job: Job) -> Record:
    return read(StudyFolder(job.study).run(job.run).events)


def assert_whole(record: Record, labels: int) -> None:
    """Assert that the record is sealed and unbroken, and that every label was bought once."""
    bought = [i for purchase in purchases(record) for i in purchase.indices]
    assert record.sealed
    assert not record.breaks
    assert len(bought) == len(set(bought)) == labels


def finishes_undisturbed(executor: Executor, work: Sequence[Job], study: Study, elsewhere: Path) -> None:
    """Assert that the same jobs now finish, with records equal to undisturbed ones."""
    assert [r.state for r in ended(executor, work)] == ["done"] * len(work)
    equal_undisturbed(work, study, elsewhere)


def equal_undisturbed(work: Sequence[Job], study: Study, elsewhere: Path) -> None:
    """Assert that the jobs' records are whole and equal to undisturbed ones."""
    reference = jobs_in(elsewhere / "s", study)
    assert {r.state for r in ended(Inline(), reference)} == {"done"}
    for job, alone in zip(work, reference, strict=True):
        assert_whole(record_of(job), job.protocol.budgets[-1])
        assert essence(record_of(job)) == essence(record_of(alone))
    shutil.rmtree(elsewhere)

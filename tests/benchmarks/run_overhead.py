"""Overhead of a run in its own process, and as a Ray task, compared with the same runs in one process.

    OMP_NUM_THREADS=1 uv run --extra ray python tests/benchmarks/run_overhead.py [--runs 8] [--slots 1 2]

All make the same records in the same script. Ray has two nodes on this machine, with one processor each, and is left
out where it is not installed. Aim: under 1 s more per run. Each executor has made two runs before, so that what is
loaded once per process is not counted: see run_start.py for that. OMP_NUM_THREADS caps inline as the executors cap
their runs. Processor seconds hardly change on a busy machine, wall seconds do.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from protocol.record.layout import StudyFolder
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import load_preset
from runners.executors.base import Executor
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.executors.ray import RayBackend, use_driver_environment
from runners.executors.remote import Remote
from runners.machine.fork_server import warm_up
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, count_states, jobs, status


@dataclass(frozen=True)
class Spent:
    """Wall and processor seconds of this process and its descendants for a number of runs."""

    wall: float
    cpu: float
    runs: int


def processor_seconds() -> float:
    """Return the processor seconds of this process, its living descendants, and their ended children."""
    total, me = 0.0, psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def spent(executor: Executor, study: Study, path: Path) -> Spent:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    work = jobs(folder, study, None, "cpu", 1, planned_runs(study))
    wall, cpu = time.perf_counter(), processor_seconds()
    for _ in executor.execute(work):
        pass
    took = Spent(time.perf_counter() - wall, processor_seconds() - cpu, len(work))
    if count_states(status(folder, study))["done"] != len(work):
        raise SystemExit("a run failed")
    return took


@contextlib.contextmanager
def two_nodes() -> Iterator[str]:
    """Yield the address of a Ray cluster whose two nodes have one processor each; the head takes no runs."""
    use_driver_environment()
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    spec = (StrategySpec(name="random"),)
    study = Study(
        name="overhead", protocols=(load_preset("digits-plain"),), strategies=spec, seeds=tuple(range(options.runs))
    )
    two = study.model_copy(update={"seeds": (0, 1)})
    warm_up()
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        spent(Inline(), two, here / "warm-inline")
        inline = spent(Inline(), study, here / "inline")

        def say(name: str, took: Spent, slots: int) -> None:
            wall = (took.wall * min(slots, took.runs) - inline.wall) / took.runs
            more = (
                f"{wall:+.2f} s of a slot, {(took.cpu - inline.cpu) / took.runs:+.2f} s of processor a run"
                if took is not inline
                else ""
            )
            print(
                f"{name:20}{3600 * took.runs / took.wall:6.0f} runs an hour, "
                f"{took.cpu / took.runs:.2f} s of processor a run  {more}",
                flush=True,
            )

        say("inline", inline, 1)
        spent(Local(2), two, here / "warm-local")
        for slots in options.slots:
            say(f"local, {slots} slots", spent(Local(slots), study, here / f"local-{slots}"), slots)
        if importlib.util.find_spec("ray") is None:
            print("ray: not installed (uv sync --extra ray)")
            return
        with two_nodes() as address:
            first = spent(Remote(RayBackend(1, None, address)), two, here / "warm-ray")
            say("ray, first 2 runs", first, 2)
            say("ray, 2 nodes", spent(Remote(RayBackend(1, None, address)), study, here / "ray"), 2)


if __name__ == "__main__":
    main()

"""What a process of its own costs a strategy: the same choice as an own file and built in, in one run.

    OMP_NUM_THREADS=1 uv run python tests/benchmarks/confinement.py [--pairs 5]

Runs of digits-plain alternate between margin sampling as it is built in and as a user's file (`runners/confine/`).
Printed are the median ratio of the wall seconds of a run, and the median milliseconds that one round adds.
Then the same for rounds on a pool of 20,000 embeddings of width 512, by calls of `select` alone. Aims: below 5 % of a
digits run, below 20 ms per round. On a busy machine wall times grow; ratios less so.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from protocol.draws.splits import Indices
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import load_preset
from runners.confine.opening import opened_strategy
from runners.executors.local import Local
from runners.guard.user_code import Source
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, resolve
from runners.strategies import View, top
from runners.strategies.base import Strategy

OWN = """
from runners.strategies import top
from runners.strategies.uncertainty import Margin


class Own(Margin):
    pass


class OnEmbeddings:
    needs = ("embeddings",)

    def select(self, view, n, rng):
        return top(view, view.embeddings[:, 0], n, rng)
"""


def made(job: Job) -> tuple[float, float]:
    """Make a run in a new process; return its wall seconds, and the query seconds of all rounds."""
    began = time.perf_counter()
    for _ in Local(1).execute([job]):
        pass
    wall = time.perf_counter() - began
    rounds = read(StudyFolder(job.study).run(job.run).events).rounds
    return wall, sum(e.cost["query_s"] for e in rounds)


def in_runs(pairs: int, folder: Path) -> None:
    protocol = load_preset("digits-plain")
    (folder / "own.py").write_text(OWN)
    strategies = (StrategySpec(name="random"), StrategySpec(name="margin"), StrategySpec(name="own.py:Own"))
    study = resolve(
        Study(name="cost", protocols=(protocol,), strategies=strategies, seeds=tuple(range(pairs + 1))), folder
    )
    at = StudyFolder(folder / "study")
    adopt(at, study, folder)
    work = {(j.strategy.name, j.seed): j for j in jobs(at, study, None, "cpu", 1, planned_runs(study))}
    ratios, added = [], []
    for seed in range(pairs + 1):
        built_in, own = made(work["margin", seed]), made(work["own.py:Own", seed])
        if seed == 0:
            continue  # what is loaded once
        ratios.append(own[0] / built_in[0])
        added.append(1000 * (own[1] - built_in[1]) / (len(protocol.budgets) - 1))
    wall = statistics.median(ratios)
    print(f"digits-plain, {pairs} pairs: {wall:.3f} of the wall time of a built-in run")
    print(f"  {statistics.median(added):.1f} ms more per round (queries alone)")


def on_embeddings(pairs: int, folder: Path, u: int = 20_000, d: int = 512) -> None:
    protocol: Protocol = load_preset("digits-plain")
    rng = np.random.default_rng(0)
    features = {"embeddings": torch.from_numpy(rng.normal(size=(u, d)).astype(np.float32))}
    view = View(np.arange(u), np.arange(u, u + 100), np.zeros(100, np.int64), 10, 0, features)  # type: ignore[arg-type]
    source = Source(str(folder / "own.py"), OWN.encode())
    spec = StrategySpec(name="own.py:OnEmbeddings")
    with opened_strategy(spec, source, protocol, 0, u + 100, denied=()) as own:
        inside = _InProcess()
        times: dict[str, list[float]] = {"own": [], "inside": []}
        for _ in range(4 * pairs):
            for name, strategy in (("inside", inside), ("own", own)):
                began = time.perf_counter()
                strategy.select(view, 100, np.random.default_rng(1))
                times[name].append(1000 * (time.perf_counter() - began))
    median = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"{u:,} x {d} embeddings ({u * d * 4 / 2**20:.0f} MiB): {median['own']:.1f} ms per round in its process, ",
        end="",
    )
    print(f"{median['inside']:.1f} ms in this one")


class _InProcess(Strategy):
    """The same choice in this process."""

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        return top(view, view.embeddings[:, 0], n, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        in_runs(pairs, Path(folder))
        on_embeddings(pairs, Path(folder))


if __name__ == "__main__":
    main()

"""Resampling compared with rliable, arch and scikit-posthocs, in the same process with equally many resamples.

    OMP_NUM_THREADS=1 uv run --with rliable==1.2.0 --with "pandas<3" --with scikit-posthocs \\
        python tests/benchmarks/resampling.py

rliable needs arch below 8, which breaks with pandas 3: hence an environment of its own instead of a dependency group.
Times are CPU seconds of the process, so that other work on the machine does not count; ratios are what matters.
The table is 20 strategies x 10 data sets x 50 seeds x 10 budgets; peers get one strategy or pair of it, and so do we
in the ratio. `--full` alone times the whole comparison of these 10,000 curves, with no peer.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy

from analysis.across.collect import across
from analysis.loading.table import load_table
from analysis.statistics.aggregates import iqm, mean_of, probability_of_improvement
from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import Resampler
from analysis.statistics.ranks import nemenyi
from analysis.verdict.decide import compare

STRATEGIES, DATASETS, SEEDS, BUDGETS = 20, 10, 50, 10


def table() -> Floats:
    """Return rising accuracies with small gains and seed effects, shape (strategies, data sets, seeds, budgets)."""
    rng = np.random.default_rng(0)
    rise = 0.9 - 0.5 * np.exp(-np.arange(1, BUDGETS + 1) / 3)
    shared = rng.normal(0, 0.01, (1, DATASETS, SEEDS, 1))
    gains = 0.002 * np.arange(STRATEGIES)[:, None, None, None]
    level = -0.02 * np.arange(DATASETS)[None, :, None, None]
    return np.asarray(rise + shared + gains + level + rng.normal(0, 0.01, (STRATEGIES, DATASETS, SEEDS, BUDGETS)))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    answer = work()
    return answer, time.process_time() - start


def line(what: str, peer: str, theirs: float, ours: float, same: str) -> None:
    print(f"| {what} | {peer} | {theirs:.3f} | {ours:.4f} | {theirs / ours:.0f} | {same} |", flush=True)


def off(ours: Any, value: Floats, low: Floats, high: Floats) -> str:
    """Return the differences of two answers: of the estimate, and of the bounds in interval widths."""
    width = np.abs(high - low).max()
    bounds = max(np.abs(ours.low - low).max(), np.abs(ours.high - high).max()) / width
    return f"estimate off by {np.abs(ours.value - value).max():.0e}, bounds by {bounds:.1%} of the width"


def beside_rliable(scores: Floats, resamples: int, pairs: int) -> None:
    from rliable import library, metrics

    runs = scores[3].transpose(1, 0, 2)  # (runs, tasks, budgets)
    (value, bounds), theirs = timed(
        lambda: library.get_interval_estimates(
            {"s": runs}, lambda x: np.array([metrics.aggregate_iqm(x[..., t]) for t in range(BUDGETS)]), reps=resamples
        )
    )
    mine, ours = timed(lambda: iqm(list(scores[3]), Resampler(np.random.default_rng(1), resamples)))
    line(
        f"IQM, 1 strategy, 10 budgets, {resamples} resamples",
        "rliable",
        theirs,
        ours,
        off(mine, value["s"], *bounds["s"]),
    )
    _, every = timed(lambda: iqm(list(np.concatenate(scores, axis=-1)), Resampler(np.random.default_rng(1), resamples)))
    print(f"| IQM, 20 strategies, 10 budgets, {resamples} resamples | | | {every:.4f} | | |")

    x, y = scores[3].mean(axis=-1), scores[0].mean(axis=-1)
    (value, bounds), theirs = timed(
        lambda: library.get_interval_estimates({"p": (x.T, y.T)}, metrics.probability_of_improvement, reps=pairs)
    )
    mine, ours = timed(
        lambda: probability_of_improvement(x, y, Resampler(np.random.default_rng(1), pairs), paired=False)
    )
    same = (
        f"estimate off by {abs(float(mine.value) - float(value['p'].item())):.0e}; "
        "ours resamples the seeds of both sides together, so the intervals differ"
    )
    line(f"probability of improvement, 1 pair, {pairs} resamples", "rliable", theirs, ours, same)


def beside_arch(scores: Floats, resamples: int) -> None:
    from arch.bootstrap import IIDBootstrap

    runs = scores[3, 0]
    (low, high), theirs = timed(
        lambda: IIDBootstrap(runs, seed=np.random.default_rng(1)).conf_int(
            lambda x: x.mean(axis=0), resamples, method="percentile"
        )
    )
    mine, ours = timed(lambda: Resampler(np.random.default_rng(1), resamples).estimate(mean_of([runs]), [SEEDS]))
    line(
        f"mean curve, 50 seeds, 10 budgets, {resamples} resamples",
        "arch",
        theirs,
        ours,
        off(mine, runs.mean(axis=0), low, high),
    )


def beside_posthocs(scores: Floats) -> None:
    import scikit_posthocs

    means = scores.mean(axis=(2, 3)).T
    other, theirs = timed(lambda: scikit_posthocs.posthoc_nemenyi_friedman(means))
    mine, ours = timed(lambda: nemenyi(means))
    apart = np.abs(mine - other.to_numpy()).max()
    line("Nemenyi, 20 strategies, 10 data sets", "scikit-posthocs", theirs, ours, f"p off by {apart:.0e}")


def full(scores: Floats) -> None:
    """Read, judge and summarise a table over data sets, as `beatrandom compare` does."""
    names = ["random", *(f"s{k}" for k in range(1, STRATEGIES))]
    index = pd.MultiIndex.from_product(
        [names, [f"d{d}" for d in range(DATASETS)], range(SEEDS), 100 * np.arange(1, BUDGETS + 1)],
        names=["strategy", "dataset", "seed", "budget"],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curves.csv"
        pd.Series(scores.ravel(), index=index, name="value").reset_index().to_csv(path, index=False)
        start = time.perf_counter()
        curves, read = timed(lambda: load_table(path))
        _, judged = timed(lambda: compare(curves))
        _, gathered = timed(lambda: across(curves, np.random.default_rng(0)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"10,000 curves: read {read:.1f}, verdicts {judged:.1f}, across data sets {gathered:.1f}; "
        f"{read + judged + gathered:.1f} CPU seconds"
    )
    print(f"({time.perf_counter() - start:.1f} s by the clock), peak memory {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument(
        "--pairs", type=int, default=2_000, help="resamples of the probability of improvement, slow in the peer"
    )
    options = parser.parse_args()
    scores = table()
    print(
        f"Python {sys.version.split()[0]}, numpy {np.__version__}, scipy {scipy.__version__}, pandas {pd.__version__}"
    )
    if options.full:
        full(scores)
        return
    print("| what | library | library, s | ours, s | ratio | agreement |\n|---|---|--:|--:|--:|---|")
    beside_rliable(scores, options.resamples, options.pairs)
    beside_arch(scores, options.resamples)
    beside_posthocs(scores)


if __name__ == "__main__":
    main()

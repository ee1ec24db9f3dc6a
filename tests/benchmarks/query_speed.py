"""Speed of query strategies compared with other implementations in the same process: ratios, memory and agreement.

    uv sync --group peers
    uv run python tests/benchmarks/query_speed.py [--only core-set badge …] [--pool 50000] [--threads 2]

Synthetic embeddings: ten classes, decaying spectrum, ReLU. Slow peers make few picks; their time per pick is what is
compared. Memory is the largest growth of the process while a call runs (arguments excluded). Times depend on the
machine and on what else it does; ratios less.
"""

from __future__ import annotations

import argparse
import importlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from runners.strategies.badge import d2_sampling
from runners.strategies.batchbald import batch_bald
from runners.strategies.core_set import k_center_greedy
from runners.strategies.probcover import ProbCover
from runners.strategies.robust_core_set import RobustCoreSet
from runners.strategies.support.k_means import k_means
from runners.strategies.typiclust import typical
from runners.strategies.view import GradientFactors, View


def measured(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of a call, its seconds, and the growth of the process in MiB."""
    process, stop = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    peak = [before]

    def watch() -> None:
        while not stop.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        result = call()
    finally:
        seconds = time.perf_counter() - start
        stop.set()
        watcher.join()
    return result, seconds, (max(peak[0], process.memory_info().rss) - before) / 2**20


def embeddings(count: int, width: int) -> Tensor:
    g = torch.Generator().manual_seed(0)
    scale = (1 + torch.arange(width)) ** -0.5
    middles = 3 * torch.randn(10, width, generator=g) * scale
    mixing = torch.randn(width, width, generator=g) / width**0.5
    out = torch.empty(count, width)
    for part in out.split(65536):
        classes = torch.randint(10, (len(part),), generator=g)
        part.copy_(((middles[classes] + torch.randn(len(part), width, generator=g) * scale) @ mixing).relu_())
    return out


def row(name: str, picks: int, seconds: float, memory: float, note: str = "") -> None:
    print(f"| {name} | {picks} | {seconds:.2f} | {1000 * seconds / picks:.2f} | {memory:.0f} | {note} |", flush=True)


def scan(points: Tensor, centres: Tensor, n: int) -> list[int]:
    """Select by k-center greedy with one BLAS matrix-vector product per pick and cached norms."""
    squares = points.square().sum(1)
    nearest = torch.full((len(points),), torch.inf)
    for block in centres.split(2048):
        for part, rows in zip(nearest.split(8192), points.split(8192), strict=True):
            part.copy_(
                torch.minimum(
                    part, (rows.square().sum(1)[:, None] + block.square().sum(1) - 2 * rows @ block.T).amin(1)
                )
            )
    chosen = []
    for _ in range(n):
        pick = int(nearest.argmax())
        chosen.append(pick)
        nearest = torch.minimum(nearest, squares + squares[pick] - 2 * (points @ points[pick]))
        nearest[pick] = -1
    return chosen


def core_set(points: Tensor, centres: Tensor) -> None:
    n, few = 1000, 30
    ours, seconds, memory = measured(lambda: k_center_greedy(points, centres, n, np.random.default_rng(0)))
    row("core-set, ours", n, seconds, memory)
    theirs, scanned, memory = measured(lambda: scan(points, centres, n))
    row(
        "core-set, BLAS scan",
        n,
        scanned,
        memory,
        f"{scanned / seconds:.1f}× ours; {np.mean(ours == np.array(theirs)):.1%} the same picks",
    )
    pool = importlib.import_module("skactiveml.pool")
    x = torch.cat([points, centres]).numpy()
    y = np.where(np.arange(len(x)) < len(points), np.nan, 0.0)
    pool.CoreSet(random_state=0).query(
        x[-1100:], np.where(np.arange(1100) < 100, np.nan, 0.0), batch_size=2
    )  # loads what it needs
    _, first, _ = measured(lambda: pool.CoreSet(random_state=0).query(x, y, batch_size=1))
    picks, whole, memory = measured(lambda: pool.CoreSet(random_state=0).query(x, y, batch_size=few))
    a_pick = (whole - first) / (few - 1)
    same = np.mean(ours[:few] == picks)
    ratio = (first + a_pick * (n - 1)) / seconds
    row(
        "core-set, scikit-activeml",
        few,
        whole,
        memory,
        f"{ratio:.0f}× ours at {n} picks ({1000 * a_pick:.0f} ms a pick); {same:.0%} the same",
    )


def robust(points: Tensor, centres: Tensor) -> None:
    _, seconds, memory = measured(
        lambda: RobustCoreSet().select(view_of(points, centres), 1000, np.random.default_rng(0))
    )
    row("robust core-set, ours", 1000, seconds, memory, "1,500 representatives")


def badge(points: Tensor, centres: Tensor) -> None:
    distance = importlib.import_module("skactiveml.pool._badge")._d_2
    n, few = 1000, 4

    def distances(vectors: np.ndarray, count: int) -> list[Any]:
        return [distance(vectors, [i], np.full(len(vectors), np.inf)) for i in range(count)]

    for k in (10, 200):
        p = (points[:, :k] * 2).softmax(1)
        factors = GradientFactors(p - torch.nn.functional.one_hot(p.argmax(1), k), points)
        _, seconds, memory = measured(partial(d2_sampling, factors, n, np.random.default_rng(0)))
        row(f"BADGE, {k} classes, ours", n, seconds, memory)
        if k > 10:
            continue
        dense = (factors.residuals[:, :, None] * points[:, None, :]).flatten(1).numpy()
        _, theirs, memory = measured(partial(distances, dense, few))
        ratio = theirs / few / (seconds / n)
        row("BADGE, 10 classes, scikit-activeml's weights alone", few, theirs, memory, f"{ratio:.0f}× ours a pick")


def batchbald(points: Tensor, centres: Tensor) -> None:
    redux = importlib.import_module("batchbald_redux.batchbald")
    g = torch.Generator().manual_seed(1)
    heads = torch.randn(20, points.shape[1], 10, generator=g) / 8
    p = torch.stack([(points[:2000] @ head).softmax(1) for head in heads], 1).double()
    for n, configurations in ((4, 10_000), (10, 10_000)):
        ours, seconds, memory = measured(partial(batch_bald, p, n, configurations, np.random.default_rng(0)))
        row(f"BatchBALD, 2,000 images, batch of {n}, ours", n, seconds, memory)
        theirs, slow, memory = measured(
            partial(redux.get_batchbald_batch, p.log(), n, configurations, dtype=torch.double)
        )
        same = np.mean(ours[:4] == np.array(theirs.indices[:4]))
        row(
            f"BatchBALD, batch of {n}, batchbald_redux",
            n,
            slow,
            memory,
            f"{slow / seconds:.1f}× ours; {same:.0%} of the exact picks the same",
        )


def view_of(points: Tensor, centres: Tensor) -> View:
    features = {"embeddings": points, "labelled_embeddings": centres}
    u, owned = len(points), len(centres)
    return View(np.arange(u), np.arange(u, u + owned), np.zeros(owned, np.int64), 10, 0, features)  # type: ignore[arg-type]  # keys are needs


def low_budget(points: Tensor, centres: Tensor) -> None:
    every = torch.cat([points, centres])
    rng = np.random.default_rng(0)

    def typiclust() -> Any:
        clusters = k_means(every, 500, rng)
        return typical(points, clusters[: len(points)], clusters[len(points) :], 50)

    _, seconds, memory = measured(typiclust)
    row("TypiClust, 500 clusters, ours", 50, seconds, memory)
    pool = importlib.import_module("skactiveml.pool")
    x, y = every.numpy(), np.where(np.arange(len(every)) < len(points), np.nan, 0.0)
    pool.TypiClust(random_state=0).query(x[-1050:], y[-1050:], batch_size=2)  # loads what it needs
    _, slow, memory = measured(lambda: pool.TypiClust(random_state=0).query(x, y, batch_size=50))
    row(
        "TypiClust, 1,050 clusters, scikit-activeml",
        50,
        slow,
        memory,
        f"{slow / seconds:.1f}× ours; clusters of its own",
    )
    view = view_of(points, centres)
    _, seconds, memory = measured(lambda: ProbCover().select(view, 50, rng))
    row("ProbCover, ours", 50, seconds, memory)


def million(points: Tensor, centres: Tensor) -> None:
    del points, centres
    every = embeddings(1_001_000, 256)
    before = None
    for count in (250_000, 500_000, 1_000_000):
        pool, owned = every[:count], every[-1000:]
        _, seconds, memory = measured(partial(k_center_greedy, pool, owned, 1000, np.random.default_rng(0)))
        note = f"{seconds / before:.2f}× the time of half as many; " if before else ""
        resident = psutil.Process().memory_info().rss / 2**20
        row(f"core-set, {count:,} × 256, ours", 1000, seconds, memory, f"{note}{resident:.0f} MiB resident in all")
        before = seconds


CASES: dict[str, Callable[[Tensor, Tensor], None]] = {
    "core-set": core_set,
    "robust": robust,
    "badge": badge,
    "batch-bald": batchbald,
    "low-budget": low_budget,
    "million": million,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--pool", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    every = embeddings(options.pool + 1000, 512)
    print(f"Pool {options.pool:,} × 512, 1,000 labelled, {options.threads} threads, torch {torch.__version__}\n")
    print("| what | picks | s | ms a pick | MiB more | beside ours |\n|---|---:|---:|---:|---:|---|")
    for name in options.only:
        CASES[name](every[: options.pool], every[options.pool :])


if __name__ == "__main__":
    main()

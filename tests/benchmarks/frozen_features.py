"""Runs per hour on frozen features: linear probes through the command, compared with a plain scikit-learn script.

    uv run python tests/benchmarks/frozen_features.py [--runs 200] [--slots 2] [--features 384] [--recipe solved]

Ten rounds of 50 to 500 labels, half of the runs with random and half with margin; 20,000 training and 10,000 test
images in ten clusters stand for an encoder's embeddings. Ours: `beatrandom run`, its start included, a head solved to a
gradient of 1e-6 (`--recipe steps`: 100 steps of AdamW) per round, everything recorded. The script: the same rounds with
scikit-learn's LogisticRegression at its defaults, which stops at a gradient of 1e-4, accuracy on the test set, margins
over the pool, in as many processes at once, its start included, nothing recorded. Processor seconds hardly change on a
busy machine, wall seconds do; both ratios are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STUDY = """
name = "frozen"
seeds = {seeds}
[[protocols]]
name = "probe"
data = {{ name = "features", path = "features.npz" }}
budgets = [50, 100, 150, 200, 250, 300, 350, 400, 450, 500]
model = {{ name = "linear" }}
regime = {{ {regime} }}
[[strategies]]
name = "random"
[[strategies]]
name = "margin"
"""

REGIMES = {
    "solved": 'name = "solved", solver = { l2 = 1.0 }',
    "steps": 'name = "probe", steps = 100, batch_size = 64, optimizer = { name = "adamw", lr = 0.01 }',
}

SCRIPT = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
with np.load(sys.argv[1]) as file:
    x, y, test, truth = file["features"], file["labels"], file["test_features"], file["test_labels"]
x, test = (x - x.mean(0)) / x.std(0), (test - x.mean(0)) / x.std(0)
for run in map(int, sys.argv[2:]):
    rng = np.random.default_rng(run)
    owned = rng.choice(len(x), 50, replace=False)
    for k in range(10):
        model = LogisticRegression(max_iter=200).fit(x[owned], y[owned])
        accuracy = (model.predict(test) == truth).mean()
        rest = np.setdiff1d(np.arange(len(x)), owned)
        if run % 2:
            top = np.sort(model.predict_proba(x[rest]), 1)
            chosen = rest[np.argsort(top[:, -1] - top[:, -2])[:50]]
        else:
            chosen = rng.choice(rest, 50, replace=False)
        owned = np.concatenate([owned, chosen])
"""


def features(path: Path, width: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 30_000)
    values = (rng.normal(size=(10, width))[labels] * 0.25 + rng.normal(size=(30_000, width))).astype(np.float32)
    np.savez(
        path,
        features=values[:20_000],
        labels=labels[:20_000],
        test_features=values[20_000:],
        test_labels=labels[20_000:],
    )


def spent(commands: list[list[str]], folder: Path) -> tuple[float, float]:
    """Return the wall and processor seconds of these commands, run in parallel."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment |= {"BEATRANDOM_DATA": str(folder), "PYTHONWARNINGS": "ignore"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    started = [
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) for command in commands
    ]
    if any(process.wait() for process in started):
        raise SystemExit("a run failed")
    wall = time.perf_counter() - began
    with contextlib.suppress(ChildProcessError):
        while True:  # what they left behind: the process that forked the runs
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--features", type=int, default=384)
    parser.add_argument("--recipe", choices=REGIMES, default="solved")
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans are ours, and so are their processor seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features(folder / "features.npz", asked.features)
        (folder / "study.toml").write_text(STUDY.format(seeds=asked.runs // 2, regime=REGIMES[asked.recipe]))
        ours = [
            sys.executable,
            "-c",
            "from runners.cli import main; main()",
            "run",
            "study.toml",
            "--jobs",
            str(asked.slots),
        ]
        theirs = [
            [sys.executable, "-c", SCRIPT, "features.npz", *map(str, range(slot, asked.runs, asked.slots))]
            for slot in range(asked.slots)
        ]
        rows = {"beatrandom run": spent([ours], folder), "scikit-learn script": spent(theirs, folder)}
    for what, (wall, cpu) in rows.items():
        hour = 3600 * asked.runs / wall
        print(
            f"{what:20s} {wall:6.1f} s wall, {cpu:6.1f} processor s, {hour:6.0f} runs an hour, "
            f"{cpu / asked.runs:.2f} processor s a run"
        )
    (a, b), (c, d) = rows.values()
    print(
        f"ours / script: {a / c:.2f} wall, {b / d:.2f} processor; "
        f"{os.getloadavg()[0]:.1f} processes at work on {os.cpu_count()} processors"
    )


if __name__ == "__main__":
    main()

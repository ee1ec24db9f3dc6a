"""Processor time and peak memory of `beatrandom compare --json` on large tables, relative to a plain script.

    uv run python tests/benchmarks/compare_speed.py [--rows 68000 680000 2000000] [--pages 680000]

The script is the least that anyone would compute: read the table with pandas, take the area under each curve, pair by
seed, and test each strategy with scipy's Wilcoxon. Both run in a process of their own on the same table, which is made
here: 10 data sets, 14 strategies and random, 44 budgets, and as many seeds as the rows need. A first run of each on a
small table writes Python's bytecode, as any first use does. `--pages` also measures `figures` (SVG) and `report` on
tables of these sizes.
Aim: 680,000 rows under 10 s of processor, 2,000,000 rows under 1 GiB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

DATA_SETS, STRATEGIES, BUDGETS = 10, 15, 44
SCRIPT = """
import sys
import numpy as np, pandas as pd
from scipy import stats
t = pd.read_csv(sys.argv[1])
for _, part in t.groupby("dataset"):
    wide = part.pivot(index=["strategy", "seed"], columns="budget", values="value")
    area = pd.Series(np.trapezoid(wide, wide.columns, axis=1), wide.index).unstack("strategy")
    for name in area.columns.drop("random"):
        stats.wilcoxon(area[name] - area["random"])
"""
VERB = "import sys; sys.argv = ['beatrandom', *sys.argv[1:]]; from runners.cli import main; main()"
SMALL = 2_000


def make(path: Path, rows: int) -> int:
    """Write a table of about as many rows, and return how many they are."""
    rng = np.random.default_rng(0)
    seeds = max(2, round(rows / (DATA_SETS * STRATEGIES * BUDGETS)))
    budgets = np.arange(10, 10 + 5 * BUDGETS, 5)
    names = ["random", *(f"s{i}" for i in range(1, STRATEGIES))]
    index = pd.MultiIndex.from_product(
        [[f"d{i}" for i in range(DATA_SETS)], names, range(seeds), budgets],
        names=["dataset", "strategy", "seed", "budget"],
    )
    effect = rng.normal(0, 0.01, (DATA_SETS, STRATEGIES, 1, 1))
    effect[:, 0] = 0
    curve = 0.9 - 0.8 * np.exp(-budgets / 80) + effect + rng.normal(0, 0.02, (DATA_SETS, 1, seeds, 1))
    value = curve + rng.normal(0, 0.01, (DATA_SETS, STRATEGIES, seeds, BUDGETS))
    index.to_frame(index=False).assign(value=np.round(value.ravel(), 5)).to_csv(path, index=False)
    return value.size


def cost(code: str, folder: Path, *arguments: str) -> tuple[float, float]:
    """Run code in a process; return its processor time in seconds and its peak memory in MiB."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**own, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, cwd=folder, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"expected exit code 0, found status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[68_000, 680_000, 2_000_000])
    parser.add_argument("--pages", type=int, nargs="*", default=[], help="rows of tables for figures and report")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "table.csv"
        make(table, SMALL)
        cost(SCRIPT, folder, str(table)), cost(VERB, folder, "compare", str(table), "--json")
        for rows in options.rows:
            made = make(table, rows)
            script, small = cost(SCRIPT, folder, str(table))
            ours, peak = cost(VERB, folder, "compare", str(table), "--json")
            print(
                f"{made:,} rows: script {script:.1f} s, {small:.0f} MiB; compare --json {ours:.1f} s, {peak:.0f} MiB; "
                f"ratio {ours / script:.1f}",
                flush=True,
            )
        for rows in options.pages:
            made = make(table, rows)
            drawn, high = cost(VERB, folder, "figures", str(table), "--format", "svg", "--out", "figures")
            page, most = cost(VERB, folder, "report", str(table), "--out", "report.html")
            print(
                f"{made:,} rows: figures {drawn:.1f} s, {high:.0f} MiB; report {page:.1f} s, {most:.0f} MiB", flush=True
            )


if __name__ == "__main__":
    main()

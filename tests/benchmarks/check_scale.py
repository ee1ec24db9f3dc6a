"""Time and memory of a check of many runs with ten rounds each.

    uv run python tests/benchmarks/check_scale.py [--runs 10000]

Prints seconds, processor seconds, peak memory and processor milliseconds per run for growing studies; linear growth
shows as a constant column.
The aim: 10,000 runs x 10 rounds in under 60 s and 1 GiB. Each size is checked in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

ROUNDS = tuple(range(20, 120, 10))


def build(path: Path, runs: int) -> None:
    """Write a study of the strategies random, first, last and margin with as many seeds as needed."""
    import os

    from tests.support.study_builder import build_study, obedient_study, protocol_table

    os.fsync = lambda fd: None  # the disk is not what is measured
    protocol = protocol_table(budgets=list(ROUNDS), splits={"test_size": 40})
    strategies = [{"name": "random"}, *({"name": name, "tuning": 0} for name in ("first", "last", "margin"))]
    build_study(path, obedient_study(protocols=[protocol], strategies=strategies, seeds=list(range(runs // 4))))


def measure(path: Path) -> None:
    """Check the study, and print seconds and MiB as JSON."""
    from protocol.rules import check_study

    start, busy = time.perf_counter(), time.process_time()
    result = check_study(path)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": busy, "mib": peak, "answer": result.answer, "runs": result.sealed}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        measure(options.check)
        return
    print(f"{'runs':>6} {'seconds':>8} {'CPU s':>8} {'MiB':>6} {'CPU ms/run':>10}")
    for runs in (options.runs // 10, options.runs // 3, options.runs):
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder) / "study", runs)
            command = [sys.executable, __file__, "--check", str(Path(folder) / "study")]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{told['runs']:>6} {told['seconds']:>8.1f} {told['cpu']:>8.1f} {told['mib']:>6.0f} "
            f"{1000 * told['cpu'] / told['runs']:>10.2f}  {told['answer']}"
        )


if __name__ == "__main__":
    main()

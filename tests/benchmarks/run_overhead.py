"""What a run costs beyond its own work: per run in its own process, against the same runs in one process.

    uv run python tests/benchmarks/run_overhead.py [--runs 8] [--slots 1 2]

Both make the same records in the same script. Aim: under 1 s more per run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from protocol.folders import StudyFolder
from protocol.reading import preset
from protocol.spec import StrategySpec, Study
from runners.executors.base import Executor
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.executors.server import warm_up
from runners.study import adopt, counts, jobs, planned, status


def seconds(executor: Executor, study: Study, path: Path) -> float:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    work = jobs(folder, study, None, "cpu", 1, planned(study))
    start = time.perf_counter()
    for _ in executor.execute(work):
        pass
    took = time.perf_counter() - start
    if counts(status(folder, study))["done"] != len(work):
        raise SystemExit("a run failed")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    spec = (StrategySpec(name="random"),)
    study = Study(name="overhead", protocols=(preset("digits-plain"),), strategies=spec, seeds=tuple(range(options.runs)))
    warm_up()
    with tempfile.TemporaryDirectory() as scratch:
        seconds(Local(1), study.model_copy(update={"seeds": (0,)}), Path(scratch) / "warm")  # the fork server loads once
        seconds(Inline(), study.model_copy(update={"seeds": (0,)}), Path(scratch) / "warm-inline")
        inline = seconds(Inline(), study, Path(scratch) / "inline")
        print(f"inline: {inline / options.runs:.2f} s a run, {3600 * options.runs / inline:.0f} runs an hour")
        for slots in options.slots:
            took = seconds(Local(slots), study, Path(scratch) / f"local-{slots}")
            more = (took * min(slots, options.runs) - inline) / options.runs
            print(f"local, {slots} slots: {3600 * options.runs / took:.0f} runs an hour, {more:+.2f} s of a slot a run against inline")


if __name__ == "__main__":
    main()

"""Cost of evidence: ledger, hashing, fsync and sidecars as a share of a run's time.

    uv run python tests/benchmarks/record_overhead.py [--protocol digits-plain] [--runs 5]

The same process times every call that writes evidence and the whole run, so that the ratio holds on any machine.
Aim: under 2 %.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.record.chain import Writer
from protocol.record.layout import RunFolder, StudyFolder
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import load_preset
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.run import open_oracle
from runners.run.perform import perform

SPENT = [0.0]


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    def inner(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            SPENT[0] += time.perf_counter() - start

    return inner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", default="digits-plain")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data-root", type=Path)
    options = parser.parse_args()
    Writer.append = timed(Writer.append)  # type: ignore[method-assign]
    RunFolder.write_predictions = timed(RunFolder.write_predictions)  # type: ignore[method-assign]
    open_oracle.write_split = timed(open_oracle.write_split)
    study = Study(
        name="overhead",
        protocols=(load_preset(options.protocol),),
        strategies=(StrategySpec(name="random"),),
        seeds=tuple(range(options.runs + 1)),
    )
    with tempfile.TemporaryDirectory(dir=".") as folder:
        adopt(StudyFolder(Path(folder) / "study"), study, Path())
        shares = []
        for job in jobs(StudyFolder(Path(folder) / "study"), study, options.data_root, "cpu", 1, planned_runs(study)):
            SPENT[0], start = 0.0, time.perf_counter()
            result = perform(job)
            total = time.perf_counter() - start
            if result.state != "done":
                raise SystemExit(result.message)
            shares.append(SPENT[0] / total)
            print(f"{job.id}: {total:.2f} s, evidence {1000 * SPENT[0]:.1f} ms, {100 * shares[-1]:.2f} %")
    print(f"median of {options.runs} after one warm-up: {100 * statistics.median(shares[1:]):.2f} % of a run")


if __name__ == "__main__":
    main()

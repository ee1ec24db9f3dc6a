"""Time and memory of `status` on a large plan, compared with reading and validating every record.

    uv run python tests/benchmarks/status_speed.py [--runs 10000]

Records are copies of one made by a real run, half of them sealed, the rest cut after some line. Aim: 10,000 runs in
under 2 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import load_preset
from runners.executors.inline import Inline
from runners.progress.job import Result
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, count_states, jobs, status
from runners.verbs.running.status import disk_bytes

VALIDATED = 300


def peak_mib(call: Callable[[], object]) -> float:
    """Return the peak of Python memory during the call, in MiB above the level before it."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    options = parser.parse_args()
    names = ("random", "margin", "entropy", "core-set", "least-confidence")
    study = Study(
        name="large",
        protocols=(load_preset("digits-plain"),),
        strategies=tuple(StrategySpec(name=name) for name in names),
        seeds=tuple(range(options.runs // len(names))),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = StudyFolder(Path(scratch) / "study")
        adopt(folder, study, Path())
        runs = planned_runs(study)
        (result,) = [
            m for m in Inline().execute(jobs(folder, study, None, "cpu", 1, runs[:1])) if isinstance(m, Result)
        ]
        if result.state != "done":
            raise SystemExit(result.message)
        whole = folder.run(RunId("digits-plain", "random", 0)).events.read_bytes().splitlines(keepends=True)
        paths = [folder.run(r.id).events for r in runs]
        for number, path in enumerate(paths[1:]):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"".join(whole if number % 2 else whole[: 1 + number % len(whole)]))
        start, cpu = time.perf_counter(), time.process_time()
        statuses = status(folder, study)
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        grown = peak_mib(lambda: status(folder, study))
        driving = peak_mib(lambda: jobs(folder, study, None, "cpu", 1, runs))
        start = time.perf_counter()
        size = disk_bytes(folder.path)
        walked = time.perf_counter() - start
        start = time.perf_counter()
        for path in paths[:VALIDATED]:
            read(path)
        validated = (time.perf_counter() - start) * len(paths) / VALIDATED
    print(f"{len(statuses)} runs, {dict(count_states(statuses))}, {size / 2**20:.0f} MiB")
    print(
        f"status: {took:.2f} s ({cpu:.2f} s of processor), {grown:.1f} MiB at its peak; "
        f"walking the disk: {walked:.2f} s"
    )
    print(f"all jobs of the plan, as `run` holds them: {driving:.1f} MiB")
    print(
        f"validating every event instead: {validated:.1f} s (from {VALIDATED} records), "
        f"{validated / took:.1f} times as long"
    )


if __name__ == "__main__":
    main()

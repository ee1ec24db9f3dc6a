"""Parts of the start of a run in a new process (imports, data, model), compared with the imports of a plain script.

    uv run python tests/benchmarks/run_start.py [--protocol digits-plain] [--data-root FOLDER] [--times 5]

Also measured: what a process loads that only starts runs (a
task of Ray or SLURM, separate from the run's own process), and how soon a run that is forked from the server begins.
Medians; processor seconds hardly change on a busy machine, wall seconds do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from runners.machine.fork_server import context, warm_up

LAPS = """
import json, sys, time
said, began, spent = {}, time.perf_counter(), time.process_time()
def lap(name):
    global began, spent
    said[name] = [time.perf_counter() - began, time.process_time() - spent]
    began, spent = time.perf_counter(), time.process_time()
"""
PLAIN = """
import torch, torchvision
torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
lap("import")
"""
HANDING = """
import runners.executors.remote
lap("import")
"""
RUN = """
import runners.executors.worker
lap("import")
from pathlib import Path
from protocol.spec.toml_files import load_preset
from protocol.draws.splits import make_split
from runners.data import load
from runners.models import build
protocol = load_preset(sys.argv[1])
images, _ = load(protocol.data, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
make_split(protocol, 0, images.train_size, images.test_size)
lap("data")
build(protocol.model, images, 0)
lap("model")
"""
TELL = "print(json.dumps(said))"


def medians(script: str, words: Sequence[str], times: int) -> dict[str, tuple[float, float]]:
    """Return median wall and processor seconds per part, after one warm-up that fills the disk cache."""
    command = [sys.executable, "-c", LAPS + script + TELL, *words]
    found = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(times + 1)
    ][1:]
    return {
        part: (statistics.median(f[part][0] for f in found), statistics.median(f[part][1] for f in found))
        for part in found[0]
    }


def fork_seconds(times: int) -> float:
    """Return the seconds from requesting a process until it runs, after the server has loaded."""
    warm_up()
    took = []
    for _ in range(times + 1):
        receive, send = multiprocessing.Pipe(duplex=False)
        began = time.perf_counter()
        process = context().Process(target=send.send, args=(None,))
        process.start()
        receive.recv()
        took.append(time.perf_counter() - began)
        process.join()
    return statistics.median(took[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", default="digits-plain")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    words = [options.protocol, *([str(options.data_root)] if options.data_root else [])]
    plain = medians(PLAIN, [], options.times)["import"]
    print(f"{'':28}{'wall s':>8}{'cpu s':>8}   cpu as multiple of a plain script's imports")
    parts = {"plain script: import": plain, "handing on: import": medians(HANDING, [], options.times)["import"]}
    parts |= {f"run: {part}": took for part, took in medians(RUN, words, options.times).items()}
    for name, (wall, cpu) in parts.items():
        print(f"{name:28}{wall:8.2f}{cpu:8.2f}   {cpu / plain[1]:.2f}", flush=True)
    print(f"{'run: forked from the server':28}{fork_seconds(options.times):8.3f}")


if __name__ == "__main__":
    main()

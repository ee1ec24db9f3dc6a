"""Cost of one seed: ten rounds from 50 to 500 labels, plain, augmented and FixMatch; and several seeds in parallel.

    # CIFAR-10, ResNet-18; a GPU is advised
    uv run python tests/benchmarks/seconds_per_seed.py --data-root DATA
    # a smaller case
    … --data-root DATA --data cifar10-jpeg --model small-cnn --width 16 --steps 200
    # and 8 seeds at once: share the device, or the cores
    … --together 8

Protocols are the presets cifar10-low-plain, cifar10-low-augmented and lueth2023-cifar10-low-fixmatch with as many
optimizer steps in every round, so that the recipes differ in what a step costs. Runs are of random, each in a process
of its own, as `run` makes them. Seconds are wall-clock seconds from the start of the first to the end of the last,
loading the data and evaluating on the test set included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import load_preset
from runners.executors.local import Local
from runners.machine.fork_server import warm_up
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, count_states, jobs, status

PRESETS = {
    "plain": "cifar10-low-plain",
    "augmented": "cifar10-low-augmented",
    "FixMatch": "lueth2023-cifar10-low-fixmatch",
}


def protocol(name: str, given: argparse.Namespace) -> Protocol:
    """Return a preset with the changes of the command line."""
    spec = load_preset(PRESETS[name])
    regime = spec.regime.model_copy(update={"epochs": None, "steps": given.steps, "batch_size": 64})
    data = spec.data.model_copy(update={"name": given.data})
    model = spec.model.model_copy(update={"name": given.model, "width": given.width})
    short = spec.model_copy(update={"regime": regime, "data": data, "model": model, "reference": None})
    return Protocol.model_validate(short.model_dump())


def seconds(spec: Protocol, seeds: int, given: argparse.Namespace, path: Path) -> float:
    """Return the wall seconds of this many seeds in parallel."""
    study = Study(
        name="seconds", protocols=(spec,), strategies=(StrategySpec(name="random"),), seeds=tuple(range(seeds))
    )
    folder = StudyFolder(path)
    adopt(folder, study, path)
    work = jobs(folder, study, given.data_root, given.device, given.threads, planned_runs(study))
    start = time.perf_counter()
    for _ in Local(seeds).execute(work):
        pass
    took = time.perf_counter() - start
    if count_states(status(folder, study))["done"] != len(work):
        raise SystemExit(
            "a run failed; its log is under the study's folder: try `beatrandom run` with the same settings"
        )
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--data", default="cifar10", help="a data set of 32x32 colour images")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--width", type=int)
    parser.add_argument("--steps", type=int, default=500, help="optimizer steps a round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--together", type=int, default=0, help="seeds side by side, compared with one alone")
    given = parser.parse_args()
    warm_up()
    print(
        f"{given.data}, {given.model}, 10 rounds of {given.steps} steps on {given.device}, "
        f"{given.threads} thread(s) a run",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as scratch:
        short = argparse.Namespace(**vars(given) | {"steps": 1})
        seconds(
            protocol("plain", short), 1, short, Path(scratch) / "warm"
        )  # data into the cache, the fork server started
        for name in PRESETS:
            alone = seconds(protocol(name, given), 1, given, Path(scratch) / name)
            per_step = 1000 * alone / (10 * given.steps)
            line = f"{name}: {alone:.0f} s a seed, {per_step:.1f} ms a step with all that comes with it"
            if given.together:
                several = seconds(protocol(name, given), given.together, given, Path(scratch) / f"{name}-together")
                line += f"; {given.together} seeds at once: {several:.0f} s, {several / alone:.2f} times one"
            print(line, flush=True)


if __name__ == "__main__":
    main()

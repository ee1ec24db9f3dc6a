"""`plan`: what a study will cost and what it can decide, before anything is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch

from analysis.loading.records import load_study
from analysis.verdict.pilot import LEAST, MOST, Seeds, seeds_from_pilot
from analysis.verdict.plan import PlanSummary, plan_summary
from protocol.draws.splits import make_split
from protocol.oracle.oracle import Oracle
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from runners.data import load
from runners.datasets.regions import divide, price_units
from runners.loop import rounds
from runners.progress.plan import planned
from runners.progress.status import kept_copy
from runners.regimes import Resident, prepare
from runners.run.initial_query import chooses
from runners.session import Session
from runners.strategies import STRATEGIES
from runners.strategies.resolve import make, user_file
from runners.verbs.shared.console import console, cores, duration, print_json, table
from runners.verbs.shared.inputs import device_of, read


def plan(
    source: Path,
    extra: list[str],
    data_root: Path | None,
    device: str,
    slots: int | None,
    threads: int,
    json: bool,
    pilot: Path | None,
) -> None:
    """See `beatrandom plan --help`."""
    study, beside, folder = read(source, extra, data_root)
    chosen = device_of(device)
    side_by_side = slots or (1 if chosen != "cpu" else max(1, cores() // threads))
    costs_of = {p.name: cost_of(p, data_root, chosen, threads) for p in study.protocols}
    seconds = {name: cost.run for name, cost in costs_of.items()}
    once = {
        p.name: costs_of[p.name].pretraining * (len(study.seeds) if costs_of[p.name].a_seed else 1)
        for p in study.protocols
    }
    total = (sum(seconds[run.protocol.name] for run in planned(study)) + sum(once.values())) / side_by_side
    power = plan_summary(study)
    needed = seeds_from_pilot(load_study(pilot), power) if pilot else []
    if json:
        costs = {
            "seconds_per_run": seconds,
            "pretraining_seconds": once,
            "expected_seconds": total,
            "jobs": side_by_side,
            "labels": labels(study),
            "runs": len(planned(study)),
        }
        print_json(
            {
                "study": study.name,
                "fingerprint": study.fingerprint,
                **costs,
                "power": asdict(power)
                | {
                    "detectable": finite(power.detectable),
                    "detectable_uncorrected": finite(power.detectable_uncorrected),
                },
                "pilot": [asdict(s) for s in needed],
            }
        )
        return
    rows = [
        (
            p.name,
            p.fingerprint[:12],
            len(study.strategies) * len(study.seeds),
            _range(p),
            f"{p.budgets[-1] * len(study.strategies) * len(study.seeds):,}",
            f"{seconds[p.name]:.1f} s",
        )
        for p in study.protocols
    ]
    paid = "labels" if all(p.labelling is None for p in study.protocols) else "paid in all"
    console.print(
        table(
            f"Plan of {study.name} ({study.fingerprint[:12]})",
            ["protocol", "fingerprint", "runs", "budgets", paid, "a run"],
            rows,
            ["runs", paid, "a run"],
        )
    )
    console.print(
        f"Expected time: {duration(total)} with {side_by_side} runs side by side on {chosen} (from one timed probe round a protocol)."
    )
    if any(once.values()):
        console.print(
            f"{duration(sum(once.values()))} of it (before sharing it out) for pretraining, done once and kept in the study's folder."
        )
    for line in starts(study, beside, folder):
        console.print(line, markup=False)
    console.print(power.summary(), markup=False)
    if pilot:
        _show_pilot(pilot, needed, power)


def starts(study: Study, beside: Path, folder: Path | None) -> Iterator[str]:
    """Of protocols that leave the starting set to strategies: which can choose it."""
    for protocol in (p for p in study.protocols if p.splits.initial == "strategy"):
        can = []
        for spec in study.strategies:
            file = kept_copy(StudyFolder(folder), spec) if folder else user_file(spec, beside)
            if chooses(protocol, spec, make(spec, file)):
                can.append(spec.id)
        rest = ", ".join(s.id for s in study.strategies if s.id not in can)
        yield f"Starting sets of {protocol.name}: chosen by {', '.join(can) or 'no strategy'}; drawn by the seed for {rest}."


def _show_pilot(pilot: Path, needed: Sequence[Seeds], power: PlanSummary) -> None:
    if not needed:
        console.print(
            f"{pilot} has no comparison with {LEAST} complete pairs: it says nothing about the seeds needed.",
            markup=False,
        )
        return
    numbers = [
        (s.protocol, s.strategy, s.n, f"{s.sd:.4f}", *(_seeds(v) for v in (s.t, s.sign_flip, s.max_t, s.tost)))
        for s in needed
    ]
    columns = ["protocol", "strategy", "pairs", "sd", "t", "sign-flip", "max-T", "equivalence"]
    console.print(
        table(
            f"Seeds for 80 % power at alpha / {max(power.tests, 1)}, from the spread in {pilot}",
            columns,
            numbers,
            columns[2:],
        )
    )
    console.print(
        f"t, sign-flip, max-T: if the true difference is {power.delta:g} (max-T: at every budget); equivalence: if it is 0. "
        "All but t are simulated. A pilot of few seeds knows its spread badly.",
        markup=False,
    )


def _seeds(value: int | None) -> str:
    return str(value) if value is not None else f"> {MOST}"


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def labels(study: Study) -> int:
    """Labels (or pixels, or clicks) that all runs of the study pay for together."""
    return sum(run.protocol.budgets[-1] for run in planned(study))


def _range(protocol: Protocol) -> str:
    counted = f", {protocol.splits.validation_size} of them validation" if protocol.charged_validation else ""
    free = (
        f" + {protocol.splits.validation_size} free validation labels"
        if protocol.splits.validation_size and not counted
        else ""
    )
    of = "" if protocol.labelling is None else f" {protocol.currency}"
    return f"{protocol.budgets[0]} → {protocol.budgets[-1]}{of} in {len(protocol.budgets)} rounds{counted}{free}"


_A_FEW: Final = 64


@dataclass(frozen=True)
class Cost:
    """Expected seconds of one run, and of pretraining, which runs share; `a_seed`: those of a seed, else all."""

    run: float
    pretraining: float
    a_seed: bool


def cost_of(protocol: Protocol, data_root: Path | None, device: str, threads: int) -> Cost:
    """From one real round with random queries, by the recipe as declared, and one epoch of pretraining; nothing is written."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    images, secret = load(protocol.data, data_root)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    labels, division = secret.for_oracle(), divide(protocol, images, None)
    units = price_units(protocol, division, labels)
    oracle = Oracle(protocol, 0, split, labels, lambda *_: None, classes=len(images.classes), units=units)
    oracle.start()
    resident = Resident.of(images, torch.device(device))
    loaded = time.perf_counter() - start
    short, epochs = _one_epoch(protocol)
    prepare(
        short, images, resident, split.pool[:_A_FEW], None, data_root=data_root
    )  # pays for what is loaded only once
    start = time.perf_counter()
    images, resident = prepare(short, images, resident, split.pool, None, data_root=data_root)
    pretraining = (time.perf_counter() - start) * epochs
    first = trial = 0.0
    for _ in range(2):  # the first pays for what is loaded only once
        start = time.perf_counter()
        outcome = next(
            rounds(Session(short, "random", 0, images, split, oracle, resident, division), STRATEGIES["random"](), 0)
        )
        first, trial = time.perf_counter() - start, outcome.cost["train_s"]
    own_pools = protocol.splits.test_size is not None or protocol.splits.validation_size > 0
    steps = [
        protocol.regime.max_steps(size) for size in protocol.training_labels
    ]  # with epochs, time grows with the labelled set
    trials = protocol.regime.tuning.steps_of(steps) / steps[0] * trial if protocol.regime.tuning else 0.0
    return Cost(loaded + first * sum(steps) / steps[0] + trials, pretraining, own_pools)


def _one_epoch(protocol: Protocol) -> tuple[Protocol, int]:
    """The protocol with one epoch of pretraining and nothing tuned, and how many epochs it has; 0 without any."""
    protocol = protocol.model_copy(update={"regime": protocol.regime.model_copy(update={"tuning": None})})
    pretraining = protocol.regime.pretraining
    if pretraining is None or pretraining.self_supervised is None:
        return protocol, 0
    short = pretraining.self_supervised.model_copy(update={"epochs": 1})
    regime = protocol.regime.model_copy(
        update={"pretraining": pretraining.model_copy(update={"self_supervised": short})}
    )
    return protocol.model_copy(update={"regime": regime}), pretraining.self_supervised.epochs

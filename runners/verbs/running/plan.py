"""`plan`: what a study costs and what it can decide, before it is run."""

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
from runners.confine.opening import declared_or_built
from runners.data import load
from runners.datasets.regions import divide, price_units
from runners.guard.user_code import Source
from runners.loop import rounds
from runners.machine.device import choose_device
from runners.progress.plan import planned_runs
from runners.progress.status import copied_source
from runners.regimes import Resident, prepare
from runners.run.initial_query import chooses
from runners.session import Session
from runners.strategies import STRATEGIES
from runners.strategies.resolve import user_file
from runners.study import StudySource, read_source
from runners.terminal.console import console, cores, duration, print_json, table


def plan(
    *,
    study: Path,
    strategy: list[str] | None,
    data_root: Path | None,
    device: str,
    jobs: int | None,
    threads: int,
    pilot: Path | None,
    json: bool,
) -> None:
    """See `beatrandom plan --help`."""
    source = read_source(study, strategy or [], data_root)
    chosen = choose_device(device)
    costs = costs_of(source.study, data_root, chosen, threads)
    at_once = jobs or (1 if chosen != "cpu" else max(1, cores() // threads))
    power = plan_summary(source.study)
    needed = seeds_from_pilot(load_study(pilot), power) if pilot else []
    if json:
        print_json(_as_dict(source.study, costs, at_once, power, needed))
        return
    _show_runs(source.study, costs)
    total = duration(costs.total / at_once)
    console.print(
        f"Expected time: {total} with {at_once} runs at the same time on {chosen} (from one timed round per protocol)."
    )
    if any(costs.pretraining.values()):
        pretraining = duration(sum(costs.pretraining.values()))
        console.print(f"{pretraining} of work is pretraining, which is done once and kept in the study folder.")
    for line in starts(source):
        console.print(line, markup=False)
    console.print(power.summary(), markup=False)
    if pilot:
        _show_pilot(pilot, needed, power)


@dataclass(frozen=True)
class StudyCost:
    """Expected seconds: per run and of pretraining, both by protocol, and in total."""

    run: dict[str, float]
    pretraining: dict[str, float]
    total: float


def costs_of(study: Study, data_root: Path | None, device: str, threads: int) -> StudyCost:
    """Time one round of every protocol, and extrapolate."""
    costs = {p.name: cost_of(p, data_root, device, threads) for p in study.protocols}
    pretraining = {name: cost.pretraining * (len(study.seeds) if cost.per_seed else 1) for name, cost in costs.items()}
    total = sum(costs[run.protocol.name].run for run in planned_runs(study)) + sum(pretraining.values())
    return StudyCost({name: cost.run for name, cost in costs.items()}, pretraining, total)


def _as_dict(
    study: Study, costs: StudyCost, at_once: int, power: PlanSummary, needed: Sequence[Seeds]
) -> dict[str, object]:
    detectable = {
        "detectable": finite(power.detectable),
        "detectable_uncorrected": finite(power.detectable_uncorrected),
    }
    return {
        "study": study.name,
        "fingerprint": study.fingerprint,
        "seconds_per_run": costs.run,
        "pretraining_seconds": costs.pretraining,
        "expected_seconds": costs.total / at_once,
        "jobs": at_once,
        "labels": labels(study),
        "runs": len(planned_runs(study)),
        "power": asdict(power) | detectable,
        "pilot": [asdict(s) for s in needed],
    }


def _show_runs(study: Study, costs: StudyCost) -> None:
    runs = len(study.strategies) * len(study.seeds)
    rows = [
        (p.name, p.fingerprint[:12], runs, _range(p), f"{p.budgets[-1] * runs:,}", f"{costs.run[p.name]:.1f} s")
        for p in study.protocols
    ]
    paid = "labels" if all(p.labelling is None for p in study.protocols) else "total cost"
    title = f"Plan of {study.name} ({study.fingerprint[:12]})"
    columns = ["protocol", "fingerprint", "runs", "budgets", paid, "time per run"]
    console.print(table(title, columns, rows, ["runs", paid, "time per run"]))


def starts(source: StudySource) -> Iterator[str]:
    """Yield one line per protocol that lets strategies choose the initial set: which of them do."""
    study, base, folder = source
    for protocol in (p for p in study.protocols if p.splits.initial == "strategy"):
        can = []
        for spec in study.strategies:
            file = copied_source(StudyFolder(folder), spec) if folder else user_file(spec, base)
            if chooses(protocol, spec, declared_or_built(spec, Source.read(file) if file else None)):
                can.append(spec.id)
        rest = ", ".join(s.id for s in study.strategies if s.id not in can)
        choosing = ", ".join(can) or "no strategy"
        yield f"Initial sets of {protocol.name}: chosen by {choosing}; drawn by the seed for {rest}."


def _show_pilot(pilot: Path, needed: Sequence[Seeds], power: PlanSummary) -> None:
    if not needed:
        console.print(
            f"{pilot} has no comparison with {LEAST} complete pairs: the seeds needed cannot be estimated.",
            markup=False,
        )
        return
    numbers = [
        (s.protocol, s.strategy, s.n, f"{s.sd:.4f}", *(_seeds(v) for v in (s.t, s.sign_flip, s.max_t, s.equivalence)))
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
        f"t, sign-flip, max-T: if the true difference is {power.delta:g} (max-T: at every budget); equivalence: "
        "if it is 0. All but t are simulated. The spread of a pilot with few seeds is uncertain.",
        markup=False,
    )


def _seeds(value: int | None) -> str:
    return str(value) if value is not None else f"> {MOST}"


def finite(value: float) -> float | None:
    """Return the value, or None if it is not finite: JSON has no infinity."""
    return value if math.isfinite(value) else None


def labels(study: Study) -> int:
    """Return the labels (or pixels, or clicks) that all runs of the study pay for together."""
    return sum(run.protocol.budgets[-1] for run in planned_runs(study))


def _range(protocol: Protocol) -> str:
    counted = f", {protocol.splits.validation_size} of them validation" if protocol.charged_validation else ""
    free = (
        f" + {protocol.splits.validation_size} free validation labels"
        if protocol.splits.validation_size and not counted
        else ""
    )
    of = "" if protocol.labelling is None else f" {protocol.currency}"
    return f"{protocol.budgets[0]} → {protocol.budgets[-1]}{of} in {len(protocol.budgets)} rounds{counted}{free}"


_WARM_UP_IMAGES: Final = 64
_TIMED_STEPS: Final = 500
"""Of a round; the rest is extrapolated."""


@dataclass(frozen=True)
class Cost:
    """Expected seconds of one run and of pretraining.

    Pretraining is shared by the runs of a seed (`per_seed`) or by all runs.
    """

    run: float
    pretraining: float
    per_seed: bool


def cost_of(protocol: Protocol, data_root: Path | None, device: str, threads: int) -> Cost:
    """Time one real round with random queries and one epoch of pretraining. Nothing is written."""
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
    short = _few_steps(short)
    prepare(
        short, images, resident, split.pool[:_WARM_UP_IMAGES], None, data_root=data_root
    )  # loads and compiles what later calls reuse
    start = time.perf_counter()
    images, resident = prepare(short, images, resident, split.pool, None, data_root=data_root)
    pretraining = (time.perf_counter() - start) * epochs
    first = trial = 0.0
    for _ in range(2):  # the first one also loads and compiles
        start = time.perf_counter()
        outcome = next(
            rounds(Session(short, "random", 0, images, split, oracle, resident, division), STRATEGIES["random"](), 0)
        )
        first, trial = time.perf_counter() - start, outcome.cost["train_s"]
    own_pools = protocol.splits.test_size is not None or protocol.splits.validation_size > 0
    steps = [
        protocol.regime.max_steps(size) for size in protocol.training_labels
    ]  # with epochs, time grows with the labelled set
    timed = steps[0] if protocol.regime.solver else min(steps[0], _TIMED_STEPS)
    first += trial * (steps[0] / timed - 1)
    trials = protocol.regime.tuning.steps_of(steps) / timed * trial if protocol.regime.tuning else 0.0
    return Cost(loaded + first * sum(steps) / steps[0] + trials, pretraining, own_pools)


def _few_steps(protocol: Protocol) -> Protocol:
    """Shorten a long round, of which only the beginning is timed."""
    regime = protocol.regime
    if regime.solver is not None or regime.max_steps(protocol.training_labels[0]) <= _TIMED_STEPS:
        return protocol
    update: dict[str, object] = {"steps": _TIMED_STEPS, "epochs": None, "epoch_at_least": None, "stop_at": None}
    if regime.validate_every is not None:
        update["validate_every"] = min(regime.validate_every, _TIMED_STEPS)
    return protocol.model_copy(update={"regime": regime.model_copy(update=update)})


def _one_epoch(protocol: Protocol) -> tuple[Protocol, int]:
    """Return the protocol with one epoch of pretraining and no tuning, and its real epochs."""
    protocol = protocol.model_copy(update={"regime": protocol.regime.model_copy(update={"tuning": None})})
    pretraining = protocol.regime.pretraining
    if pretraining is None or pretraining.self_supervised is None:
        return protocol, 0
    short = pretraining.self_supervised.model_copy(update={"epochs": 1})
    regime = protocol.regime.model_copy(
        update={"pretraining": pretraining.model_copy(update={"self_supervised": short})}
    )
    return protocol.model_copy(update={"regime": regime}), pretraining.self_supervised.epochs

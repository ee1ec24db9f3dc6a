"""Whole runs on a make-believe accelerator: the records of the CPU, no misplaced tensor, no step that waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from protocol.record.chain import Record, essence, read
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Model, Protocol
from protocol.spec.recipe import Augmentation, Optimizer, RandAugment
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import preset_names, study_from_table
from runners.data import load
from runners.datasets import Images
from runners.machine.device import to_device
from runners.models import build
from runners.models.resident import Scaling
from runners.progress.job import Job
from runners.regimes import FitInputs, Resident, fit
from runners.regimes.augment.images import training_batch
from runners.regimes.augment.prefetch import prefetch
from runners.regimes.schedule import optimizer
from runners.run.perform import perform
from runners.run.replay import replay_run
from runners.strategies import STRATEGIES
from runners.tasks import TASKS
from tests.support.accelerator import CUDA, Machine, WrongDevice, accelerator, launched_by_a_step
from tests.support.made_jobs import made
from tests.support.toy_strategies import TOY

DIGITS = [name for name in preset_names() if name.startswith("digit")]
SOLVED = ("digits-linear", "digits-simclr-solved")
"""Presets without steps."""
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "warm start": ("digits-augmented", {"start": "warm"}),
    "averages": ("digits-augmented", {"swa": {"start": 0.5, "every": 1, "lr": 0.01}, "label_smoothing": 0.1}),
    "weighted loss": ("digits-plain", {"imbalance": "weighted-loss"}),
    "balanced batches": ("digits-plain", {"imbalance": "balanced-batches"}),
}
"""Recipes that no preset of the digits has."""


def study_of(base: str, strategies: dict[str, dict[str, Any]], regime: dict[str, Any] | None = None) -> Study:
    """Two short rounds of a preset."""
    maps = base.startswith("digit-scenes")
    table: dict[str, Any] = {
        "base": base,
        "name": "toy",
        "budgets": [4, 6] if maps else [20, 30],
        "model": {} if base == "digits-linear" else {"width": 2 if maps else 4},
    }
    table["regime"] = ({} if base in SOLVED else {"steps": 4}) | (regime or {})
    if not maps:
        table["splits"] = {"test_size": 1400}
    named = [{"name": "random"}] + [
        {"name": n, "args": args, "tuning": 0} for n, args in strategies.items() if n != "random"
    ]
    return study_from_table({"name": "t", "protocols": [table], "strategies": named, "seeds": [0]}, "toy", Path())


def record_of(job: Job) -> Record:
    result = perform(job)
    assert result.state == "done", result.message
    return read(StudyFolder(job.study).run(job.run).events)


def both(study: Study, tmp_path: Path, strategy: str, **device: int) -> tuple[list[bytes], list[bytes]]:
    """What must be repeated of a run here and of the same one there."""
    here, there = (
        next(j for j in made(tmp_path / place, study) if j.strategy.name == strategy) for place in ("here", "there")
    )
    with accelerator(**device) as machine:
        far = record_of(replace(there, device=str(CUDA)))
    assert machine.launched.total() > 50, "hardly anything was asked of the device"
    return essence(record_of(here)), essence(far)


@pytest.mark.parametrize("name", DIGITS)
def test_a_regime_gives_the_same_record_there(name: str, tmp_path: Path) -> None:
    strategy = "entropy" if name.startswith("digit-scenes") else "margin"
    here, there = both(study_of(name, {strategy: {}}), tmp_path, strategy)
    assert there == here


@pytest.mark.parametrize("case", MORE)
def test_other_recipes_give_the_same_record_there(case: str, tmp_path: Path) -> None:
    base, regime = MORE[case]
    here, there = both(study_of(base, {"margin": {}}, regime), tmp_path, "margin")
    assert there == here


@pytest.mark.parametrize("base", ["digits-uda", "digit-scenes-augmented"])
def test_images_too_many_for_the_device_give_the_same_record(base: str, tmp_path: Path) -> None:
    here, there = both(study_of(base, {"margin": {}}), tmp_path, "margin", memory=1000)
    assert there == here


def test_a_record_is_replayed_there(tmp_path: Path) -> None:
    job = next(j for j in made(tmp_path, study_of("digits-augmented", {"margin": {}})) if j.strategy.name == "margin")
    record_of(job)
    with accelerator():
        answers = list(replay_run(StudyFolder(tmp_path).run(RunId("toy", "margin", 0)), None, None, str(CUDA)))
    assert [a.answer for a in answers] == ["equal", "equal"], answers


SUITED = [
    pytest.param(task, name, marks=[pytest.mark.slow] * (task == "segmentation"), id=f"{task}-{name}")
    for task, kind in TASKS.items()
    for name, strategy in STRATEGIES.items()
    if kind.adapt(strategy()) is not None
]


@pytest.mark.parametrize(("task", "name"), SUITED)
def test_every_strategy_asks_the_same_there(task: str, name: str, tmp_path: Path) -> None:
    base = "digits-plain" if task == "classification" else "digit-scenes-plain"
    here, there = both(study_of(base, {name: TOY.get(name, {})}), tmp_path, name)
    assert there == here


def one_round(
    machine: Machine, protocol: Protocol, images: Images, labels: np.ndarray[Any, Any], steps: int
) -> tuple[Counter[str], int]:
    """What a round of so many steps waited for, and how many tensors it sent."""
    short = protocol.model_copy(update={"regime": protocol.regime.model_copy(update={"steps": steps})})
    owned, none = np.arange(protocol.budgets[0]), np.empty(0, np.int64)
    inputs = FitInputs(images, owned, labels[owned], none, labels[none], np.arange(len(owned), 200))
    machine.forget()
    fit(short, inputs, 0, 0, Resident.of(images, CUDA), None)
    return Counter(machine.waits), machine.sent


@pytest.mark.parametrize(
    "name", [n for n in DIGITS if n not in {"digits-simclr-probe", "digits-tuned", "digit-scenes-tiles", *SOLVED}]
)
def test_no_step_waits_for_the_device(name: str) -> None:
    protocol = study_of(name, {}).protocols[0]
    images, labels = load(protocol.data, None)
    with accelerator() as machine:
        few, many = (one_round(machine, protocol, images, labels.for_oracle(), steps) for steps in (3, 9))
    assert many[0] == few[0]
    assert many[1] > few[1] or name == "digits-plain"


def test_augmentation_is_less_than_a_tenth_of_what_a_step_launches() -> None:
    spec, draws = (
        Augmentation(flip=True, shift=4, rand_augment=RandAugment(ops=2, magnitude=10.0), cutout=16),
        torch.Generator(),
    )
    with accelerator() as machine:
        pixels = torch.zeros(100, 32, 32, 3, dtype=torch.uint8, device=CUDA)
        scaling = Scaling(*(torch.ones(1, 3, 1, 1, device=CUDA) for _ in range(2)))
        machine.forget()
        rows = (torch.arange(64) for _ in range(64))
        assert (
            len(
                list(
                    prefetch(
                        rows,
                        spec,
                        (32, 32),
                        CUDA,
                        draws,
                        lambda r, d: training_batch(pixels, to_device(r, CUDA), spec, scaling, d),
                    )
                )
            )
            == 64
        )
        assert not machine.waits
        outside = machine.launched.total() / 64
        images = Images("noise", np.zeros((4, 32, 32, 3), np.uint8), 4, 0, tuple(map(str, range(10))), "")
        for name in ("resnet18", "wrn-28-2"):
            net = build(Model(name=name), images, 0).to(CUDA)
            alone = launched_by_a_step(
                machine, net, optimizer(Optimizer(name="sgd", lr=0.1), net.parameters(), CUDA), (3, 32, 32)
            )
            assert outside / (outside + alone) < 0.1, name


def test_what_a_device_would_refuse_is_refused() -> None:
    here, by = torch.ones(3), torch.tensor([0, 1])
    with accelerator() as machine:
        there = torch.ones(3, device=CUDA)
        assert there.device == CUDA
        for refused in (
            lambda: there + here,
            lambda: here + there.sum(),
            lambda: torch.cat([there, here]),
            lambda: here[by.to(CUDA)],
            lambda: torch.rand(3, generator=torch.Generator(), device=CUDA),
            lambda: there.numpy(),
            lambda: np.asarray(there),
        ):
            with pytest.raises(WrongDevice):
                refused()
        assert torch.equal((there[by] * 2 + torch.tensor(1.0)).cpu(), torch.full((2,), 3.0))
        machine.forget()
        to_device(here, CUDA)
        assert (machine.sent, machine.waits) == (1, Counter())
        here.to(CUDA), there.sum().item(), there[there > 0]
        assert machine.waits == {"_to_copy": 1, "_local_scalar_dense": 1, "index": 1}

"""Supervised training from scratch, with or without augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.canonical import fingerprint
from protocol.errors import Fault
from protocol.metrics import classification_metrics
from protocol.seeds import derive
from protocol.spec import Protocol
from runners.models import Net, build, weights_digest
from runners.regimes.augmentation import refuse_impossible, training_batch
from runners.regimes.base import Diverged, Fit, FitInputs
from runners.regimes.learner import Learner, arithmetic, laid_out, memory_format, plain_kernels
from runners.regimes.resident import Resident
from runners.regimes.schedule import batches, learning_rate, optimizer, steps_of

RECIPE_TAG = "beatrandom/recipe/1"


def train(protocol: Protocol, inputs: FitInputs, replicate: int, round_: int, resident: Resident) -> Fit:
    """A round of supervised training; see `runners.regimes.fit`."""
    regime, root = protocol.regime, protocol.root_seed
    refuse_impossible(regime.augmentation, inputs.images.height, inputs.images.width)
    net = build(protocol.model, inputs.images, derive(root, "model", replicate))
    initial = weights_digest(net)
    scaling = resident.scaling(inputs.pool)
    net = net.to(resident.device).to(memory_format=memory_format(inputs.images.height, inputs.images.width, regime.precision))
    learner = Learner(net, resident, scaling, regime.precision)
    steps = steps_of(regime, len(inputs.labelled))
    best = Best(learner, inputs, protocol.metric)
    with own_randomness(derive(root, "batches", replicate, round_, "dropout"), resident.device), plain_kernels(resident.device):
        loss = torch.zeros(())
        for step, current in enumerate(_steps(protocol, inputs, replicate, round_, resident, learner, steps), start=1):
            loss = current
            if regime.validate_every and (step % regime.validate_every == 0 or step == steps):
                best.consider(step)
    best.restore()
    _refuse_divergence(protocol, net, round_)
    return Fit(
        learner,
        steps,
        initial,
        fingerprint(RECIPE_TAG, {"regime": regime.model_dump(mode="json"), "model": protocol.model.model_dump(mode="json")}),
        validate(learner, inputs),
        {"final_loss": float(loss), "selected_step": float(best.step or steps)},
    )


def _steps(
    protocol: Protocol, inputs: FitInputs, replicate: int, round_: int, resident: Resident, learner: Learner, steps: int
) -> Iterator[Tensor]:
    """Make the steps; yield each one's loss, on the device."""
    regime, root, device, net = protocol.regime, protocol.root_seed, resident.device, learner.net
    order = torch.Generator().manual_seed(derive(root, "batches", replicate, round_))
    draws = torch.Generator().manual_seed(derive(root, "augmentation", replicate, round_))
    update = optimizer(regime.optimizer, net.parameters(), device)
    rows = torch.from_numpy(inputs.labelled.astype(np.int64)).to(device)
    targets = torch.from_numpy(inputs.labels.astype(np.int64)).to(device)
    for step, chosen in enumerate(batches(len(rows), regime.batch_size, steps, order)):
        net.train()
        for group in update.param_groups:
            group["lr"] = learning_rate(regime.optimizer, step, steps)
        chosen = chosen.to(device)
        x = laid_out(training_batch(resident.pixels, rows[chosen], regime.augmentation, learner.scaling, draws), regime.precision)
        with arithmetic(regime.precision, device):
            loss = F.cross_entropy(net(x).float(), targets[chosen], label_smoothing=regime.label_smoothing)
        update.zero_grad()
        torch.autograd.backward(loss)
        update.step()
        yield loss.detach()


@dataclass
class Best:
    """The weights that did best on the validation labels; of equals the latest, which has trained longest."""

    learner: Learner
    inputs: FitInputs
    metric: str
    step: int = 0
    _value: float = -1.0
    _state: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, step: int) -> None:
        """Keep a copy of the weights and buffers if they are the best so far."""
        value = validate(self.learner, self.inputs)[self.metric]
        if value >= self._value:
            self.step, self._value = step, value
            self._state = {name: tensor.detach().clone() for name, tensor in self.learner.net.state_dict().items()}

    def restore(self) -> None:
        """Put the best weights back; without any considered, the last stay."""
        if self._state:
            self.learner.net.load_state_dict(self._state)


def validate(learner: Learner, inputs: FitInputs) -> dict[str, float]:
    """Metrics on the validation labels; empty without any."""
    if not len(inputs.validation):
        return {}
    return classification_metrics(learner.labels(inputs.validation), inputs.validation_labels)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Give dropout, which only knows the global generators, a seed of its own, and leave those generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _refuse_divergence(protocol: Protocol, net: Net, round_: int) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values()):
        where = f"protocol {protocol.name}, round {round_}: training"
        raise Diverged(Fault(where, "finite weights", "NaN or infinity", "lower regime.optimizer.lr or add warm-up steps"))

"""One round of training: optimisation steps, weight averages, and selection of weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.digests import fingerprint
from protocol.draws.seeds import Stream, derive
from protocol.draws.splits import Indices
from protocol.errors import Fault
from protocol.spec.protocol import Model, Protocol
from protocol.spec.recipe import Augmentation, Regime
from runners import tasks
from runners.datasets.images import Images
from runners.machine.device import plain_kernels, to_device
from runners.models import build
from runners.models.learner import TrainedNetwork, arithmetic, memory_format, to_memory_format
from runners.models.net import state_digest
from runners.models.resident import Resident, Scaling
from runners.regimes.augment.images import Draws, refuse_impossible, training_batch
from runners.regimes.augment.prefetch import prefetch
from runners.regimes.averaging import Ema, LateMean
from runners.regimes.base import Diverged, EndState, Fit, FitInputs
from runners.regimes.schedule import balanced_batches, batches, class_weights, learning_rate, optimizer

START_TAG = "beatrandom/start/1"


@dataclass(frozen=True, eq=False)
class Round:
    """The data, network, and random streams that a learning method works with in one round.

    Attributes:
        seed: seed of the run.
        number: number of the round, from 0.
        net: the network that is trained.
        rows: (l,) labelled images, on the device.
        targets: (l,) their classes, or (l, height, width) maps.
        steps: maximum number of optimisation steps.
        average: moving average of the weights of `net`, if the regime has one.
        weights: (classes,) weights of the classes in the loss; `None`: all equal.
    """

    protocol: Protocol
    inputs: FitInputs
    seed: int
    number: int
    resident: Resident
    scaling: Scaling
    net: nn.Module
    rows: Tensor
    targets: Tensor
    steps: int
    average: Ema | None = None
    weights: Tensor | None = None

    @property
    def regime(self) -> Regime:
        """Return the training recipe of the protocol."""
        return self.protocol.regime

    @property
    def evaluated(self) -> nn.Module:
        """Return the network that is evaluated: `net`, or the moving average of its weights."""
        return self.average.net if self.average else self.net

    def draws(self, stream: Stream, *keys: str) -> torch.Generator:
        """Return a CPU generator at the start of one of this round's random streams."""
        return torch.Generator().manual_seed(derive(self.protocol.root_seed, stream, self.seed, self.number, *keys))

    def views(self, rows: Iterator[Tensor], spec: Augmentation, draws: torch.Generator) -> Iterator[Tensor]:
        """Yield augmented images (b, channels, height, width) of each batch.

        Args:
            rows: (b,) int64 images of the data set, on the CPU.
            draws: source of the random changes, on the CPU.
        """
        size = (self.inputs.images.height, self.inputs.images.width)

        def augment(batch: Tensor, drawn: Draws) -> Tensor:
            return self._augment(batch, spec, drawn)

        return prefetch(rows, spec, size, self.resident.device, draws, augment)

    def _augment(self, rows: Tensor, spec: Augmentation, drawn: Draws) -> Tensor:
        """Compute views in float32, also when the network computes in bfloat16."""
        pixels, places = self.resident.at(rows)
        with torch.autocast(self.resident.device.type, enabled=False):
            return to_memory_format(training_batch(pixels, places, spec, self.scaling, drawn), self.regime.precision)

    def labelled_views(self) -> Iterator[Tensor]:
        """Yield augmented images of the labelled batches, in the order of the steps."""
        labelled = torch.from_numpy(self.inputs.labelled.astype(np.int64))
        batches_of_rows = (labelled[positions] for positions in self.order())
        return self.views(batches_of_rows, self.regime.augmentation, self.draws("augmentation"))

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean loss on labelled images, with label smoothing and class weights.

        An image is weighted by its true class, and the loss is divided by the sum of the weights.
        """
        smoothing = self.regime.label_smoothing
        if self.weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=smoothing)
        weights = self.weights[targets]
        losses = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def order(self) -> Iterator[Tensor]:
        """Yield the positions of the labelled images in each step's batch, on the CPU.

        Every call gives the same order.
        """
        regime, draws = self.regime, self.draws("batches")
        if regime.imbalance == "balanced-batches":
            return balanced_batches(self.targets.cpu(), regime.step_batch, self.steps, draws)
        return batches(len(self.rows), regime.step_batch, self.steps, draws)


class Objective(ABC):
    """A learning method in one round: the loss of every step, and numbers for the record."""

    @abstractmethod
    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Compute the loss of one step, from 0 to steps - 1.

        Args:
            chosen: (b,) positions among the labelled images, on the device.
        """

    def after_step(self, rate: float) -> None:  # noqa: B027  # most methods have nothing to do here
        """Update what the method itself trains, after the network's step.

        Args:
            rate: the step's learning rate divided by the peak rate.
        """

    def accuracy(self) -> float:
        """Return the share of labelled images predicted correctly in the steps since the last call.

        Only methods that may be combined with `regime.stop_at` implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps no training accuracy: recipes with it have no stop_at")

    def extra(self) -> dict[str, float]:
        """Return further numbers for the record, by name."""
        return {}


def train(
    objective: Callable[[Round], Objective],
    protocol: Protocol,
    inputs: FitInputs,
    seed: int,
    round_: int,
    resident: Resident,
    before: EndState | None,
) -> Fit:
    """Train one round with one learning method; see `runners.regimes.fit`.

    Args:
        objective: builds the learning method.
    """
    refuse_impossible(protocol.regime, inputs.images.height, inputs.images.width)
    net = initial_network(protocol, inputs.images, seed, resident)
    if before is not None:
        net.load_state_dict(before.state)
    initial = digest_of(protocol, net.state_dict(), resident)

    now = _set_up(protocol, inputs, seed, round_, resident, net)
    method = objective(now)
    learner = tasks.TASKS[protocol.task].learner(now.evaluated, resident, now.scaling, protocol.regime.precision)
    best = Best(learner, inputs, protocol.metric)
    steps, loss = _optimise(now, method, best)
    best.restore()
    _refuse_divergence(protocol, now.evaluated, round_)
    return Fit(
        learner=learner,
        steps=steps,
        initial_weights=initial,
        recipe=protocol.recipe,
        validation=validate(learner, inputs),
        extra={"final_loss": loss, "selected_step": float(best.step or steps)} | method.extra(),
        pretrained=resident.start.digest if resident.start else "",
        end=_end_state(protocol, now.evaluated, resident),
    )


def _set_up(protocol: Protocol, inputs: FitInputs, seed: int, round_: int, resident: Resident, net: nn.Module) -> Round:
    """Move network and targets to the device; build the average and weights of the regime."""
    regime, images, device = protocol.regime, inputs.images, resident.device
    net = net.to(device).to(memory_format=memory_format(images.height, images.width, regime.precision))
    targets = tasks.TASKS[protocol.task].targets(inputs.labels).to(device)
    return Round(
        protocol=protocol,
        inputs=inputs,
        seed=seed,
        number=round_,
        resident=resident,
        scaling=resident.scaling(inputs.pool),
        net=net,
        rows=torch.from_numpy(inputs.labelled.astype(np.int64)).to(device),
        targets=targets,
        # every label bought counts, so that no strategy trains for fewer steps
        steps=regime.max_steps(len(inputs.labelled) + len(inputs.useless)),
        average=None if regime.ema_decay is None else Ema(net, regime.ema_decay),
        weights=class_weights(targets, len(images.classes)) if regime.imbalance == "weighted-loss" else None,
    )


def _optimise(now: Round, method: Objective, best: Best) -> tuple[int, float]:
    """Make the round's steps, and validate where the regime says so.

    Returns:
        Number of steps made, and the loss of the last one.
    """
    validate_every, device = now.regime.validate_every, now.resident.device
    dropout = derive(now.protocol.root_seed, "batches", now.seed, now.number, "dropout")
    with own_randomness(dropout, device), plain_kernels(device):
        for step, loss in enumerate(_steps(now, method), start=1):
            done = step == now.steps or _reached_accuracy(now, method, step)
            if validate_every and (done or step % validate_every == 0):
                best.consider(step)
            if done:
                return step, float(loss)
    return 0, 0.0


def _steps(now: Round, method: Objective) -> Iterator[Tensor]:
    """Make the optimisation steps; yield the loss of each, on the device."""
    regime, device, net = now.regime, now.resident.device, now.net
    update = optimizer(regime.step_optimizer, net.parameters(), device)
    late = LateMean(net) if regime.swa else None
    for step, chosen in enumerate(now.order()):
        net.train()
        rate, averaging = _rate_and_averaging(regime, step, now.steps)
        for group in update.param_groups:
            group["lr"] = rate
        with arithmetic(regime.precision, device):
            loss = method.loss(step, to_device(chosen, device))
        update.zero_grad()
        torch.autograd.backward(loss)
        update.step()
        method.after_step(rate / regime.step_optimizer.lr)
        if now.average:
            now.average.update()
        if late and averaging:
            late.update(net)
        if late and step + 1 == now.steps:
            with arithmetic(regime.precision, device):
                late.load_into(net, _newly_augmented(now))
        yield loss.detach()


def _rate_and_averaging(regime: Regime, step: int, steps: int) -> tuple[float, bool]:
    """Return the learning rate of a step, and whether its weights enter the late mean."""
    start = math.ceil(regime.swa.start * steps) if regime.swa else steps
    if regime.swa is None or step < start:
        return learning_rate(regime.step_optimizer, step, start), False
    return regime.swa.lr, (step + 1 - start) % regime.swa.every == 0 or step + 1 == steps


def _reached_accuracy(now: Round, method: Objective, step: int) -> bool:
    """Return whether this step ends an epoch with training accuracy `regime.stop_at`."""
    regime = now.regime
    if regime.stop_at is None or step % regime.steps_per_epoch(len(now.rows)):
        return False
    return method.accuracy() >= regime.stop_at


def _newly_augmented(now: Round) -> Iterator[Tensor]:
    """Yield the labelled images once, newly augmented, for the BatchNorm statistics of the mean."""
    parts = torch.split(torch.from_numpy(now.inputs.labelled.astype(np.int64)), now.regime.step_batch)
    return now.views(iter(parts), now.regime.augmentation, now.draws("augmentation", "swa"))


def untrained_learner(
    protocol: Protocol, images: Images, pool: Indices, seed: int, resident: Resident
) -> TrainedNetwork[Any]:
    """Return a learner with the weights that the first round starts from.

    They include those of a pretrained body.

    Args:
        pool: (p,) images that the scaling is computed from.
        seed: seed of the run.
    """
    precision = protocol.regime.precision
    net = initial_network(protocol, images, seed, resident).to(resident.device)
    net = net.to(memory_format=memory_format(images.height, images.width, precision))
    return tasks.TASKS[protocol.task].learner(net, resident, resident.scaling(pool), precision)


def initial_network(protocol: Protocol, images: Images, seed: int, resident: Resident) -> nn.Module:
    """Return the network with the seed's initial weights, and a pretrained part if there is one."""
    start, pretraining, task = resident.start, protocol.regime.pretraining, tasks.TASKS[protocol.task]
    model_seed = derive(protocol.root_seed, "model", seed)
    if pretraining is None or start is None:
        return task.build(protocol.model, images, model_seed)
    if pretraining.then == "linear-probe":  # the images are embeddings by now
        return build(Model(name="linear", dropout=protocol.model.dropout), images, model_seed)
    net = task.build(protocol.model, images, model_seed)
    task.pretrained_part(net).load_state_dict(start.state)
    return net


def digest_of(protocol: Protocol, state: Mapping[str, Tensor], resident: Resident) -> str:
    """Return the digest of a network with these tensors, including a frozen body, as in records."""
    pretraining, start = protocol.regime.pretraining, resident.start
    if pretraining is None or start is None or pretraining.then == "fine-tune":
        return state_digest(state)
    return fingerprint(START_TAG, [start.digest, start.features, state_digest(state)])


def _end_state(protocol: Protocol, net: nn.Module, resident: Resident) -> EndState | None:
    """Copy the evaluated weights if the next round starts from them."""
    if protocol.regime.start == "reset":
        return None
    state = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    return EndState(state, digest_of(protocol, state, resident))


@dataclass
class Best:
    """The weights with the best validation metric.

    The latest of equals, since it has trained longest.
    """

    learner: TrainedNetwork[Any]
    inputs: FitInputs
    metric: str
    step: int = 0
    _value: float = -1.0
    _state: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, step: int) -> None:
        """Copy the weights and buffers if they are the best so far."""
        value = validate(self.learner, self.inputs)[self.metric]
        if value >= self._value:
            self.step, self._value = step, value
            self._state = {name: tensor.detach().clone() for name, tensor in self.learner.net.state_dict().items()}

    def restore(self) -> None:
        """Load the best weights; keep the last ones if none were considered."""
        if self._state:
            self.learner.net.load_state_dict(self._state)


def validate(learner: TrainedNetwork[Any], inputs: FitInputs) -> dict[str, float]:
    """Compute the metrics on the validation labels; empty without validation labels."""
    return learner.metrics(inputs.validation, inputs.validation_labels) if len(inputs.validation) else {}


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators, which dropout draws from, and restore their state afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _refuse_divergence(protocol: Protocol, net: nn.Module, round_: int) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values()):
        where = f"protocol {protocol.name}, round {round_}: training"
        raise Diverged(
            Fault(where, "finite weights", "NaN or infinity", "lower regime.optimizer.lr or add warm-up steps")
        )

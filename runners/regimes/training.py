"""A round of training, whatever the learning method: steps, averages of weights, selection, what the record gets."""

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
from runners.machine.device import plain_kernels, sent
from runners.models import build
from runners.models.learner import Trained, arithmetic, laid_out, memory_format
from runners.models.net import state_digest
from runners.models.resident import Resident, Scaling, Start
from runners.regimes.augment.images import Draws, refuse_impossible, training_batch
from runners.regimes.augment.prefetch import ahead
from runners.regimes.averaging import Ema, LateMean
from runners.regimes.base import Diverged, Ended, Fit, FitInputs
from runners.regimes.schedule import balanced_batches, batches, class_weights, learning_rate, optimizer

START_TAG = "beatrandom/start/1"


@dataclass(frozen=True, eq=False)
class Round:
    """What a learning method works with in one round.

    Attributes:
        net: the network that is trained.
        shown: the network that is evaluated: `net`, or the moving average of its weights.
        rows: (l,) labelled images, on the device; targets: (l,) their classes, or (l, height, width) maps.
        steps: optimisation steps of the round, at most.
        weights: (classes,) what an image's loss counts; None: all the same.
    """

    protocol: Protocol
    inputs: FitInputs
    replicate: int
    number: int
    resident: Resident
    scaling: Scaling
    net: nn.Module
    shown: nn.Module
    rows: Tensor
    targets: Tensor
    steps: int
    weights: Tensor | None = None

    @property
    def regime(self) -> Regime:
        return self.protocol.regime

    def draws(self, stream: Stream, *keys: str) -> torch.Generator:
        """A CPU generator at the start of one of this round's streams."""
        return torch.Generator().manual_seed(
            derive(self.protocol.root_seed, stream, self.replicate, self.number, *keys)
        )

    def views(self, rows: Iterator[Tensor], spec: Augmentation, draws: torch.Generator) -> Iterator[Tensor]:
        """Augmented images (b, channels, height, width) of each batch of rows, ready for the network.

        Args:
            rows: (b,) int64 images of the data set, on the CPU.
            draws: what chance is drawn from, on the CPU.
        """
        images = self.inputs.images
        return ahead(
            rows,
            spec,
            (images.height, images.width),
            self.resident.device,
            draws,
            lambda some, drawn: self._batch(some, spec, drawn),
        )

    def _batch(self, rows: Tensor, spec: Augmentation, drawn: Draws) -> Tensor:
        """Made in float32 whatever the network computes in."""
        pixels, places = self.resident.at(rows)
        with torch.autocast(self.resident.device.type, enabled=False):
            return laid_out(training_batch(pixels, places, spec, self.scaling, drawn), self.regime.precision)

    def labelled_views(self) -> Iterator[Tensor]:
        """Augmented images of the labelled batches, in the order of the steps."""
        labelled = torch.from_numpy(self.inputs.labelled.astype(np.int64))
        return self.views(
            (labelled[chosen] for chosen in self.order()), self.regime.augmentation, self.draws("augmentation")
        )

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss on labelled images, smoothed and weighted as the regime says; an image counts as its own class does."""
        smoothing = self.regime.label_smoothing
        if self.weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=smoothing)
        counted = self.weights[targets]
        return (
            F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none") * counted
        ).sum() / counted.sum()

    def order(self) -> Iterator[Tensor]:
        """Positions of the labelled images, step by step, on the CPU; the same whenever it is asked for."""
        regime, draws = self.regime, self.draws("batches")
        if regime.imbalance == "balanced-batches":
            return balanced_batches(self.targets.cpu(), regime.batch_size, self.steps, draws)
        return batches(len(self.rows), regime.batch_size, self.steps, draws)


class Objective(ABC):
    """A learning method in one round: the loss of every step, and numbers for the record."""

    @abstractmethod
    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Loss of step 0 … steps-1.

        Args:
            chosen: (b,) positions among the labelled images, on the device.
        """

    def stepped(self, rate: float) -> None:  # noqa: B027  # most methods have nothing to do here
        """What the method does of its own after the network's step.

        Args:
            rate: the step's learning rate, as a share of the peak.
        """

    def accuracy(self) -> float:
        """Share of labelled images predicted right in the steps since it was last asked for; kept only where the regime stops by it."""
        raise NotImplementedError(f"{type(self).__name__} keeps no training accuracy: recipes with it have no stop_at")

    def extra(self) -> dict[str, float]:
        """What the record should say of the method's own workings."""
        return {}


def train(
    objective: Callable[[Round], Objective],
    protocol: Protocol,
    inputs: FitInputs,
    number: tuple[int, int],
    resident: Resident,
    before: Ended | None,
) -> Fit:
    """A round of training by one method; see `runners.regimes.fit`.

    Args:
        number: (the run's seed, the round).
    """
    regime, (replicate, round_) = protocol.regime, number
    for spec in (regime.augmentation, (regime.semi and regime.semi.strong) or regime.augmentation):
        refuse_impossible(spec, inputs.images.height, inputs.images.width)
    task = tasks.TASKS[protocol.task]
    net = _fresh(protocol, inputs.images, derive(protocol.root_seed, "model", replicate), resident.start)
    if before is not None:
        net.load_state_dict(before.state)
    initial = digest_of(protocol, net.state_dict(), resident)
    net = net.to(resident.device).to(
        memory_format=memory_format(inputs.images.height, inputs.images.width, regime.precision)
    )
    average = Ema(net, regime.ema_decay) if regime.ema_decay is not None else None
    rows, targets = (
        a.to(resident.device) for a in (torch.from_numpy(inputs.labelled.astype(np.int64)), task.targets(inputs.labels))
    )
    steps = regime.max_steps(
        len(rows) + len(inputs.useless)
    )  # every label bought counts, so that no strategy trains less
    shown, scaling = average.net if average else net, resident.scaling(inputs.pool)
    weights = class_weights(targets, len(inputs.images.classes)) if regime.imbalance == "weighted-loss" else None
    now = Round(protocol, inputs, replicate, round_, resident, scaling, net, shown, rows, targets, steps, weights)
    learner = task.learner(shown, resident, scaling, regime.precision)
    best, method = Best(learner, inputs, protocol.metric), objective(now)
    dropout = derive(protocol.root_seed, "batches", replicate, round_, "dropout")
    with own_randomness(dropout, resident.device), plain_kernels(resident.device):
        loss, made = torch.zeros(()), 0
        for made, current in enumerate(_steps(now, method, average), start=1):
            loss = current
            done = made == steps or _learned(now, method, made)
            if regime.validate_every and (made % regime.validate_every == 0 or done):
                best.consider(made)
            if done:
                break
    best.restore()
    _refuse_divergence(protocol, shown, round_)
    extra = {"final_loss": float(loss), "selected_step": float(best.step or made)} | method.extra()
    body, ended = resident.start.digest if resident.start else "", _ended(protocol, shown, resident)
    return Fit(learner, made, initial, protocol.recipe, validate(learner, inputs), extra, body, ended)


def untrained(protocol: Protocol, images: Images, pool: Indices, replicate: int, resident: Resident) -> Trained[Any]:
    """What predicts before anything is learned: the network with the weights that the first round starts from, its pretrained body included.

    Args:
        pool: (p,) images that scaling is taken from.
    """
    precision = protocol.regime.precision
    net = _fresh(protocol, images, derive(protocol.root_seed, "model", replicate), resident.start).to(resident.device)
    net = net.to(memory_format=memory_format(images.height, images.width, precision))
    return tasks.TASKS[protocol.task].learner(net, resident, resident.scaling(pool), precision)


def _fresh(protocol: Protocol, images: Images, seed: int, start: Start | None) -> nn.Module:
    """The network with the seed's own weights, of a pretrained part with those."""
    if protocol.regime.pretraining is None or start is None:
        return tasks.TASKS[protocol.task].build(protocol.model, images, seed)
    if protocol.regime.pretraining.then == "linear-probe":  # the images are embeddings by now
        return build(Model(name="linear", dropout=protocol.model.dropout), images, seed)
    task = tasks.TASKS[protocol.task]
    tuned = task.build(protocol.model, images, seed)
    task.pretrained_part(tuned).load_state_dict(start.state)
    return tuned


def digest_of(protocol: Protocol, state: Mapping[str, Tensor], resident: Resident) -> str:
    """Digest, as records have it, of all that a network with these tensors consists of, a frozen body included."""
    pretraining, start = protocol.regime.pretraining, resident.start
    if pretraining is None or start is None or pretraining.then == "fine-tune":
        return state_digest(state)
    return fingerprint(START_TAG, [start.digest, start.features, state_digest(state)])


def _ended(protocol: Protocol, net: nn.Module, resident: Resident) -> Ended | None:
    """A copy of the evaluated weights, where the next round starts from them."""
    if protocol.regime.start == "reset":
        return None
    state = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    return Ended(state, digest_of(protocol, state, resident))


def _learned(now: Round, method: Objective, made: int) -> bool:
    """Whether an epoch ends here in which the images were predicted as well as the regime asks for."""
    regime = now.regime
    return (
        regime.stop_at is not None
        and made % regime.steps_per_epoch(len(now.rows)) == 0
        and method.accuracy() >= regime.stop_at
    )


def _steps(now: Round, method: Objective, average: Ema | None) -> Iterator[Tensor]:
    """Make the steps; yield each one's loss, on the device."""
    regime, device, net = now.regime, now.resident.device, now.net
    update = optimizer(regime.optimizer, net.parameters(), device)
    late = LateMean(net) if regime.swa else None
    for step, chosen in enumerate(now.order()):
        net.train()
        rate, averaging = _pace(regime, step, now.steps)
        for group in update.param_groups:
            group["lr"] = rate
        with arithmetic(regime.precision, device):
            loss = method.loss(step, sent(chosen, device))
        update.zero_grad()
        torch.autograd.backward(loss)
        update.step()
        method.stepped(rate / regime.optimizer.lr)
        if average:
            average.update()
        if late and averaging:
            late.update(net)
        if late and step + 1 == now.steps:
            with arithmetic(regime.precision, device):
                late.take_over(net, _fresh_views(now))
        yield loss.detach()


def _pace(regime: Regime, step: int, steps: int) -> tuple[float, bool]:
    """Learning rate of a step, and whether the weights after it enter the mean of late weights."""
    start = math.ceil(regime.swa.start * steps) if regime.swa else steps
    if regime.swa is None or step < start:
        return learning_rate(regime.optimizer, step, start), False
    return regime.swa.lr, (step + 1 - start) % regime.swa.every == 0 or step + 1 == steps


def _fresh_views(now: Round) -> Iterator[Tensor]:
    """The labelled images once more, newly augmented."""
    parts = torch.split(torch.from_numpy(now.inputs.labelled.astype(np.int64)), now.regime.batch_size)
    return now.views(iter(parts), now.regime.augmentation, now.draws("augmentation", "swa"))


@dataclass
class Best:
    """The weights that did best on the validation labels; of equals the latest, which has trained longest."""

    learner: Trained[Any]
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


def validate(learner: Trained[Any], inputs: FitInputs) -> dict[str, float]:
    """Metrics on the validation labels; empty without any."""
    return learner.measured(inputs.validation, inputs.validation_labels) if len(inputs.validation) else {}


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Give dropout, which only knows the global generators, a seed of its own, and leave those generators as they were."""
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

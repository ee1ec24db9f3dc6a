"""Semi-supervised learning: pseudo-labels, mean teacher, UDA, FixMatch, FlexMatch.

Labelled images stay among the unlabelled ones. Labels of all other images are not available here. All methods pass
labelled and unlabelled images through the network together, so BatchNorm sees both.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.spec.recipe import Semi
from runners.machine.device import to_device
from runners.regimes.schedule import batches
from runners.regimes.training import Objective, Round

_WATCHED: Final = 10
"""Numbers for the record cover the last tenth of the steps."""


def annealing_threshold(kind: str, step: int, steps: int, classes: int) -> float:
    """Compute the threshold of training signal annealing.

    Xie et al. 2020, arXiv 1904.12848, section 2.3.

    η_t = α_t (1 - 1/K) + 1/K

    Args:
        kind: α_t = t/T (linear), exp(5 (t/T - 1)) (exp) or 1 - exp(-5 t/T) (log).
        step: t, from 0 to T.
        steps: T.
        classes: K.
    """
    done = step / steps
    alpha = {"linear": done, "exp": math.exp(5 * (done - 1)), "log": 1 - math.exp(-5 * done)}[kind]
    return alpha * (1 - 1 / classes) + 1 / classes


def annealed_cross_entropy(
    logits: Tensor, targets: Tensor, most: float, smoothing: float, weights: Tensor | None = None
) -> Tensor:
    """Compute the mean cross-entropy of images whose *true* class has probability `most` or less.

    The mean is over those images, not over the batch; it is 0 if there are none. With `weights` (classes,), images are
    weighted by their class.
    """
    with torch.no_grad():
        learned = (logits.softmax(1).gather(1, targets[:, None]).squeeze(1) <= most).float()
    losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    if weights is None:
        return (losses * learned).sum() / learned.sum().clamp(min=1)
    counted = learned * weights[targets]
    return (losses * counted).sum() / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


def soft_consistency(weak: Tensor, strong: Tensor, threshold: float, temperature: float) -> tuple[Tensor, Tensor]:
    """Compute the divergence of the strong view from the confident predictions of the weak view.

    That is KL(softmax(weak / T) || softmax(strong)) where max softmax(weak), not sharpened, reaches the threshold.

    Unsupervised data augmentation (UDA): Xie et al. 2020, arXiv 1904.12848.

    Args:
        weak: (u, classes) logits of the weak view.
        strong: (u, classes) logits of the strong view.

    Returns:
        Mean over all u images, where those below the threshold count 0; and (u,) bool, which images were learned from.
    """
    with torch.no_grad():
        target = (weak / temperature).softmax(1)
        mask = weak.softmax(1).amax(1) >= threshold
    divergence = F.kl_div(strong.log_softmax(1), target, reduction="none").sum(1)
    return (divergence * mask).mean(), mask


def hard_consistency(weak: Tensor, strong: Tensor, thresholds: Tensor | float) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy of the strong view with the confident predictions of the weak view.

    The target is argmax(weak) where max softmax(weak) reaches the threshold.

    FixMatch: Sohn et al. 2020, arXiv 2001.07685, equation 4.

    Args:
        weak, strong: logits (u, classes) of the two views.
        thresholds: one number, or one per image (u,).

    Returns:
        Mean over all u images, those below the threshold counting 0; and (u,) which were learned from.
    """
    with torch.no_grad():
        confidence, target = weak.softmax(1).max(1)
        mask = confidence >= thresholds
    return (F.cross_entropy(strong, target, reduction="none") * mask).mean(), mask


class Curriculum:
    """FlexMatch's threshold per class.

    Zhang et al. 2021, arXiv 2110.08263, equations 5 to 11, convex mapping.

    A class whose images are rarely predicted with confidence gets a lower threshold.
    """

    def __init__(self, images: int, classes: int, threshold: float, device: torch.device) -> None:
        # the last entry takes the writes of images that are not confident
        self._last = torch.full((images + 1,), -1, dtype=torch.int64, device=device)
        self._classes, self._threshold = classes, threshold

    def thresholds(self) -> Tensor:
        """Return (classes,) thresholds: threshold × β / (2 - β).

        β is the class's count divided by the largest count; images not yet seen count as one further class.
        """
        counts = torch.bincount(self._last[:-1] + 1, minlength=self._classes + 1)
        share = counts[1:] / counts.max()
        return self._threshold * share / (2 - share)

    def learn(self, places: Tensor, weak: Tensor) -> None:
        """Store the class of every image predicted with at least the fixed threshold.

        Args:
            places: (u,) positions in the pool.
            weak: (u, classes) logits.
        """
        confidence, predicted = weak.detach().softmax(1).max(1)
        confident = confidence >= self._threshold
        # indexed by places, not by a mask, which would wait for the device
        self._last[torch.where(confident, places, len(self._last) - 1)] = predicted


class _PoolObjective(Objective):
    """Base of the methods: pool batches, their loss weight, and accuracy of pseudo-labels."""

    def __init__(self, now: Round, semi: Semi) -> None:
        self._now, self._semi = now, semi
        self._pool = torch.from_numpy(np.sort(now.inputs.pool)).to(now.resident.device)
        self._order, self._labelled = self._batches(), now.labelled_views()
        pool = self._pool.cpu()
        specs = {"weak": now.regime.augmentation, "strong": semi.strong or now.regime.augmentation}
        self._views = {
            name: now.views((pool[places] for places in self._batches()), spec, now.draws("augmentation", name))
            for name, spec in specs.items()
        }
        self._labels = torch.full((now.inputs.images.n,), -1, dtype=torch.int64, device=now.resident.device)
        self._labels[now.rows] = now.targets
        self._counts = torch.zeros(4, dtype=torch.int64, device=now.resident.device)

    def _batches(self) -> Iterator[Tensor]:
        """Yield positions in the pool for each step, on the CPU.

        Every call gives the same order.
        """
        now = self._now
        return batches(len(self._pool), self._semi.unlabelled_batch, now.steps, now.draws("batches", "unlabelled"))

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Compute the supervised loss plus the weighted loss on pool images."""
        now = self._now
        places = to_device(next(self._order), now.resident.device)
        supervised, unsupervised, weak, mask = self._losses(step, next(self._labelled), now.targets[chosen], places)
        if step >= now.steps - max(1, now.steps // _WATCHED):
            self._count(self._labels[self._pool[places]], weak, mask)
        return supervised + self._weight(step) * unsupervised

    @abstractmethod
    def _losses(
        self,
        step: int,
        labelled: Tensor,
        targets: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the losses of one step.

        Returns:
            Supervised loss, loss on pool images, (u, classes) logits that gave their targets, and (u,) bool, which
            pool images were learned from.
        """

    def _weight(self, step: int) -> float:
        done = min(1.0, step / self._semi.ramp_steps) if self._semi.ramp_steps else 1.0
        return self._semi.weight * done

    def _together(self, *parts: Tensor) -> list[Tensor]:
        """Return float32 logits of several batches from one forward pass."""
        logits = self._now.net(torch.cat(parts)).float()
        return list(logits.split([len(part) for part in parts]))

    def _count(self, labels: Tensor, weak: Tensor, mask: Tensor) -> None:
        judged = mask & (labels >= 0)
        correct = judged & (weak.detach().argmax(1) == labels)
        self._counts += torch.stack([mask.sum(), torch.full_like(mask.sum(), len(mask)), correct.sum(), judged.sum()])

    def extra(self) -> dict[str, float]:
        """Return `mask_ratio` and `pseudo_label_accuracy` over the last tenth of the steps.

        `mask_ratio` is the share of pool images learned from. `pseudo_label_accuracy` is the accuracy on those of
        them that are labelled; it is optimistic, since their labels are trained on, and is left out if there are
        none.
        """
        learned, all_images, correct, judged = self._counts.tolist()
        return {"mask_ratio": learned / all_images} | ({"pseudo_label_accuracy": correct / judged} if judged else {})


class PseudoLabel(_PoolObjective):
    """Pseudo-labels: the most probable class is the label of each pool image.

    Lee 2013, equations 15 and 16.
    """

    def _losses(
        self,
        step: int,
        labelled: Tensor,
        targets: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ours, weak = self._together(labelled, next(self._views["weak"]))
        loss, mask = hard_consistency(weak, weak, self._semi.threshold)
        return self._now.cross_entropy(ours, targets), loss, weak, mask


class MeanTeacher(_PoolObjective):
    """Mean teacher: agree with the moving average of the weights on another view.

    Tarvainen & Valpola 2017, arXiv 1703.01780.

    Mean squared error between class probabilities, over images and classes; the teacher is in evaluation mode.
    """

    def _losses(
        self,
        step: int,
        labelled: Tensor,
        targets: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ours, student = self._together(labelled, next(self._views["weak"]))
        with torch.no_grad():
            teacher = self._now.evaluated.eval()(next(self._views["strong"])).float()
        loss = F.mse_loss(student.softmax(1), teacher.softmax(1))
        return (
            self._now.cross_entropy(ours, targets),
            loss,
            teacher,
            torch.ones(len(places), dtype=torch.bool, device=student.device),
        )

    def _weight(self, step: int) -> float:
        done = min(1.0, step / self._semi.ramp_steps) if self._semi.ramp_steps else 1.0
        return self._semi.weight * math.exp(-5 * (1 - done) ** 2)


class Uda(_PoolObjective):
    """Unsupervised data augmentation (Xie et al. 2020, arXiv 1904.12848)."""

    def _losses(
        self,
        step: int,
        labelled: Tensor,
        targets: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ours, weak, strong = self._together(labelled, next(self._views["weak"]), next(self._views["strong"]))
        loss, mask = soft_consistency(weak, strong, self._semi.threshold, self._semi.temperature)
        if self._semi.tsa == "none":
            return self._now.cross_entropy(ours, targets), loss, weak, mask
        most = annealing_threshold(self._semi.tsa, step, self._now.steps, ours.shape[1])
        return (
            annealed_cross_entropy(ours, targets, most, self._now.regime.label_smoothing, self._now.weights),
            loss,
            weak,
            mask,
        )


class FixMatch(_PoolObjective):
    """FixMatch (Sohn et al. 2020, arXiv 2001.07685)."""

    def _losses(
        self,
        step: int,
        labelled: Tensor,
        targets: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ours, weak, strong = self._together(labelled, next(self._views["weak"]), next(self._views["strong"]))
        loss, mask = hard_consistency(weak, strong, self._thresholds(places, weak))
        return self._now.cross_entropy(ours, targets), loss, weak, mask

    def _thresholds(self, places: Tensor, weak: Tensor) -> Tensor | float:  # FlexMatch's differ per image
        return self._semi.threshold


class FlexMatch(FixMatch):
    """FixMatch with one threshold per class, which rises as the class is learned.

    Zhang et al. 2021, arXiv 2110.08263.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        self._curriculum = Curriculum(
            len(self._pool), len(now.inputs.images.classes), semi.threshold, now.resident.device
        )

    def _thresholds(self, places: Tensor, weak: Tensor) -> Tensor:
        thresholds = self._curriculum.thresholds()[weak.detach().argmax(1)]
        self._curriculum.learn(places, weak)
        return thresholds


METHODS: Final[dict[str, Callable[[Round, Semi], Objective]]] = {
    "pseudo-label": PseudoLabel,
    "mean-teacher": MeanTeacher,
    "uda": Uda,
    "fixmatch": FixMatch,
    "flexmatch": FlexMatch,
}
"""Semi-supervised methods by the name in `regime.method`."""

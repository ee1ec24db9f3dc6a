"""Learning from the pool's images as well: pseudo-labels, mean teacher, UDA, FixMatch, FlexMatch.

Images already labelled stay among the unlabelled ones; labels of the others are nowhere here. All methods
pass labelled and unlabelled images through the network together, so BatchNorm sees both.
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
from runners.machine.device import sent
from runners.regimes.schedule import batches
from runners.regimes.training import Objective, Round

_WATCHED: Final = 10
"""The record speaks of the last tenth of the steps."""


def annealing_threshold(kind: str, step: int, steps: int, classes: int) -> float:
    """Training signal annealing: η_t = α_t (1 - 1/K) + 1/K (Xie et al. 2020, arXiv 1904.12848, section 2.3).

    Args:
        kind: α_t = t/T (linear), exp(5 (t/T - 1)) (exp) or 1 - exp(-5 t/T) (log).
        step: t in 0 … T.
    """
    done = step / steps
    alpha = {"linear": done, "exp": math.exp(5 * (done - 1)), "log": 1 - math.exp(-5 * done)}[kind]
    return alpha * (1 - 1 / classes) + 1 / classes


def annealed_cross_entropy(
    logits: Tensor, targets: Tensor, most: float, smoothing: float, weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of the images whose *true* class has a probability up to `most`; 0 if there are none.

    The mean is over those images, not the batch; with `weights` (classes,), each counts as its class does.
    """
    with torch.no_grad():
        learned = (logits.softmax(1).gather(1, targets[:, None]).squeeze(1) <= most).float()
    losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    if weights is None:
        return (losses * learned).sum() / learned.sum().clamp(min=1)
    counted = learned * weights[targets]
    return (losses * counted).sum() / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


def soft_consistency(weak: Tensor, strong: Tensor, threshold: float, temperature: float) -> tuple[Tensor, Tensor]:
    """UDA: KL(softmax(weak / T) || softmax(strong)) where max softmax(weak), not sharpened, reaches the threshold.

    Args:
        weak, strong: logits (u, classes) of the two views.

    Returns:
        Mean over all u images, those below the threshold counting 0; and (u,) which were learned from.
    """
    with torch.no_grad():
        target = (weak / temperature).softmax(1)
        mask = weak.softmax(1).amax(1) >= threshold
    divergence = F.kl_div(strong.log_softmax(1), target, reduction="none").sum(1)
    return (divergence * mask).mean(), mask


def hard_consistency(weak: Tensor, strong: Tensor, thresholds: Tensor | float) -> tuple[Tensor, Tensor]:
    """FixMatch: cross-entropy of the strong view with argmax(weak) where max softmax(weak) reaches the threshold.

    Sohn et al. 2020, arXiv 2001.07685, equation 4.

    Args:
        weak, strong: logits (u, classes) of the two views.
        thresholds: one, or (u,).

    Returns:
        Mean over all u images, those below the threshold counting 0; and (u,) which were learned from.
    """
    with torch.no_grad():
        confidence, target = weak.softmax(1).max(1)
        mask = confidence >= thresholds
    return (F.cross_entropy(strong, target, reduction="none") * mask).mean(), mask


class Curriculum:
    """FlexMatch's threshold a class (Zhang et al. 2021, arXiv 2110.08263, equations 5 to 11, convex mapping).

    A class whose images are rarely predicted with confidence gets a lower threshold.
    """

    def __init__(self, images: int, classes: int, threshold: float, device: torch.device) -> None:
        self._last = torch.full(
            (images + 1,), -1, dtype=torch.int64, device=device
        )  # and a place for what is not to be remembered
        self._classes, self._threshold = classes, threshold

    def thresholds(self) -> Tensor:
        """(classes,) threshold times β / (2 - β), β = a class's share of the largest count; unseen images count as a class."""
        counts = torch.bincount(self._last[:-1] + 1, minlength=self._classes + 1)
        share = counts[1:] / counts.max()
        return self._threshold * share / (2 - share)

    def learn(self, places: Tensor, weak: Tensor) -> None:
        """Remember the class of every image predicted with at least the fixed threshold.

        Args:
            places: (u,) positions in the pool.
            weak: (u, classes) logits.
        """
        confidence, predicted = weak.detach().softmax(1).max(1)
        kept = confidence >= self._threshold
        self._last[torch.where(kept, places, len(self._last) - 1)] = (
            predicted  # by places, not by a mask: nothing waits for the device
        )


class _PoolObjective(Objective):
    """What the methods share: batches from the pool, their weight, and how pseudo-labels did on images whose label is owned."""

    def __init__(self, now: Round, semi: Semi) -> None:
        self._now, self._semi = now, semi
        self._pool = torch.from_numpy(np.sort(now.inputs.pool)).to(now.resident.device)
        self._order, self._labelled = self._batches(), now.labelled_views()
        pool, specs = (
            self._pool.cpu(),
            {"weak": now.regime.augmentation, "strong": semi.strong or now.regime.augmentation},
        )
        self._views = {
            name: now.views((pool[places] for places in self._batches()), spec, now.draws("augmentation", name))
            for name, spec in specs.items()
        }
        self._known = torch.full((now.inputs.images.n,), -1, dtype=torch.int64, device=now.resident.device)
        self._known[now.rows] = now.targets
        self._seen = torch.zeros(4, dtype=torch.int64, device=now.resident.device)

    def _batches(self) -> Iterator[Tensor]:
        """Positions in the pool, step by step, on the CPU; the same whenever they are asked for."""
        now = self._now
        return batches(len(self._pool), self._semi.unlabelled_batch, now.steps, now.draws("batches", "unlabelled"))

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Supervised loss plus the weighted loss on pool images."""
        now = self._now
        places = sent(next(self._order), now.resident.device)
        supervised, unsupervised, weak, mask = self._losses(step, next(self._labelled), now.targets[chosen], places)
        if step >= now.steps - max(1, now.steps // _WATCHED):
            self._watch(self._known[self._pool[places]], weak, mask)
        return supervised + self._weight(step) * unsupervised

    @abstractmethod
    def _losses(
        self,
        step: int,
        labelled: Tensor,
        targets: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Supervised loss, loss on the pool images, their logits that gave the targets, and which were learned from."""

    def _weight(self, step: int) -> float:
        done = min(1.0, step / self._semi.ramp_steps) if self._semi.ramp_steps else 1.0
        return self._semi.weight * done

    def _together(self, *parts: Tensor) -> list[Tensor]:
        """Logits of several batches from one pass, float32."""
        logits = self._now.net(torch.cat(parts)).float()
        return list(logits.split([len(part) for part in parts]))

    def _watch(self, known: Tensor, weak: Tensor, mask: Tensor) -> None:
        judged = mask & (known >= 0)
        right = judged & (weak.detach().argmax(1) == known)
        self._seen += torch.stack([mask.sum(), torch.full_like(mask.sum(), len(mask)), right.sum(), judged.sum()])

    def extra(self) -> dict[str, float]:
        """`mask_ratio`: share of pool images learned from; `pseudo_label_accuracy`: of those whose label is owned; last tenth of the steps.

        Owned labels are trained on, so the accuracy flatters; it is left out if no such image was learned from.
        """
        learned, seen, right, judged = self._seen.tolist()
        return {"mask_ratio": learned / seen} | ({"pseudo_label_accuracy": right / judged} if judged else {})


class PseudoLabel(_PoolObjective):
    """The network's own most probable class as the label of each pool image (Lee 2013, equations 15 and 16)."""

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
    """Agree with the moving average of oneself on another view (Tarvainen & Valpola 2017, arXiv 1703.01780).

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
    """Sohn et al. 2020, arXiv 2001.07685."""

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

    def _thresholds(self, places: Tensor, weak: Tensor) -> Tensor | float:  # FlexMatch's differ from image to image
        return self._semi.threshold


class FlexMatch(FixMatch):
    """FixMatch with a threshold a class that grows with what the class has learned (Zhang et al. 2021, arXiv 2110.08263)."""

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        self._curriculum = Curriculum(
            len(self._pool), len(now.inputs.images.classes), semi.threshold, now.resident.device
        )

    def _thresholds(self, places: Tensor, weak: Tensor) -> Tensor:
        now = self._curriculum.thresholds()[weak.detach().argmax(1)]
        self._curriculum.learn(places, weak)
        return now


METHODS: Final[dict[str, Callable[[Round, Semi], Objective]]] = {
    "pseudo-label": PseudoLabel,
    "mean-teacher": MeanTeacher,
    "uda": Uda,
    "fixmatch": FixMatch,
    "flexmatch": FlexMatch,
}
"""Semi-supervised methods by the name that `regime.method` gives."""

"""UniMatch: one weak view teaches two mixed strong views and itself with features dropped (Yang et al. 2023, arXiv 2208.09910)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.metrics import VOID
from protocol.spec.recipe import Semi
from runners.machine.device import sent
from runners.models.dense import DenseNet
from runners.models.learner import to_memory_format
from runners.regimes.augment.images_and_masks import jitter_colours
from runners.regimes.methods.pool_maps import PoolMapObjective, boxes, mix_boxes, pseudo_labels
from runners.regimes.methods.supervised_maps import pixel_cross_entropy
from runners.regimes.training import Round

DROPPED: Final = 0.5
"""Share of the encoder's channels that the perturbed stream does without."""
STRONG, PERTURBED = 0.25, 0.5
"""Shares of the two strong streams, each, and of the perturbed one in the loss on pool images (equation 8, λ = μ = 1/2)."""


def consistency(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that show something; those without a label count 0.

    Args:
        logits: (u, classes, height, width); labels: (u, height, width), void where the teacher is unsure; known: (u, height, width) bool.
    """
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=VOID, reduction="sum")
    return total / known.sum().clamp(min=1)


class UniMatch(PoolMapObjective):
    """(supervised + weight × (s1 / 4 + s2 / 4 + perturbed / 2)) / 2, by the network's own sure pixels of the weak view.

    Strong views are the weak one with colours changed and, by CutMix, a box of the batch's next image in it; the paper also greys and
    blurs them, and mixes with images of a second batch that the network is shown in evaluation mode.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        self._colours, self._boxes = (now.draws("augmentation", key) for key in ("strong", "boxes"))
        self._learned = torch.zeros((), dtype=torch.float64, device=now.resident.device)
        self._steps = 0

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Half of the supervised loss, half of the weighted loss on pool images."""
        now, net = self._now, self._now.net
        if not isinstance(net, DenseNet):
            raise TypeError(f"expected a DenseNet, found {type(net).__name__}")
        x, maps = self._ours(chosen)
        u, known = self._theirs()
        logits, perturbed = net.perturbed(torch.cat([x, u]), len(x), DROPPED)
        ours, theirs = logits[: len(x)].float(), logits[len(x) :].float()
        labels = pseudo_labels(theirs.detach(), self._semi.threshold, known)
        streams = [self._strong(u, labels, known) for _ in range(2)]
        strong = net(torch.cat([view for view, _, _ in streams])).chunk(2)
        taught = PERTURBED * consistency(perturbed, labels, known)
        for told, (_, mixed_labels, mixed_known) in zip(strong, streams, strict=True):
            taught = taught + STRONG * consistency(told, mixed_labels, mixed_known)
        self._learned += (labels != VOID).sum() / known.sum().clamp(min=1)
        self._steps += 1
        supervised = pixel_cross_entropy(ours, maps, now.regime.label_smoothing)
        return (supervised + self._weight(step) * taught) / 2

    @torch.no_grad()
    def _strong(self, u: Tensor, labels: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Another strong view of weak ones, its labels, and where it shows something."""
        strength = self._semi.strong.colour if self._semi.strong else 0.0
        with torch.autocast(u.device.type, enabled=False):
            factors = 1 + strength * (2 * torch.rand((3, len(u)), generator=self._colours) - 1)
            x = self._now.scaling(jitter_colours(self._grey_values(u), factors, strength)) * known[:, None]
        inside = sent(boxes(len(u), u.shape[2], u.shape[3], self._boxes), u.device)
        view, told = mix_boxes(x, labels, inside)
        return to_memory_format(view, self._now.regime.precision), told, mix_boxes(x, known, inside)[1]

    def extra(self) -> dict[str, float]:
        """`mask_ratio`: share of the pool images' pixels that were learned from, over the round."""
        return {"mask_ratio": float(self._learned) / max(1, self._steps)}

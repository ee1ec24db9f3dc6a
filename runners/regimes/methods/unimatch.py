"""UniMatch: a weak view teaches two mixed strong views, and itself with dropped features.

Yang et al. 2023, arXiv 2208.09910.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.metrics import VOID
from protocol.spec.recipe import Semi
from runners.machine.device import to_device
from runners.models.dense import DenseNet
from runners.models.learner import to_memory_format
from runners.regimes.augment.images_and_masks import jitter_colours
from runners.regimes.methods.pool_maps import PoolMapObjective, boxes, mix_boxes, pseudo_labels
from runners.regimes.methods.supervised_maps import pixel_cross_entropy
from runners.regimes.training import Round

DROPPED: Final = 0.5
"""Share of the encoder's channels dropped in the perturbed stream."""
STRONG, PERTURBED = 0.25, 0.5
"""Weights of each strong stream and of the perturbed stream in the loss on pool images (equation 8, λ = μ = 1/2)."""


def consistency(logits: Tensor, labels: Tensor, visible: Tensor) -> Tensor:
    """Compute the mean cross-entropy over the visible pixels; those without a pseudo-label count 0.

    Args:
        logits: (u, classes, height, width).
        labels: (u, height, width) pseudo-labels, void where the weak view is not confident.
        visible: (u, height, width) bool, false where the view lies outside the image.
    """
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=VOID, reduction="sum")
    return total / visible.sum().clamp(min=1)


class UniMatch(PoolMapObjective):
    """UniMatch with pseudo-labels of the weak view.

    The loss is (supervised + weight × (strong 1 / 4 + strong 2 / 4 + perturbed / 2)) / 2.

    Strong views are the weak view with changed colours and, by CutMix, a box of the batch's next image. The paper
    also converts to grey, blurs, and mixes with images of a second batch that the network sees in evaluation mode.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        self._colours, self._boxes = (now.draws("augmentation", key) for key in ("strong", "boxes"))
        self._learned = torch.zeros((), dtype=torch.float64, device=now.resident.device)
        self._steps = 0

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Compute half of the supervised loss plus half of the weighted loss on pool images."""
        now, net = self._now, self._now.net
        if not isinstance(net, DenseNet):
            raise TypeError(f"expected a DenseNet, found {type(net).__name__}")
        x, maps = self._labelled_batch(chosen)
        u, visible = self._pool_batch()
        logits, perturbed = net.perturbed(torch.cat([x, u]), len(x), DROPPED)
        ours, theirs = logits[: len(x)].float(), logits[len(x) :].float()
        labels = pseudo_labels(theirs.detach(), self._semi.threshold, visible)
        streams = [self._strong(u, labels, visible) for _ in range(2)]
        strong = net(torch.cat([view for view, _, _ in streams])).chunk(2)
        unsupervised = PERTURBED * consistency(perturbed, labels, visible)
        for stream, (_, mixed_labels, mixed_visible) in zip(strong, streams, strict=True):
            unsupervised = unsupervised + STRONG * consistency(stream, mixed_labels, mixed_visible)
        self._learned += (labels != VOID).sum() / visible.sum().clamp(min=1)
        self._steps += 1
        supervised = pixel_cross_entropy(ours, maps, now.regime.label_smoothing)
        return (supervised + self._weight(step) * unsupervised) / 2

    @torch.no_grad()
    def _strong(self, u: Tensor, labels: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw strong views of weak ones.

        Return them, their labels, and where they lie inside an image.
        """
        strength = self._semi.strong.colour if self._semi.strong else 0.0
        with torch.autocast(u.device.type, enabled=False):
            factors = 1 + strength * (2 * torch.rand((3, len(u)), generator=self._colours) - 1)
            x = self._now.scaling(jitter_colours(self._grey_values(u), factors, strength)) * visible[:, None]
        inside = to_device(boxes(len(u), u.shape[2], u.shape[3], self._boxes), u.device)
        view, mixed_labels = mix_boxes(x, labels, inside)
        return to_memory_format(view, self._now.regime.precision), mixed_labels, mix_boxes(x, visible, inside)[1]

    def extra(self) -> dict[str, float]:
        """Return `mask_ratio`: the share of pool pixels that were learned from, over the round."""
        return {"mask_ratio": float(self._learned) / max(1, self._steps)}

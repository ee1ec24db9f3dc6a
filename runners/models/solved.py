"""Predictions of solved linear heads, from scaled features that are computed once."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from runners.models.learner import LARGEST_TABLE, Learner, Predictions
from runners.models.net import Net
from runners.models.resident import Resident, Scaling

BLOCK: Final = 1024
"""Images whose logits are computed in one product, always the same ones, so that no byte depends on what is asked."""


class SolvedLearner(Learner):
    """A linear classifier of scaled features; the logits of a block of images are computed when first needed."""

    def __init__(self, net: Net, resident: Resident, scaling: Scaling) -> None:
        super().__init__(net, resident, scaling, "float32")
        images, classes = len(resident.pixels), net.head.out_features
        self._logits = torch.empty(images, classes, device=resident.device)
        self._known = np.zeros(-(-images // BLOCK), bool)

    @torch.no_grad()
    def predict(self, indices: Indices) -> Predictions:
        """Compute class probabilities; the scaled features, which are the embeddings, only if they are read."""
        return Predictions(self._of(indices).softmax(1), lambda: self._resident.scaled_rows(self.scaling, indices))

    @torch.no_grad()
    def labels(self, indices: Indices) -> NDArray[np.int64]:
        """Return (m,) most probable classes; the first of equals."""
        return self._of(indices).argmax(1).cpu().numpy()

    @torch.no_grad()
    def classes_and_log_probabilities(
        self, indices: Indices, tables: bool = True
    ) -> tuple[NDArray[np.int64], NDArray[np.float16] | None]:
        """Return most probable classes and log-probabilities; see `Learner`."""
        logits = self._of(indices)
        if not tables or logits.numel() > LARGEST_TABLE:
            return self.labels(indices), None
        return logits.argmax(1).cpu().numpy(), logits.log_softmax(1).half().cpu().numpy()

    def _of(self, indices: Indices) -> Tensor:
        """Return the logits (m, classes) of images."""
        needed = np.flatnonzero(np.bincount(indices // BLOCK, minlength=len(self._known)))
        weight, bias = self.net.head.weight.detach(), self.net.head.bias.detach()
        for number in needed[~self._known[needed]].tolist():
            start, stop = number * BLOCK, min((number + 1) * BLOCK, len(self._logits))
            with self._computing():
                x = self._resident.scaled(self.scaling, start, stop)
                torch.addmm(bias, x, weight.T, out=self._logits[start:stop])
            self._known[number] = True
        return self._logits[torch.from_numpy(np.asarray(indices, np.int64)).to(self.device)]

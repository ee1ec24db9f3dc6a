"""ALFA-Mix: images whose prediction flips when a little of a labelled one is mixed in (Parvaneh et al. 2022, arXiv 2203.07191)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View


class AlfaMix(Strategy):
    """Mixes into every image's embedding the mean embedding of each labelled class, as adversely as the closed form of alpha does.

    Images whose predicted class changes are candidates; the strength of mixing starts at `step` and grows by it until there are
    more than n of them or it reaches 1. The candidates are clustered into n groups by k-means on unit vectors, and the one
    nearest each centre is bought. What is missing to n is drawn at random from the rest, without repetition.

    Args:
        step: strength of mixing added at a time, in (0, 1]; the authors' value is 1/32.
        most: bound on the candidates that are clustered (at least n); beyond it they are drawn at random.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings", "classifier_head")
    paper = "Parvaneh et al. 2022, arXiv 2203.07191"
    cost = "O(u d k + m n d), m candidates"

    def __init__(self, step: float = 1 / 32, most: int = 20_000) -> None:
        faults = []
        if not 0 < step <= 1:
            faults.append(Fault("alfa-mix: step", "a number in (0, 1]", str(step)))
        if most < 1:
            faults.append(Fault("alfa-mix: most", "an integer >= 1", str(most)))
        if faults:
            raise InputError(faults)
        self.step, self.most = step, most

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Centres of the candidates first, then what is missing at random."""
        points, (weight, bias) = view.embeddings.float(), view.classifier_head
        anchors = class_means(view.labelled_embeddings.float(), torch.from_numpy(view.labels.copy()), view.classes)
        flip = flipping_strength(points, anchors, weight.float(), bias.float()) * math.sqrt(points.shape[1])
        candidates = np.flatnonzero(candidates_of(flip.cpu().numpy(), n, self.step))
        if len(candidates) > (most := max(n, self.most)):
            candidates = np.sort(rng.choice(candidates, most, replace=False))
        chosen = candidates
        if len(candidates) > n:
            features = F.normalize(points[torch.from_numpy(candidates).to(points.device)], dim=1)
            chosen = candidates[nearest_to_centres(features.cpu().numpy(), n, rng)]
        rest = np.setdiff1d(np.arange(len(points)), chosen)
        extra = rng.choice(rest, n - len(chosen), replace=False)
        selection: Indices = view.unlabelled[np.concatenate([chosen, extra])]
        return selection


def class_means(embeddings: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(k, d) mean embedding of each class; of all labelled images for a class that has none.

    Args:
        embeddings: (l, d), l >= 1; labels: (l,) int64.
    """
    member = F.one_hot(labels.to(embeddings.device), classes).to(embeddings.dtype)
    counts = member.sum(0)[:, None]
    return torch.where(counts > 0, member.T @ embeddings / counts.clamp(min=1), embeddings.mean(0))


def optimal_alpha(point: Tensor, anchor: Tensor, gradient: Tensor, strength: float) -> Tensor:
    """(d,) alpha = strength * ‖z* - z‖ / ‖g‖ * g / (z* - z), elementwise (equation 5); g is the loss's gradient by z."""
    towards = anchor - point
    length: Tensor = strength * towards.norm() / gradient.norm()
    return length * gradient / towards


def flipping_strength(points: Tensor, anchors: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(u,) smallest strength at which the optimally mixed embedding is predicted as another class; inf: none does.

    (1 - alpha) z + alpha z* with alpha of equation 5 is z + strength * ‖z* - z‖ * g / ‖g‖: every anchor moves z in the same
    direction, the farthest one farthest. The head is linear, so a rival class j overtakes the predicted y where
    logit_y - logit_j = strength * ‖z* - z‖ * (slope_j - slope_y), slope = weight @ g / ‖g‖. No embedding is ever mixed.

    Args:
        points: (u, d); anchors: (k, d); weight: (k, d); bias: (k,).
    """
    logits = points @ weight.T + bias
    predicted = logits.argmax(1, keepdim=True)
    # cross-entropy against the predicted class: its gradient by z is (p - onehot(y)) @ weight
    gradient = (logits.softmax(1) - F.one_hot(predicted[:, 0], len(weight))) @ weight
    slopes = F.normalize(gradient, dim=1) @ weight.T
    reach = torch.cdist(points, anchors, compute_mode="donot_use_mm_for_euclid_dist").amax(1, keepdim=True)
    gap = logits.gather(1, predicted) - logits
    gain = reach * (slopes - slopes.gather(1, predicted))
    needed = torch.where(gain > 0, gap / gain, torch.inf)
    return needed.scatter(1, predicted, torch.inf).amin(1)


def candidates_of(needed: NDArray[np.float32], n: int, step: float) -> NDArray[np.bool_]:
    """(u,) which images flip at the first strength step, 2 step, … that flips more than n of them, or at the last one up to 1."""
    strengths = step * np.arange(1, math.ceil(1 / step - 1e-9) + 1)
    enough = np.flatnonzero(np.searchsorted(np.sort(needed), strengths) > n)
    flips: NDArray[np.bool_] = needed < strengths[enough[0] if len(enough) else -1]
    return flips


def nearest_to_centres(features: NDArray[np.float32], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of at most n features: of each k-means cluster the member nearest its centre; fewer if features repeat."""
    if len(np.unique(features, axis=0)) <= n:
        _, first = np.unique(features, axis=0, return_index=True)
        return np.sort(first)
    fitted = KMeans(n_clusters=n, n_init=1, random_state=int(rng.integers(2**31))).fit(features)
    distance = ((features - fitted.cluster_centers_[fitted.labels_]) ** 2).sum(1)
    order = np.lexsort((distance, fitted.labels_))
    _, first = np.unique(fitted.labels_[order], return_index=True)
    nearest: NDArray[np.int64] = order[first].astype(np.int64)
    return nearest

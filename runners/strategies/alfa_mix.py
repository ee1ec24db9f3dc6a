"""ALFA-Mix (Parvaneh et al. 2022, arXiv 2203.07191).

It selects images whose prediction flips when a labelled image is mixed in.
"""

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
    """Select images whose predicted class flips when features of labelled classes are mixed in.

    The mean embedding of each labelled class is mixed into every image's embedding, as adversely as the closed form of
    alpha allows. Images whose predicted class changes are candidates. The strength of mixing starts at `step` and grows
    by `step` until there are more than n candidates or it reaches 1. The candidates are clustered into n groups by
    k-means on unit vectors, and the candidate nearest to each centre is selected. If fewer than n are found, the rest
    is drawn at random.

    Args:
        step: increase of the strength of mixing, in (0, 1]; the authors use 1/32.
        most: largest number of candidates to cluster (at least n); if there are more, a random subset is clustered.
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
        """Return the candidates nearest to the centres, then random images up to n."""
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
    """Return the mean embedding of each class, shape (k, d).

    A class without labelled images gets the mean over all labelled images.

    Args:
        embeddings: embeddings of the labelled images, shape (l, d), l >= 1.
        labels: their classes, shape (l,), int64.
        classes: number of classes k.
    """
    member = F.one_hot(labels.to(embeddings.device), classes).to(embeddings.dtype)
    counts = member.sum(0)[:, None]
    return torch.where(counts > 0, member.T @ embeddings / counts.clamp(min=1), embeddings.mean(0))


def flipping_strength(points: Tensor, anchors: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the smallest strength of mixing that changes each prediction, shape (u,).

    It is infinite if none does.

    Equation 5 gives alpha = strength * ‖z* - z‖ / ‖g‖ * g / (z* - z), with g the gradient of the loss by z. The mixture
    (1 - alpha) z + alpha z* is then z + strength * ‖z* - z‖ * g / ‖g‖: every anchor z* moves z in the same direction,
    and the farthest anchor moves it farthest. The head is linear, so a rival class j overtakes the predicted class y
    where logit_y - logit_j = strength * ‖z* - z‖ * (slope_j - slope_y), with slope = weight @ g / ‖g‖. No embedding is
    ever mixed.

    Args:
        points: embeddings, shape (u, d).
        anchors: mean embeddings of the classes, shape (k, d).
        weight, bias: the last layer, shapes (k, d) and (k,).
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
    """Return which images flip, shape (u,), at the first strength that flips more than n of them.

    Strengths are step, 2 step, ... up to 1; if none flips more than n images, the last one counts.

    Args:
        needed: smallest strength that flips each image, shape (u,).
        n: number of images to select.
        step: increase of the strength.
    """
    strengths = step * np.arange(1, math.ceil(1 / step - 1e-9) + 1)
    enough = np.flatnonzero(np.searchsorted(np.sort(needed), strengths) > n)
    flips: NDArray[np.bool_] = needed < strengths[enough[0] if len(enough) else -1]
    return flips


def nearest_to_centres(features: NDArray[np.float32], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the position of the member nearest to each of n k-means centres; fewer if features repeat."""
    if len(np.unique(features, axis=0)) <= n:
        _, first = np.unique(features, axis=0, return_index=True)
        return np.sort(first)
    fitted = KMeans(n_clusters=n, n_init=1, random_state=int(rng.integers(2**31))).fit(features)
    distance = ((features - fitted.cluster_centers_[fitted.labels_]) ** 2).sum(1)
    order = np.lexsort((distance, fitted.labels_))
    _, first = np.unique(fitted.labels_[order], return_index=True)
    nearest: NDArray[np.int64] = order[first].astype(np.int64)
    return nearest

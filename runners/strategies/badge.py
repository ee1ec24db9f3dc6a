"""BADGE (Ash et al. 2020, arXiv 1906.03671): k-means++ seeding on gradient embeddings.

The embeddings are never formed. The gradient embedding of image i is g_i = r_i ⊗ e_i (residual and penultimate
embedding), so that ⟨g_i, g_j⟩ = ⟨r_i, r_j⟩ ⟨e_i, e_j⟩ and ‖g_i - g_j‖² follows from the factors: O(u (k + d)) memory
instead of O(u k d).
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import GradientFactors, Need, View

_ROWS: Final = 8192
_REFRESH: Final = 128
"""Number of new centres after which all weights are updated by matrix products."""
_TRIES: Final = 16
"""Number of proposals drawn at once."""
_NOISE: Final = 1e-6
"""Squared distances below this share of the squared norms are rounding errors of float32 and count as 0."""


class Badge(Strategy):
    """Draw images with large and diverse gradients: k-means++ seeding on gradient embeddings.

    Images are drawn one by one, with probability proportional to the squared distance of their gradient embedding to
    the nearest one drawn so far. The first is the image with the largest gradient, as in the authors' code. Labelled
    images are no centres.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradient_factors",)
    paper = "Ash et al. 2020, arXiv 1906.03671"
    cost = "O(n u (k + d)), by matrix products"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the drawn images, in order."""
        return view.unlabelled[d2_sampling(view.gradient_factors, n, rng)]


def d2_weights(
    factors: GradientFactors, centres: Indices, rows: Tensor | None = None, norms: Tensor | None = None
) -> Tensor:
    """Return squared distances of gradient embeddings to the nearest centre, float64.

    Args:
        factors: factors of all u gradient embeddings.
        centres: positions of the centres, at least one.
        rows: positions to compute distances for; all by default.
        norms: `squared_norms` of all embeddings, shape (u,), if known already.

    Returns:
        Distances, shape (u,) or that of `rows`.
    """
    norms = squared_norms(factors) if norms is None else norms
    at = torch.from_numpy(centres).to(norms.device)
    r, e = (f[at].float() for f in factors)
    rows = torch.arange(len(norms), device=norms.device) if rows is None else rows
    parts = []
    for some in torch.split(rows, _ROWS):
        both = norms[some][:, None] + norms[at]
        distances = (
            both - 2 * ((factors.residuals[some].float() @ r.T) * (factors.embeddings[some].float() @ e.T)).double()
        )
        parts.append(torch.where(distances > _NOISE * both, distances, 0.0).amin(1))
    return torch.cat(parts).masked_fill(torch.isin(rows, at), 0.0)


def squared_norms(factors: GradientFactors) -> Tensor:
    """Return the squared norms of the gradient embeddings, shape (u,), float64."""
    residuals, embeddings = (
        torch.cat([torch.linalg.vector_norm(part.double(), dim=1).square() for part in torch.split(factor, _ROWS)])
        for factor in factors
    )
    return residuals * embeddings


def d2_sampling(factors: GradientFactors, n: int, rng: np.random.Generator) -> Indices:
    """Return positions of n images: the largest gradient, then draws by squared distance.

    The distance is to the images drawn before.

    Sampling is exact although most weights are old. Weights only shrink, so a proposal drawn by old weights is accepted
    with probability new / old; only the weights of proposals are computed. If all remaining images are at distance 0,
    the rest is drawn uniformly.
    """
    norms = squared_norms(factors)
    chosen = [int(norms.argmax())]
    old = _Weights(np.full(len(norms), np.inf), 0, factors, norms).after(chosen)
    while len(chosen) < n:
        if old.total <= 0:
            rest = np.setdiff1d(np.arange(len(old.values)), chosen)
            chosen.extend(rng.choice(rest, n - len(chosen), replace=False).tolist())
            break
        pick = old.draw(chosen, rng)
        if pick is not None:
            chosen.append(pick)
        if pick is None or len(chosen) - old.known >= _REFRESH:
            old = old.after(chosen)
    return np.asarray(chosen, dtype=np.int64)


class _Weights:
    """Sampling weights of all images, shape (u,), given the first `known` of the chosen images."""

    def __init__(self, values: NDArray[np.float64], known: int, factors: GradientFactors, norms: Tensor) -> None:
        self.values, self.known, self._factors, self._norms = values, known, factors, norms
        self._edges = np.cumsum(values)
        self.total = float(self._edges[-1])

    def after(self, chosen: list[int]) -> _Weights:
        """Return weights given all chosen images."""
        if len(chosen) == self.known:
            return self
        return _Weights(np.minimum(self.values, self._distances(chosen, None)), len(chosen), self._factors, self._norms)

    def draw(self, chosen: list[int], rng: np.random.Generator) -> int | None:
        """Draw one image given all chosen images; `None` if every proposal was rejected."""
        proposals = np.searchsorted(self._edges, rng.random(_TRIES) * self.total, side="right")
        # rounding must not reach past the last weight
        proposals = np.minimum(proposals, np.searchsorted(self._edges, self.total))
        before = self.values[proposals]
        now = before
        if len(chosen) > self.known:
            now = np.minimum(before, self._distances(chosen, torch.from_numpy(proposals).to(self._norms.device)))
        accepted = np.flatnonzero(rng.random(_TRIES) * before < now)
        return int(proposals[accepted[0]]) if len(accepted) else None

    def _distances(self, chosen: list[int], rows: Tensor | None) -> NDArray[np.float64]:
        new = np.asarray(chosen[self.known :], np.int64)
        distances: NDArray[np.float64] = d2_weights(self._factors, new, rows, self._norms).cpu().numpy()
        return distances

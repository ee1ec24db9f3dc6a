"""BADGE (Ash et al. 2020, arXiv 1906.03671): k-means++ seeding on gradient embeddings, which are never formed.

The gradient embedding of image i is g_i = r_i ⊗ e_i (residual and penultimate embedding), so that
⟨g_i, g_j⟩ = ⟨r_i, r_j⟩ ⟨e_i, e_j⟩ and ‖g_i - g_j‖² follows from the factors: O(u (k + d)) memory instead of O(u k d).
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import GradientFactors, Need, View

_ROWS: Final = 8192
_REFRESH: Final = 128
"""Centres after which all weights are brought up to date, by matrix products."""
_TRIES: Final = 16
"""Proposals made at a time."""
_NOISE: Final = 1e-6
"""Squared distances below this share of the squared norms are rounding errors of float32, and 0."""


class Badge(Strategy):
    """Draws images one by one with probability proportional to the squared distance of their gradient to the nearest drawn.

    The first is the image with the largest gradient, as in the authors' code. Labelled images and the origin are no centres.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradient_factors",)
    paper = "Ash et al. 2020, arXiv 1906.03671"
    cost = "O(n u (k + d)), by matrix products"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The drawn sequence, in order."""
        return view.unlabelled[d2_sampling(view.gradient_factors, n, rng)]


def d2_weights(factors: GradientFactors, centres: Indices, rows: Tensor | None = None) -> Tensor:
    """(u,) or (rows,) float64 squared distances of gradient embeddings to the nearest of `centres` (positions, at least one)."""
    at = torch.from_numpy(centres).to(factors.residuals.device)
    residuals, embeddings = (f if rows is None else f[rows] for f in factors)
    r, e = factors.residuals[at].float(), factors.embeddings[at].float()
    theirs = squared_norms(GradientFactors(r, e))
    parts = []
    for x, y in zip(torch.split(residuals, _ROWS), torch.split(embeddings, _ROWS), strict=True):
        x, y = x.float(), y.float()
        norms = squared_norms(GradientFactors(x, y))[:, None] + theirs
        distances = norms - 2 * (x @ r.T).double() * (y @ e.T).double()
        parts.append(torch.where(distances > _NOISE * norms, distances, 0.0).amin(1))
    nearest = torch.cat(parts)
    chosen = torch.isin(torch.arange(len(factors.residuals), device=at.device) if rows is None else rows, at)
    return nearest.masked_fill(chosen, 0.0)


def squared_norms(factors: GradientFactors) -> Tensor:
    """(u,) float64 squared norms of the gradient embeddings."""
    residuals, embeddings = (f.float().square().sum(1, dtype=torch.float64) for f in factors)
    return residuals * embeddings


def d2_sampling(factors: GradientFactors, n: int, rng: np.random.Generator) -> Indices:
    """Positions of n images: the largest gradient first, then each drawn with probability ∝ squared distance to those before.

    Exact, though most weights are old: weights only shrink, so a proposal by old weights is accepted with probability
    new / old, and only proposals' weights are computed. Where all are at distance 0, the rest is drawn uniformly.
    """
    chosen = [int(squared_norms(factors).argmax())]
    old = _Weights(np.full(len(factors.residuals), np.inf), 0).after(factors, chosen)
    while len(chosen) < n:
        if old.total <= 0:
            rest = np.setdiff1d(np.arange(len(old.values)), chosen)
            chosen.extend(rng.choice(rest, n - len(chosen), replace=False).tolist())
            break
        pick = old.draw(factors, chosen, rng)
        if pick is not None:
            chosen.append(pick)
        if pick is None or len(chosen) - old.known >= _REFRESH:
            old = old.after(factors, chosen)
    return np.asarray(chosen, dtype=np.int64)


class _Weights:
    """(u,) weights that know the first `known` of the chosen."""

    def __init__(self, values: NDArray[np.float64], known: int) -> None:
        self.values, self.known = values, known
        self._edges = np.cumsum(values)
        self.total = float(self._edges[-1])

    def after(self, factors: GradientFactors, chosen: list[int]) -> _Weights:
        """Weights that know all of the chosen."""
        if len(chosen) == self.known:
            return self
        new = d2_weights(factors, np.asarray(chosen[self.known :], np.int64)).cpu().numpy()
        return _Weights(np.minimum(self.values, new), len(chosen))

    def draw(self, factors: GradientFactors, chosen: list[int], rng: np.random.Generator) -> int | None:
        """One image by the weights that all of the chosen leave; None if every proposal was refused."""
        proposals = np.searchsorted(self._edges, rng.random(_TRIES) * self.total, side="right")
        proposals = np.minimum(proposals, np.searchsorted(self._edges, self.total))  # rounding must not reach past the last weight
        before = self.values[proposals]
        now = before
        if new := chosen[self.known :]:
            rows = torch.from_numpy(proposals).to(factors.residuals.device)
            now = np.minimum(before, d2_weights(factors, np.asarray(new, np.int64), rows).cpu().numpy())
        accepted = np.flatnonzero(rng.random(_TRIES) * before < now)
        return int(proposals[accepted[0]]) if len(accepted) else None

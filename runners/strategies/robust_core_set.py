"""Robust core-set: k-center with a few outliers uncovered.

Source: Sener & Savarese (2018, arXiv 1708.00489, Algorithm 2). Greedy k-center reaches at most twice the smallest
radius. A mixed-integer program decides whether a smaller radius is possible, and the radius is found by bisection
over the distances that occur. A pool of more than n + `nodes` images is replaced by representatives: its own greedy
k-center sequence, each weighted by the number of images nearest to it. Outliers come early in that sequence and have
small weights, so the budget of outliers is that of the whole pool. All radii are exact up to the distance of an image
to its representative.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, hstack
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Strategy
from runners.strategies.core_set import k_center_greedy
from runners.strategies.view import Need, View

_ROWS: Final = 8192
_BRANCHES: Final = 200
"""Nodes of the solver's search tree per program; a limit in seconds would depend on the machine's speed."""

Floats = NDArray[np.float64]


class RobustCoreSet(Strategy):
    """Select n images whose balls, with those of labelled images, cover all but a few outliers.

    The radius of the balls is the smallest found.

    Args:
        outliers: share of the unlabelled images that may stay uncovered, in [0, 1); the authors use 1e-4.
        nodes: number of representatives beyond the n greedy picks, >= 1; a pool of at most n + nodes images is solved
            directly. The program has n + nodes rows and columns, and (n + nodes)² distances are kept.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Sener & Savarese 2018, arXiv 1708.00489, Algorithm 2"
    cost = "O((l + n + v) u d), v representatives, and about 2 log2(n + v) mixed-integer programs of n + v columns"

    def __init__(self, outliers: float = 1e-4, nodes: int = 500) -> None:
        faults = [] if 0 <= outliers < 1 else [Fault("robust-core-set: outliers", "a number in [0, 1)", str(outliers))]
        if nodes < 1:
            faults.append(Fault("robust-core-set: nodes", "an integer >= 1", str(nodes)))
        if faults:
            raise InputError(faults)
        self.outliers, self.nodes = outliers, nodes

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the centres in the order of greedy k-center, then greedy picks up to n."""
        points, labelled = view.embeddings, view.labelled_embeddings
        greedy = k_center_greedy(points, labelled, min(n + self.nodes, len(points)), rng)
        at = torch.from_numpy(greedy).to(points.device)
        covered, weights = _nearest(points, labelled, points[at])
        spare = int(self.outliers * len(points) + 1e-9)
        chosen = greedy[robust_centres(_distances(points[at], points[at]), covered, weights, n, spare)]
        if missing := n - len(chosen):
            centres = torch.cat([labelled, points[torch.from_numpy(chosen).to(points.device)].to(labelled.dtype)])
            rest = np.setdiff1d(np.arange(len(points)), chosen)
            more = k_center_greedy(points[torch.from_numpy(rest).to(points.device)], centres, missing, rng)
            chosen = np.concatenate([chosen, rest[more]])
        return view.unlabelled[chosen]


def robust_centres(distances: Floats, covered: Floats, weights: Floats, n: int, spare: float) -> NDArray[np.int64]:
    """Return ascending positions of at most n centres with the smallest radius found.

    The radius is never larger than that of the first n positions.

    Args:
        distances: distances between the points, shape (m, m); the first n points are the start (picks of greedy
            k-center).
        covered: distance of each point to the nearest labelled point, shape (m,); infinite without labelled points.
        weights: number of images that each point represents, shape (m,).
        n: largest number of centres, in 1 ... m.
        spare: weight that may stay uncovered, >= 0.
    """
    best = np.arange(n, dtype=np.int64)
    reached = radius(distances, covered, weights, best, spare)
    values = np.unique(np.concatenate([distances.ravel(), covered[np.isfinite(covered)]]))
    low, high = -1, int(np.searchsorted(values, reached))  # values[high] is reachable, values[low] is not
    while high - low > 1:
        middle = (low + high) // 2
        found = cover(distances <= values[middle], covered <= values[middle], weights, n, spare)
        if found is None:
            low = middle
        else:
            best = found
            high = min(middle, int(np.searchsorted(values, radius(distances, covered, weights, best, spare))))
    return best


def radius(distances: Floats, covered: Floats, weights: Floats, centres: NDArray[np.int64], spare: float) -> float:
    """Return the smallest distance within which all but `spare` of the weight is reached.

    It is reached from the centres and labelled points.
    """
    reach = np.minimum(covered, distances[:, centres].min(1)) if len(centres) else covered
    order = np.argsort(-reach, kind="stable")
    first = int(np.searchsorted(np.cumsum(weights[order]), spare, side="right"))  # the first point that must be reached
    return float(reach[order[first]]) if first < len(order) else 0.0


def cover(
    near: NDArray[np.bool_], covered: NDArray[np.bool_], weights: Floats, n: int, spare: float
) -> NDArray[np.int64] | None:
    """Return at most n columns that leave at most `spare` of the weight uncovered.

    A greedy choice by weight is tried first. If it fails, this program is solved: find u_j in {0, 1} and x_i in [0, 1]
    such that sum over j near i of u_j + x_i >= 1 for all i not covered already, sum w_i x_i <= spare, and sum u_j <= n.
    The slack x_i is 1 where no centre is near (the authors' xi summed over j).

    Args:
        near: whether point i lies in the ball of j, shape (m, m).
        covered: whether a point is covered already, shape (m,).
        weights: number of images that each point represents, shape (m,).
        n: largest number of columns.
        spare: weight that may stay uncovered.

    Returns:
        The columns, or `None` if there are none or the solver found none within its limit.
    """
    greedy = _greedy_cover(near, covered, weights, n, spare)
    if greedy is not None:
        return greedy
    rows = np.flatnonzero(~covered)
    if _apart(near[rows], weights[rows], spare) > n:
        return None
    m = len(weights)
    covers = hstack([csr_array(near[rows].astype(np.float64)), eye_array(len(rows))], format="csr")
    budget = np.concatenate([np.zeros(m), weights[rows]])[None]
    count = np.concatenate([np.ones(m), np.zeros(len(rows))])[None]
    found = milp(
        np.zeros(m + len(rows)),
        integrality=np.concatenate([np.ones(m), np.zeros(len(rows))]),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(covers, 1, np.inf),
            LinearConstraint(budget, -np.inf, spare),
            LinearConstraint(count, 0, n),
        ],
        options={"node_limit": _BRANCHES},
    )
    if found.x is None:
        return None
    centres = np.flatnonzero(found.x[:m] > 0.5)
    left = weights[~(covered | near[:, centres].any(1))].sum()
    return centres if len(centres) <= n and left <= spare else None  # the solver allows a tolerance; this does not


def _greedy_cover(
    near: NDArray[np.bool_], covered: NDArray[np.bool_], weights: Floats, n: int, spare: float
) -> NDArray[np.int64] | None:
    open_ = ~covered
    chosen: list[int] = []
    gain = weights @ (near & open_[:, None])
    while weights[open_].sum() > spare:
        if len(chosen) == n:
            return None
        chosen.append(int(gain.argmax()))
        newly = near[:, chosen[-1]] & open_
        open_ &= ~newly
        gain = gain - weights[newly] @ near[newly]
    return np.sort(np.asarray(chosen, np.int64))


def _apart(near: NDArray[np.bool_], weights: Floats, spare: float) -> int:
    """Return a lower bound of the number of centres needed.

    It is the number of points found of which no two lie in one ball, without the lightest, which may be outliers.

    Args:
        near: whether point i lies in the ball of j, shape (r, m).
        weights: weights of the points, shape (r,).
        spare: weight that may stay uncovered.
    """
    open_, apart = np.ones(len(near), np.bool_), []
    for point in np.argsort(near.sum(1), kind="stable"):
        if open_[point]:
            apart.append(weights[point])
            open_ &= ~near[:, near[point]].any(1)
    return int((np.cumsum(np.sort(apart)) > spare).sum())


def _nearest(points: Tensor, labelled: Tensor, representatives: Tensor) -> tuple[Floats, Floats]:
    """Return each representative's distance to the nearest labelled point, and its point count."""
    covered = np.full(len(representatives), np.inf)
    for block in torch.split(labelled, _ROWS) if len(labelled) else ():
        covered = np.minimum(covered, _distances(representatives, block).min(1))
    weights = np.zeros(len(representatives))
    x, middle = representatives.float(), representatives.float().mean(0)
    for part in torch.split(points, max(1, _ROWS * 256 // len(x))):
        nearest = torch.cdist(part.float() - middle, x - middle).argmin(1).cpu().numpy()
        weights += np.bincount(nearest, minlength=len(weights))
    return covered, weights


def _distances(a: Tensor, b: Tensor) -> Floats:
    found: Floats = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
    return found

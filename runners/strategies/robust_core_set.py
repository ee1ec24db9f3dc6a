"""Robust core-set: k-center that may leave a few outliers uncovered (Sener & Savarese 2018, arXiv 1708.00489, Algorithm 2).

Greedy k-center is within twice the smallest radius; a mixed-integer program decides whether a smaller one is possible, and
the radius is bisected over the distances that occur. Beyond `nodes` images the pool is represented: by its own greedy k-center
sequence, each representative weighing as many images as lie nearest to it. Outliers enter that sequence first and weigh
little, so that the budget of outliers stays what it was for the whole pool; all radii are known up to the distance of an image
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
"""Nodes of the solver's search tree per program: a count, since a limit in seconds would choose by the machine's speed."""

Floats = NDArray[np.float64]


class RobustCoreSet(Strategy):
    """Buys the n images whose balls, with those of the labelled, cover all but a few outliers at the smallest radius found.

    Args:
        outliers: share of the unlabelled images that may stay uncovered, in [0, 1); the authors' value is 1e-4.
        nodes: representatives beyond the n greedy picks, >= 1; a pool no larger than n + nodes is solved as it is.
            The program has so many rows and columns, and (n + nodes)² distances are kept.
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
        """Centres in the order in which greedy k-center reaches them; what the smallest radius does not need is added greedily."""
        points, labelled = view.embeddings, view.labelled_embeddings
        greedy = k_center_greedy(points, labelled, min(n + self.nodes, len(points)), rng)
        at = torch.from_numpy(greedy).to(points.device)
        owned, weights = _nearest(points, labelled, points[at])
        spare = int(self.outliers * len(points) + 1e-9)
        chosen = greedy[robust_centres(_distances(points[at], points[at]), owned, weights, n, spare)]
        if missing := n - len(chosen):
            centres = torch.cat([labelled, points[torch.from_numpy(chosen).to(points.device)].to(labelled.dtype)])
            rest = np.setdiff1d(np.arange(len(points)), chosen)
            more = k_center_greedy(points[torch.from_numpy(rest).to(points.device)], centres, missing, rng)
            chosen = np.concatenate([chosen, rest[more]])
        return view.unlabelled[chosen]


def robust_centres(distances: Floats, owned: Floats, weights: Floats, n: int, spare: float) -> NDArray[np.int64]:
    """Ascending positions of at most n centres with the smallest `radius` found; never worse than the first n positions.

    Args:
        distances: (m, m) between the points, the first n of which are the start (greedy k-center's picks).
        owned: (m,) distance of each point to the nearest centre there is already; inf where there is none.
        weights: (m,) images each point stands for.
        n: 1 … m; spare: weight that may stay uncovered, >= 0.
    """
    best = np.arange(n, dtype=np.int64)
    reached = radius(distances, owned, weights, best, spare)
    values = np.unique(np.concatenate([distances.ravel(), owned[np.isfinite(owned)]]))
    low, high = -1, int(np.searchsorted(values, reached))  # values[high] can be had, values[low] cannot
    while high - low > 1:
        middle = (low + high) // 2
        found = cover(distances <= values[middle], owned <= values[middle], weights, n, spare)
        if found is None:
            low = middle
        else:
            best = found
            high = min(middle, int(np.searchsorted(values, radius(distances, owned, weights, best, spare))))
    return best


def radius(distances: Floats, owned: Floats, weights: Floats, centres: NDArray[np.int64], spare: float) -> float:
    """The smallest distance within which centres, new and owned, reach all but `spare` of the weight."""
    reach = np.minimum(owned, distances[:, centres].min(1)) if len(centres) else owned
    order = np.argsort(-reach, kind="stable")
    first = int(np.searchsorted(np.cumsum(weights[order]), spare, side="right"))  # the first point that must be reached
    return float(reach[order[first]]) if first < len(order) else 0.0


def cover(
    near: NDArray[np.bool_], owned: NDArray[np.bool_], weights: Floats, n: int, spare: float
) -> NDArray[np.int64] | None:
    """At most n columns that leave at most `spare` of the weight uncovered; None if there are none, or none was found in time.

    First greedily by weight; where that fails, by the program: minimise the number of centres subject to
    u_j in {0, 1}, 0 <= x_i <= 1, sum over j near i of u_j + x_i >= 1 for all i not owned, sum w_i x_i <= spare, sum u_j <= n.
    The slack x_i is 1 wherever no centre is near (the authors' xi summed over j).

    Args:
        near: (m, m) whether point i lies in the ball of j; owned: (m,) whether it is covered already.
    """
    greedy = _greedy_cover(near, owned, weights, n, spare)
    if greedy is not None:
        return greedy
    rows = np.flatnonzero(~owned)
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
    left = weights[~(owned | near[:, centres].any(1))].sum()
    return centres if len(centres) <= n and left <= spare else None  # the solver's tolerance is not ours


def _greedy_cover(
    near: NDArray[np.bool_], owned: NDArray[np.bool_], weights: Floats, n: int, spare: float
) -> NDArray[np.int64] | None:
    open_ = ~owned
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
    """A lower bound of the centres needed: points no two of which lie in one ball, the lightest of them left out as outliers.

    Args:
        near: (r, m) whether point i lies in the ball of j; weights: (r,).
    """
    open_, apart = np.ones(len(near), np.bool_), []
    for point in np.argsort(near.sum(1), kind="stable"):
        if open_[point]:
            apart.append(weights[point])
            open_ &= ~near[:, near[point]].any(1)
    return int((np.cumsum(np.sort(apart)) > spare).sum())


def _nearest(points: Tensor, labelled: Tensor, representatives: Tensor) -> tuple[Floats, Floats]:
    """(m,) distances of the representatives to the nearest labelled, and (m,) how many points each of them stands for."""
    owned = np.full(len(representatives), np.inf)
    for block in torch.split(labelled, _ROWS) if len(labelled) else ():
        owned = np.minimum(owned, _distances(representatives, block).min(1))
    weights = np.zeros(len(representatives))
    x, middle = representatives.float(), representatives.float().mean(0)
    for part in torch.split(points, max(1, _ROWS * 256 // len(x))):
        nearest = torch.cdist(part.float() - middle, x - middle).argmin(1).cpu().numpy()
        weights += np.bincount(nearest, minlength=len(weights))
    return owned, weights


def _distances(a: Tensor, b: Tensor) -> Floats:
    found: Floats = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
    return found

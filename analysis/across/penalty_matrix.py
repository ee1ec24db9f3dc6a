"""Pairwise penalty matrix: how often each strategy significantly beats each other.

Wins are summed over settings. At every checkpoint of a setting the curves of two strategies are compared by a
two-sided paired t test at .05. The winner's row gains 1 / (number of checkpoints) in the loser's column. A cell lies
between 0 and the number of settings. The mean of a column summarises a strategy; smaller is better. Two definitions
of checkpoints are in use:

- ash-2020 (Ash et al. 2020, BADGE, section 4): b_0 + 2^(m-1) B for m = 1, 2, ..., with b_0 the first budget and B the
  first step, up to the first budget at which the baseline's mean exceeds 99 % of its final value. Only measured budgets
  count.
- lueth-2023 (Lüth et al. 2023): every budget.

Neither corrects for multiple tests. If all strategies are alike, a cell has expectation .025 x settings, which is
reported, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from analysis.across.setting import Setting
from analysis.statistics.area import DECIMALS
from analysis.statistics.hypothesis_tests import smallest_p

Definition = Literal["ash-2020", "lueth-2023"]
ALPHA: Final = 0.05


@dataclass(frozen=True)
class PenaltyMatrix:
    """Penalty matrix of k strategies over all settings.

    Attributes:
        definition: definition of the checkpoints.
        strategies: names of the k strategies.
        wins: wins of row over column, k rows of k, in [0, settings].
        column_means: mean penalty of each strategy over all k rows, its own empty one included; smaller is better.
        settings: number of settings with at least one checkpoint.
        null_expectation: expectation of every off-diagonal cell if all strategies are alike.
        compared: number of these settings in which a strategy shares two seeds with another one. In the rest it neither
            wins nor loses, which makes its column smaller than those of strategies that were present.
    """

    definition: Definition
    strategies: tuple[str, ...]
    wins: tuple[tuple[float, ...], ...]
    column_means: tuple[float, ...]
    settings: int
    null_expectation: float
    compared: tuple[int, ...] = ()

    def absent(self) -> str:
        """Return a sentence on strategies that miss settings; empty if none does."""
        few = [f"{s} in {n}" for s, n in zip(self.strategies, self.compared, strict=False) if n < self.settings]
        return (
            f"compared only {', '.join(few)} of {self.settings} settings, which makes the column smaller" if few else ""
        )


def penalty_matrix(
    settings: Sequence[Setting], strategies: Sequence[str], baseline: str, definition: Definition
) -> PenaltyMatrix:
    """Compute the penalty matrix over all settings.

    A pair of strategies is compared over its shared seeds; with fewer than two it has no winner.
    """
    k = len(strategies)
    wins, used, compared = np.zeros((k, k)), 0, np.zeros(k, dtype=np.int64)
    for setting in settings:
        at = np.arange(len(setting.budgets))
        if definition == "ash-2020":
            at = (
                ash_checkpoints(setting.budgets, setting.curves[baseline].mean(axis=0))
                if baseline in setting.curves
                else at[:0]
            )
        if not len(at):
            continue
        used += 1
        shares = np.zeros(k, dtype=np.bool_)
        for i in range(k):
            for j in range(i + 1, k):
                ours, theirs = setting.paired(strategies[i], strategies[j])
                shares[[i, j]] |= len(ours) > 1
                won = paired_winner(ours[:, at] - theirs[:, at])
                wins[i, j] += (won > 0).mean()
                wins[j, i] += (won < 0).mean()
        compared += shares
    rows = tuple(tuple(float(x) for x in row) for row in wins)
    return PenaltyMatrix(
        definition,
        tuple(strategies),
        rows,
        tuple(float(x) for x in wins.mean(axis=0)),
        used,
        ALPHA / 2 * used,
        tuple(int(n) for n in compared),
    )


def ash_checkpoints(budgets: ArrayLike, baseline: ArrayLike) -> NDArray[np.intp]:
    """Return positions of Ash's checkpoints among the T budgets; none if T < 2.

    The baseline's mean curve decides where they lie.
    """
    b, curve = np.asarray(budgets, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if len(b) < 2:
        return np.empty(0, dtype=np.intp)
    last = b[int(np.argmax(curve > 0.99 * curve[-1]))] if (curve > 0.99 * curve[-1]).any() else b[-1]
    checkpoints = b[0] + (b[1] - b[0]) * 2.0 ** np.arange(64)
    return np.flatnonzero(np.isin(b, checkpoints) & (b <= last))


def paired_winner(differences: ArrayLike) -> NDArray[np.int8]:
    """Return the sign of every column of (n, T) whose two-sided paired t test has p < .05, else 0.

    Without spread t is undefined, and the exact sign-flip test decides, which needs n >= 6.
    """
    d = np.round(np.asarray(differences, dtype=np.float64), DECIMALS)
    n = len(d)
    if n < 2:
        return np.zeros(d.shape[1:], dtype=np.int8)
    mean, error = d.mean(axis=0), d.std(axis=0, ddof=1) / np.sqrt(n)
    flat = np.ptp(d, axis=0) == 0
    t = np.abs(mean) / np.where(flat, 1.0, error)
    significant = np.where(flat, smallest_p(n) < ALPHA, t > special.stdtrit(n - 1, 1 - ALPHA / 2))
    return np.asarray(np.sign(mean) * significant, dtype=np.int8)

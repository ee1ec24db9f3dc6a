"""The four answers a comparison can have, and everything that is reported beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.significance import Test

Answer = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """One strategy against the baseline under one protocol. Differences are strategy minus baseline, in the metric's units.

    Attributes:
        answer: better or worse if the adjusted p is at most alpha, and mean and test point the same way;
            else equivalent if the adjusted TOST p is; else undecided, which does not mean that there is no difference.
        negligible: better or worse, yet the whole interval lies within the margin.
        n, n_planned: paired seeds, analysed and planned.
        value, baseline_value: mean endpoints over the paired seeds.
        difference, low, high: mean paired difference and its 95 % t interval (for this comparison alone, not adjusted).
        sd: standard deviation of the paired difference.
        p, p_adjusted: two-sided test, raw and corrected over the family.
            With planned looks, n is that of the last look reached, and p is sequential (see `analysis.sequential`).
        p_error: Monte Carlo standard error of p; 0 if it is exact.
        p_equivalence, p_equivalence_adjusted: TOST, raw and corrected over the same family.
        smallest_p: smallest raw p that n seeds can give (0 for the t test).
        seeds_to_decide: see `analysis.power.seeds_to_decide`; None if n < 2 gives no spread, or beyond 100 000.
        dataset, regime, group: where this is; the group is the family of tests it was corrected in, if there are several.
    """

    protocol: str
    strategy: str
    answer: Answer
    negligible: bool
    n: int
    n_planned: int
    value: float
    baseline_value: float
    difference: float
    low: float
    high: float
    sd: float
    p: float
    p_error: float
    p_adjusted: float
    p_equivalence: float
    p_equivalence_adjusted: float
    smallest_p: float
    seeds_to_decide: int | None
    test: Test | Literal["welch"]
    dataset: str = ""
    regime: str = ""
    group: str = ""

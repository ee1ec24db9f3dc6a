"""Claim: strategies can lose to random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from analysis.across.setting import Setting
from analysis.claims.base import Claim, Finding, Judgement, shared_areas
from analysis.statistics.arrays import Floats
from analysis.statistics.corrections import holm
from analysis.statistics.intervals import t_interval


def losing(settings: Sequence[Setting], baseline: str, margin: float, alpha: float = 0.05) -> Claim:
    """Judge whether strategies can lose to the baseline; one finding per setting.

    A finding shows the strategy with the largest loss that is significant after Holm's correction over all comparisons
    of all settings. The claim is that losing can happen. A setting without a loser therefore refutes it only if the 95
    % intervals of all its strategies lie above minus the margin.

    Args:
        settings: any number of data sets and regimes.
        baseline: name of the strategy to compare to.
        margin: largest loss that does not count, in the metric's units.
        alpha: level of the corrected tests.
    """
    compared = [(s, name) for s in settings for name in s.curves if name != baseline and baseline in s.curves]
    areas = [shared_areas([(s, name), (s, baseline)]) * 100 for s, name in compared]
    differences = [x[:, 0] - x[:, 1] for x in areas]
    p = holm([_p(d) for d in differences]) if differences else np.empty(0)
    findings = []
    for setting in settings:
        comparisons = [i for i, (s, _) in enumerate(compared) if s is setting]
        if comparisons:
            losers = [i for i in comparisons if p[i] <= alpha and differences[i].mean() < 0]
            worst = min(losers or comparisons, key=lambda i: float(differences[i].mean()))
            interval = t_interval(differences[worst])
            safe = all(t_interval(differences[i]).low > -margin * 100 for i in comparisons)
            says: Judgement = "holds" if losers else "does not hold" if safe else "undecided"
            where = f"{setting.dataset}, {setting.regime}"
            components = {
                "strategies": float(len(comparisons)),
                "worse than random": float(len(losers)),
                "adjusted p": float(p[worst]),
            }
            what = f"{compared[worst][1]} minus {baseline} (points)"
            findings.append(
                Finding(
                    where, what, interval.mean, interval.low, interval.high, says, len(differences[worst]), components
                )
            )
    rule = (
        "Paired t test of the area under the budget curve,"
        f" Holm over all {len(compared)} comparisons of all settings here."
        f" A setting says that it holds if a strategy is worse with adjusted p <= {alpha:g}, that it does not if every"
        f" strategy's 95 % interval lies above -{margin * 100:g} points. Shown: the worst strategy."
    )
    return Claim("losing", f"Strategies can lose to {baseline}.", rule, tuple(findings))


def _p(differences: Floats) -> float:
    if len(differences) < 2 or not differences.std():
        return 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)

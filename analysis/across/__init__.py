"""Compare results across data sets, regimes and strategies.

`across(curves, rng)` computes everything that a table of curves allows: mean ranks over data sets, aggregate gains,
penalty matrices, stability of rankings, labels saved, effects of factors, and mixed models. `settings(curves)` gives
the curves of each (data set, regime) as arrays, for statistics of your own. Everything here is secondary: the verdicts
of `analysis.compare` do not depend on it.

Mixed models load statsmodels when they are fitted; nothing else in `analysis` does.
"""

from analysis.across.collect import across
from analysis.across.result import Across
from analysis.across.setting import Setting, settings

__all__ = ["Across", "Setting", "across", "settings"]

"""Judge what Mittal et al. (2019) say of active learning.

Their statements become questions that learning curves can answer. Each function takes
`analysis.across.settings(curves)` and returns a `Claim`: a statement, the rule fixed before looking at the curves,
one finding with an interval per data set, regime or strategy, and an answer that may be "undecided".

- `losing`: some strategies lose to random.
- `shrinking`: a regime shrinks the differences between strategies.
- `carried_over`: rankings of strategies do not carry over from one data set to another.
- `semi_supervision`: semi-supervision gains much; strategies add little to it.
"""

from analysis.claims.base import Claim, Finding, Judgement
from analysis.claims.losing import losing
from analysis.claims.rankings import carried_over
from analysis.claims.semi import semi_supervision
from analysis.claims.spread import shrinking

__all__ = ["Claim", "Finding", "Judgement", "carried_over", "losing", "semi_supervision", "shrinking"]

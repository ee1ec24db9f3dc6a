"""What the origin paper says of active learning (Mittal et al. 2019), as questions that curves can answer.

Each claim has a rule fixed before the curves are looked at, findings with intervals, and an answer that may be "undecided".
"""

from analysis.claims.base import Claim, Finding, Says
from analysis.claims.losing import losing
from analysis.claims.rankings import carried_over
from analysis.claims.semi import semi_supervision
from analysis.claims.spread import shrinking

__all__ = ["Claim", "Finding", "Says", "carried_over", "losing", "semi_supervision", "shrinking"]

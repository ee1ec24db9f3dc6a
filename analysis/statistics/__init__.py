"""Test, estimate and plan paired comparisons: plain functions on plain arrays.

Differences are strategy minus baseline, one per seed; positive means that the strategy is better.

    >>> from analysis.statistics import sign_flip, t_interval
    >>> differences = [0.03, 0.02, 0.04, 0.03, 0.05, 0.01]
    >>> sign_flip(differences).p  # 2 of 2^6 sign patterns reach |sum| = 0.18
    0.03125
    >>> interval = t_interval(differences)
    >>> round(interval.mean, 3), round(interval.low, 3), round(interval.high, 3)
    (0.03, 0.015, 0.045)

Modules: hypothesis_tests, corrections, intervals, effect_sizes, power and alpha_spending for one comparison; max_t for
whole curves; ranks for several data sets; bootstrap and aggregates for resampling; bayes for posterior probabilities;
area for the endpoint (AUBC).
"""

from analysis.statistics.area import aubc
from analysis.statistics.corrections import adjust, holm
from analysis.statistics.effect_sizes import cohens_dz, paired_improvement, superiority
from analysis.statistics.hypothesis_tests import paired_t, sign_flip, smallest_p, tost, welch, wilcoxon
from analysis.statistics.intervals import simultaneous_band, t_interval
from analysis.statistics.power import (
    minimum_detectable_effect,
    power_of_t,
    power_of_tost,
    seeds_to_decide,
    seeds_to_detect,
    seeds_to_reject,
    seeds_to_show_equivalence,
)
from analysis.statistics.ranks import against_control, friedman, nemenyi

__all__ = [
    "adjust",
    "against_control",
    "aubc",
    "cohens_dz",
    "friedman",
    "holm",
    "minimum_detectable_effect",
    "nemenyi",
    "paired_improvement",
    "paired_t",
    "power_of_t",
    "power_of_tost",
    "seeds_to_decide",
    "seeds_to_detect",
    "seeds_to_reject",
    "seeds_to_show_equivalence",
    "sign_flip",
    "simultaneous_band",
    "smallest_p",
    "superiority",
    "t_interval",
    "tost",
    "welch",
    "wilcoxon",
]

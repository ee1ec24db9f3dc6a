from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.statistics.all_pairs import bergmann_hommel, shaffer
from analysis.statistics.corrections import holm

K = 4
PAIRS = list(itertools.combinations(range(K), 2))


def closed(equal: tuple[int, ...]) -> bool:
    """Return whether a set of equal pairs holds every pair that follows from it."""
    group = list(range(K))
    for index in equal * K:
        a, b = PAIRS[index]
        group = [min(group[a], group[b]) if g in (group[a], group[b]) else g for g in group]
    return set(equal) == {i for i, (a, b) in enumerate(PAIRS) if group[a] == group[b]}


@pytest.mark.parametrize("trial", range(20))
def test_bergmann_hommel_is_the_closed_test_over_consistent_hypotheses(trial: int) -> None:
    p = np.random.default_rng(trial).uniform(0, 0.1, len(PAIRS))
    sets = [s for r in range(1, 7) for s in itertools.combinations(range(6), r) if closed(s)]
    expected = [min(1, max(len(s) * min(p[list(s)]) for s in sets if i in s)) for i in range(6)]
    found = bergmann_hommel(p, K)
    assert found.tolist() == pytest.approx(expected)
    assert (found <= shaffer(p, K) + 1e-12).all()
    assert (shaffer(p, K) <= holm(p.tolist()) + 1e-12).all()


def test_shaffers_factors_of_five_strategies() -> None:
    # Garcia & Herrera 2008: at most 10, 6, 6, 6, 6, 4, 4, 3, 2, 1 of the pairs left can be equal
    assert shaffer(np.full(10, 0.001) * 10.0 ** np.arange(10), 5)[:2].tolist() == pytest.approx([0.01, 0.06])
    with pytest.raises(ValueError, match="at most 9"):
        bergmann_hommel(np.ones(45), 10)

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.bayes import Posterior, correlated_t, dirichlet_weights, signed_rank

D = np.array([0.8, -0.3, 1.4, 0.1, 2.0, -0.9])


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_signed_rank_with_one_difference_has_a_closed_form() -> None:
    # weights (1 - w, w) of 0 and 1; w is Beta(1, prior). Sums 0, 1, 2 against rope .75 (times 2): above only 1 + 1,
    # share w^2 against 1 - w^2: "better" is largest if w > sqrt(1/2)
    found = signed_rank([1.0], 0.75, rng(), prior=2.0)
    assert found.better == pytest.approx(stats.beta.sf(np.sqrt(0.5), 1, 2), abs=0.01)
    assert found.worse == 0.0
    # rope 0: sums of 0 alone are "equal", everything else is above
    assert signed_rank([1.0], 0.0, rng(), prior=2.0).equal == pytest.approx(
        stats.beta.cdf(1 - np.sqrt(0.5), 1, 2), abs=0.01
    )


def test_signed_rank_draw_by_draw() -> None:
    z, generator = np.r_[0.0, D], rng()
    wins = np.zeros(3)
    for w in generator.dirichlet([0.5, *np.ones(6)], 2000):
        sums, weight = np.add.outer(z, z), np.outer(w, w)
        shares = [weight[sums < -0.4].sum(), weight[np.abs(sums) <= 0.4].sum(), weight[sums > 0.4].sum()]
        wins[np.argmax(shares)] += 1 / 2000
    found = signed_rank(D, 0.2, rng())
    assert [found.worse, found.equal, found.better] == pytest.approx(wins, abs=0.03)


def test_signed_rank_mirrors() -> None:
    ours, theirs = signed_rank(D, 0.2, rng()), signed_rank(-D, 0.2, rng())
    assert (ours.worse, ours.equal, ours.better) == pytest.approx((theirs.better, theirs.equal, theirs.worse))
    assert ours.worse + ours.equal + ours.better == pytest.approx(1)
    assert signed_rank(D[::-1], 0.2, rng()).better == pytest.approx(ours.better, abs=0.015)
    assert signed_rank(np.zeros(4), 0.1, rng()) == Posterior(0.0, 1.0, 0.0)


def test_correlated_t_without_correlation_is_the_one_sided_t_test() -> None:
    assert correlated_t(D, 0.0, 0.0).worse == pytest.approx(stats.ttest_1samp(D, 0, alternative="greater").pvalue)


def test_correlation_widens_as_nadeau_and_bengio_say() -> None:
    # ten folds: rho .1, variance 1/n + 1/9 instead of 1/n
    scale = D.std(ddof=1) * np.sqrt(1 / 6 + 1 / 9)
    assert correlated_t(D, 0.0, 0.1).better == pytest.approx(stats.t.cdf(D.mean() / scale, 5))
    assert correlated_t([0.2, 0.2], 0.1, 0.0) == Posterior(0.0, 0.0, 1.0)


@pytest.mark.parametrize(("d", "rope", "rho"), [([0.1], 0.1, 0), (D, -1, 0), (D, 0.1, 1.0), (D, 0.1, -0.1)])
def test_what_is_refused(d: object, rope: float, rho: float) -> None:
    with pytest.raises(ValueError, match="expected rho"):
        correlated_t(d, rope, rho)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected rope"):
        signed_rank([], rope, rng())


@pytest.mark.parametrize(("n", "rope"), [(1, 0.0), (7, 0.2), (40, 0.05), (40, 0.0)])
def test_cumulated_weights_give_the_shares_of_all_walsh_sums(n: int, rope: float) -> None:
    d = np.round(np.random.default_rng(n).normal(0.05, 0.3, n), 2)
    z = np.concatenate([[0.0], d])
    sums = np.round(z[:, None] + z[None, :], 12)
    weights = dirichlet_weights(n, rng())
    w = np.concatenate(weights, axis=1).T
    below = np.einsum("bi,ij,bj->b", w, (sums < -2 * rope) * 1.0, w)
    above = np.einsum("bi,ij,bj->b", w, (sums > 2 * rope) * 1.0, w)
    shares = np.stack([below, 1 - below - above, above], axis=1).round(12)
    best = shares == shares.max(axis=1, keepdims=True)
    expected = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    found = signed_rank(d, rope, rng(), weights=weights)
    assert (found.worse, found.equal, found.better) == pytest.approx(expected.tolist(), abs=1e-4)

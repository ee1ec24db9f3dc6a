"""Claims are judged as their rules say, on curves whose truth is planted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analysis.across.setting import Setting
from analysis.claims import carried_over, losing, semi_supervision, shrinking
from analysis.claims.base import jackknife, judge
from analysis.claims.rankings import agreements
from analysis.claims.spread import variance_between

BUDGETS = np.asarray([10.0, 20.0, 40.0])
NAMES = ("random", "a", "b", "c", "d")


def setting(
    dataset: str, regime: str, gains: dict[str, float], *, seed: int = 0, noise: float = 0.01, n: int = 10
) -> Setting:
    """Flat curves at 0.5 + gain; ups and downs shared by seed, and noise of each strategy's own."""
    rng = np.random.default_rng(seed)
    shared = np.random.default_rng(99).normal(0, 0.03, n)
    curves = {
        name: np.repeat((0.5 + gain + shared + rng.normal(0, noise, n))[:, None], 3, axis=1)
        for name, gain in gains.items()
    }
    seeds = {name: tuple(range(n)) for name in gains}
    return Setting(f"{dataset}-{regime}", dataset, regime, BUDGETS, seeds, curves)


def gains(*values: float) -> dict[str, float]:
    return dict(zip(NAMES, values, strict=False))


def test_the_variance_between_strategies_is_unbiased_and_knows_no_seed_effect() -> None:
    rng = np.random.default_rng(1)
    truth = np.asarray([0.0, 1.0, 2.0, 5.0])
    found = [variance_between(truth + rng.normal(0, 3, (6, 1)) + rng.normal(0, 2, (6, 4))) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(truth.var(ddof=1), abs=0.15)
    nothing = [variance_between(rng.normal(0, 2, (6, 4))) for _ in range(4000)]
    assert np.mean(nothing) == pytest.approx(0, abs=0.05)


def test_the_jackknife_of_a_mean_is_its_t_interval() -> None:
    x = np.asarray([1.0, 2.0, 4.0, 9.0])
    value, low, high = jackknife(lambda rows: float(x[rows].mean()), 4)
    half = 3.182446305 * x.std(ddof=1) / 2
    assert (value, low, high) == pytest.approx((4.0, 4 - half, 4 + half))


def test_the_interval_of_a_fall_in_spread_covers_zero_where_nothing_fell() -> None:
    covered = 0
    for seed in range(200):
        pair = [
            setting("d", regime, gains(0, 0.02, 0.01, -0.02), seed=2 * seed + i)
            for i, regime in enumerate(("plain", "augmented"))
        ]
        covered += shrinking(pair, "plain", "augmented", "").findings[0].says == "undecided"
    assert covered >= 180


@pytest.mark.parametrize(("before", "after", "says"), [(0.03, 0.0, "holds"), (0.0, 0.03, "does not hold")])
def test_shrinking_and_growing_differences(before: float, after: float, says: str) -> None:
    pair = [
        setting("d", r, gains(0, s, -s, 2 * s), seed=i)
        for i, (r, s) in enumerate((("plain", before), ("augmented", after)))
    ]
    claim = shrinking(pair, "plain", "augmented", "Augmentation shrinks the differences.")
    assert claim.answer == says
    assert claim.findings[0].components.keys() == {"spread, plain", "spread, augmented"}


def test_a_data_set_with_one_regime_only_says_nothing_of_shrinking() -> None:
    assert shrinking([setting("d", "plain", gains(0, 1))], "plain", "augmented", "").findings == ()
    assert shrinking([], "plain", "augmented", "").answer == "undecided"


@pytest.mark.parametrize(
    ("supervised", "semi", "says"),
    [
        (gains(0, 0.0), gains(0.1, 0.1), "holds"),
        (gains(0, 0.0), gains(0.1, 0.2), "does not hold"),  # also far above random with semi-supervision
        (gains(0, 0.0), gains(0.0, 0.0), "does not hold"),  # not above supervised at all
        (gains(0, 0.0), gains(0.1, 0.11), "undecided"),
    ],
)
def test_far_above_supervised_and_hardly_above_random(
    supervised: dict[str, float], semi: dict[str, float], says: str
) -> None:
    pair = [setting("d", r, g, seed=i, noise=0.003) for i, (r, g) in enumerate((("plain", supervised), ("uda", semi)))]
    claim = semi_supervision(pair, "plain", "uda", "random", 0.01)
    assert [f.says for f in claim.findings] == [says]


def test_a_loser_is_found_and_corrected_for_all_that_were_compared() -> None:
    bad, good = setting("d", "plain", gains(0, -0.03, 0.01)), setting("e", "plain", gains(0, 0.05, 0.04), seed=9)
    claim = losing([bad, good], "random", 0.01)
    assert [f.says for f in claim.findings] == ["holds", "does not hold"]
    assert claim.findings[0].what.startswith("a minus random")
    assert claim.findings[0].components["worse than random"] == 1
    first = bad.paired_areas("a", "random")
    p = stats.ttest_rel(*first).pvalue
    assert claim.findings[0].components["adjusted p"] > 1.99 * p  # at most two of the four have smaller ones
    assert "over all 4 comparisons" in claim.rule


def test_the_same_order_carries_over_and_another_does_not() -> None:
    order = gains(0, 0.02, 0.04, 0.06, 0.08)
    other = gains(0.08, 0.0, 0.06, 0.02, 0.04)
    same = carried_over([setting("d", "plain", order, seed=1), setting("e", "plain", order, seed=2)])
    changed = carried_over([setting("d", "plain", order, seed=1), setting("e", "plain", other, seed=2)])
    assert (same.answer, changed.answer) == ("does not hold", "holds")
    assert changed.findings[0].components["tau between"] < 0 < changed.findings[0].components["tau within"]


def test_noise_alone_is_no_change_of_ranking() -> None:
    """Rankings that are all noise disagree with the other data set no more than with themselves."""
    lost = []
    for seed in range(60):
        x: NDArray[np.float64] = np.random.default_rng(seed).normal(size=(2, 8, 5))
        within, between = agreements(x[0], x[1])
        lost.append(within - between)
    assert abs(np.mean(lost)) < 0.15


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(1, 2, "holds"), (-2, -1, "does not hold"), (-1, 1, "undecided"), (np.nan, np.nan, "undecided")],
)
def test_an_interval_is_judged_whole(low: float, high: float, says: str) -> None:
    assert judge(low, high, above=0, below=0) == says


def test_the_answer_counts_places_that_disagree() -> None:
    claim = losing(
        [setting("d", "plain", gains(0, -0.05)), setting("e", "plain", gains(0, 0.05), seed=4)], "random", 0.01
    )
    assert claim.answer == "holds in 1 of 2, does not hold in 1 of 2"
    assert len(claim.to_frame()) == 2


def test_the_interval_of_lost_agreement_covers_zero_where_rankings_are_the_same() -> None:
    order, covered, centred = gains(0, 0.008, 0.016, 0.02, 0.03), 0, []
    for seed in range(60):
        found = carried_over(
            [setting("d", "plain", order, seed=2 * seed), setting("e", "plain", order, seed=2 * seed + 1)]
        ).findings[0]
        covered += found.low <= 0 <= found.high
        centred.append((found.low + found.high) / 2 - found.value)
    assert covered >= 53
    assert abs(np.mean(centred)) < 0.02

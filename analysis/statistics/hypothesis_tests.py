"""Test for a difference (sign-flip, t, Wilcoxon, Welch) and for equivalence within a margin (TOST).

Differences are strategy minus baseline, one per seed. All p of differences are two-sided.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from analysis.statistics.arrays import Floats


@dataclass(frozen=True)
class Tost:
    """Result of two one-sided tests: p of "difference <= -delta" and of "difference >= delta".

    The difference is equivalent to zero, within the margin, if the larger of the two is small.
    """

    n: int
    delta: float
    p_low: float
    p_high: float

    @property
    def p(self) -> float:
        """Return the larger of the two p-values."""
        return max(self.p_low, self.p_high)


def tost(differences: ArrayLike, delta: float, rho: float = 0.0) -> Tost:
    """Compute two one-sided paired t tests for equivalence (TOST, Schuirmann 1987).

    p <= alpha if and only if the 1 - 2 alpha t interval lies inside (-delta, delta). If all differences are equal, the
    t statistic is undefined and the exact one-sided sign-flip test takes its place: p = 2^-n inside the margin. With
    rho > 0 the standard error is that of dependent differences, see `paired_t`, and equal differences give p = 1.

    Args:
        differences: Strategy minus baseline, shape (n,).
        delta: Margin > 0, in the same units.
        rho: Correlation between differences, in [0, 1).

    Returns:
        Both p in (0, 1]; 1 for n < 2.

    Raises:
        ValueError: `delta` is not positive.

    >>> tost([0.01, 0.01, 0.01], 0.05).p  # equal differences inside the margin: 2^-3
    0.125
    >>> round(tost([-1, 0, 1], 2).p, 3)  # t = (0 + 2) / (1 / sqrt 3) = 3.46 on both sides
    0.037
    """
    if not delta > 0:
        raise ValueError(f"expected a positive margin, found {delta}")
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n < 2:
        return Tost(n, delta, 1.0, 1.0)
    if np.ptp(d) <= 1e-12 * max(1.0, float(np.abs(d).max())):
        inside = 1.0 if rho else 2.0**-n
        return Tost(n, delta, inside if d[0] > -delta else 1.0, inside if d[0] < delta else 1.0)
    mean, error = float(d.mean()), float(d.std(ddof=1) * error_factor(n, rho))
    return Tost(n, delta, t_tail((mean + delta) / error, n - 1), t_tail((delta - mean) / error, n - 1))


Test = Literal["sign-flip", "t", "wilcoxon"]
ENUMERATED = 16
"""Largest n for which all 2^n sign patterns are enumerated."""
FLIPS = 100_000
"""Monte Carlo sign patterns for larger n."""


@dataclass(frozen=True)
class TestResult:
    """Result of a two-sided test.

    Attributes:
        test: Name of the test.
        n: Number of differences; for Welch's test, values of the smaller sample.
        statistic: t, the smaller signed-rank sum (Wilcoxon), or the sum of the differences (sign-flip).
        p: In (0, 1].
        smallest_p: The smallest p this test can give with n seeds (0 for t). Differences of zero do not count: each of
            them doubles it.
        direction: Sign of the effect: 1 for positive differences, -1 for negative, 0 for neither. Wilcoxon's may
            disagree with the sign of the mean if one outlier outweighs the ranks.
        standard_error: Monte Carlo standard error of p; 0 if p is not simulated.
    """

    __test__ = False  # not a test class for pytest

    test: Test | Literal["welch"]
    n: int
    statistic: float
    p: float
    smallest_p: float
    direction: int = 0
    standard_error: float = 0.0


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p of the sign-flip and the Wilcoxon test with n seeds.

    It is 2^(1-n), and 1 for n = 0; n counts only differences that are not zero.

    >>> smallest_p(5)  # 1/16: five seeds cannot reject at .05
    0.0625
    """
    return 1.0 if n < 1 else 2.0 ** (1 - n)


def error_factor(n: int, rho: float = 0.0) -> float:
    """Return the standard error of a mean of n values with correlation rho, in standard deviations.

    >>> error_factor(4), error_factor(4, 0.2)  # sqrt(1/4), and sqrt(1/4 + 1/4)
    (0.5, 0.7071067811865476)
    """
    return math.sqrt(1 / n + rho / (1 - rho))


def run_tests(test: Test, samples: Sequence[ArrayLike], rng: np.random.Generator, rho: float = 0.0) -> list[TestResult]:
    """Run one test on several samples of differences.

    Args:
        test: "sign-flip", "t" or "wilcoxon".
        samples: Differences per comparison, shape (n,) each.
        rng: Used only by sign-flip tests of more than 16 differences.
        rho: Correlation between differences; only the t test has a correction for it.

    Raises:
        ValueError: rho is not 0 and the test is exact.

    >>> [result.p for result in run_tests("sign-flip", [[1, 1], [1, -1]], np.random.default_rng(0))]
    [0.5, 1.0]
    """
    if rho and test != "t":
        raise ValueError(f"expected rho = 0 for the {test} test, which needs independent differences, found {rho:g}")
    if test == "sign-flip":
        return sign_flips(samples, rng)
    return [paired_t(d, rho) if test == "t" else wilcoxon(d) for d in samples]


def paired_t(differences: ArrayLike, rho: float = 0.0) -> TestResult:
    """Compute Student's paired t test (Student 1908), corrected for dependent differences on request.

    If all differences are equal, t is undefined and the sign-flip test takes its place. p = 1 for n < 2.

    Args:
        differences: Strategy minus baseline, shape (n,), finite.
        rho: Correlation between differences, in [0, 1): 0 for independent seeds, 1/k for k-fold cross-validation. The
            standard error is then sqrt(1/n + rho / (1 - rho)) s (Nadeau & Bengio 2003).

    >>> result = paired_t([1, 2, 3])  # mean 2, sd 1: t = 2 sqrt 3
    >>> round(result.statistic, 3), round(result.p, 3)
    (3.464, 0.074)
    >>> round(paired_t([1, 2, 3], rho=0.25).statistic, 3)  # 2 / sqrt(1/3 + 1/3)
    2.449
    """
    d = _clean(differences)
    if len(d) < 2:
        return TestResult("t", len(d), float("nan"), 1.0, 0.0)
    if np.ptp(d) == 0 and rho:  # equal folds are no independent signs
        return TestResult("t", len(d), float("nan"), 1.0, 0.0, _sign(d[0]))
    if np.ptp(d) == 0:
        return TestResult("t", len(d), float("nan"), sign_flip(d[:ENUMERATED]).p, 0.0, _sign(d[0]))
    t = float(d.mean() / (d.std(ddof=1) * error_factor(len(d), rho)))
    return TestResult("t", len(d), t, 2 * t_tail(abs(t), len(d) - 1), 0.0, _sign(d.sum()))


def wilcoxon(differences: ArrayLike) -> TestResult:
    """Compute the signed-rank test (Wilcoxon 1945), zeros dropped and tied ranks averaged.

    Without ties p is exact up to 50 differences. With ties it is exact up to 16, by enumerating the signs of the
    averaged ranks (scipy's exact method ignores ties). Otherwise p is the tie-corrected normal approximation.

    Args:
        differences: Strategy minus baseline, shape (n,), finite.

    >>> result = wilcoxon([1, 2, 3, -4])  # R+ = 1 + 2 + 3, R- = 4
    >>> result.statistic, result.p, result.direction
    (4.0, 0.875, 1)
    """
    every = _clean(differences)
    n, d = len(every), every[every != 0]
    if not len(d):
        return TestResult("wilcoxon", n, 0.0, 1.0, 1.0)
    ranks = stats.rankdata(np.abs(d))
    positive, negative = float(ranks[d > 0].sum()), float(ranks[d < 0].sum())
    tied = len(np.unique(ranks)) < len(d)
    if tied and len(d) <= ENUMERATED:
        p = sign_flip(ranks * np.sign(d)).p
    else:
        p = float(stats.wilcoxon(d, method="approx" if tied or len(d) > 50 else "exact").pvalue)
    return TestResult("wilcoxon", n, min(positive, negative), p, smallest_p(len(d)), _sign(positive - negative))


def sign_flip(differences: ArrayLike, rng: np.random.Generator | None = None) -> TestResult:
    """Compute Fisher's randomisation test of paired differences (Fisher 1935, ch. 3).

    p = #{e in {-1, 1}^n : |sum(e d)| >= |sum(d)|} / 2^n, enumerated for n <= 16, with a tolerance on >= so that
    rounding cannot lose a tie. For larger n, p = (1 + hits) / (1 + flips) over random flips (Phipson & Smyth 2010),
    with its standard error.

    Args:
        differences: Strategy minus baseline, shape (n,), finite.
        rng: Source of the random flips; needed for n > 16.

    Raises:
        ValueError: n > 16 without `rng`, or a value is not finite.

    >>> sign_flip([1, 2, 3]).p  # only +++ and --- reach |sum| = 6: 2 of 8
    0.25
    """
    return sign_flips([differences], rng)[0]


def sign_flips(samples: Sequence[ArrayLike], rng: np.random.Generator | None = None) -> list[TestResult]:
    """Run `sign_flip` on several samples.

    Samples of equal n > 16 share the random flips, which saves time.

    >>> [result.p for result in sign_flips([[1, 2, 3], [1, 1, -1]])]  # |sum| of 1 or more: all 8 patterns
    [0.25, 1.0]
    """
    cleaned = [_clean(sample) for sample in samples]
    results: dict[int, TestResult] = {}
    for n in dict.fromkeys(len(d) for d in cleaned):
        places = [place for place, d in enumerate(cleaned) if len(d) == n]
        if not n:
            results |= dict.fromkeys(places, TestResult("sign-flip", 0, 0.0, 1.0, 1.0))
            continue
        d = np.stack([cleaned[place] for place in places], axis=1)  # (n, samples)
        total = d.sum(axis=0)
        reached = np.abs(total) - 1e-9 * np.abs(d).sum(axis=0)
        if n <= ENUMERATED:
            p, error = (np.abs(half_sign_patterns(n) @ d) >= reached).mean(axis=0), np.zeros(len(places))
        elif rng is None:
            raise ValueError(f"expected `rng` for more than {ENUMERATED} differences, found None with n = {n}")
        else:
            hits = np.zeros(len(places))
            for _ in range(10):  # a tenth at a time keeps memory small
                hits += (np.abs(2 * (random_bits(FLIPS // 10, n, rng) @ d) - total) >= reached).sum(axis=0)
            p = (1 + hits) / (1 + FLIPS)
            error = np.sqrt(p * (1 - p) / FLIPS)
        for column, place in enumerate(places):
            t, least = float(total[column]), smallest_p(int((d[:, column] != 0).sum()))
            least = least if n <= ENUMERATED else max(least, 1 / (1 + FLIPS))
            results[place] = TestResult("sign-flip", n, t, float(p[column]), least, _sign(t), float(error[column]))
    return [results[place] for place in range(len(cleaned))]


def welch(strategy: ArrayLike, baseline: ArrayLike) -> TestResult:
    """Compute Welch's t test of two independent samples with unequal variances (Welch 1947).

    For seeds that are not shared. If both samples are constant, t is undefined and the exact permutation of labels
    takes its place: p = 2 / C(n + m, n), or 1 for equal constants.

    Args:
        strategy: Values of the strategy, shape (n,), finite.
        baseline: Values of the baseline, shape (m,), finite.

    Returns:
        p = 1 if either sample has fewer than two values.

    Raises:
        ValueError: A value is not finite.

    >>> result = welch([1, 2, 3], [2, 4, 6])  # -2 / sqrt(1/3 + 4/3)
    >>> round(result.statistic, 3), round(result.p, 3)
    (-1.549, 0.221)
    """
    x, y = np.asarray(strategy, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("expected finite values, found NaN or infinity")
    n = min(len(x), len(y))
    if n < 2:
        return TestResult("welch", n, float("nan"), 1.0, 0.0)
    side = _sign(round(float(x.mean() - y.mean()), 12))
    if np.ptp(x) == np.ptp(y) == 0:
        p = min(1.0, 2 / math.comb(len(x) + len(y), len(x))) if side else 1.0
        return TestResult("welch", n, float("nan"), p, 0.0, side)
    error, df = welch_error(x, y)
    t = float((x.mean() - y.mean()) / error)
    return TestResult("welch", n, t, 2 * t_tail(abs(t), df), 0.0, side)


def welch_error(x: Floats, y: Floats) -> tuple[float, float]:
    """Return the standard error of mean(x) - mean(y) and its degrees of freedom.

    References: Welch 1947; Satterthwaite 1946.

    With u = var(x) / n and v = var(y) / m: sqrt(u + v), and (u + v)^2 / (u^2 / (n - 1) + v^2 / (m - 1)).

    Args:
        x: Shape (n,), n >= 2.
        y: Shape (m,), m >= 2; not both constant.

    >>> welch_error(np.array([1.0, 3.0, 5.0, 7.0]), np.array([0.0, 2.0, 4.0, 6.0]))[1]  # equal variances: n + m - 2
    6.0
    """
    u, v = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    error = math.sqrt(u + v)
    _, power = math.frexp(max(u, v))  # squares must neither overflow nor vanish; a power of two changes no digit
    u, v = math.ldexp(u, -power), math.ldexp(v, -power)
    return error, (u + v) ** 2 / (u**2 / (len(x) - 1) + v**2 / (len(y) - 1))


def t_tail(t: float, df: float) -> float:
    """Return P(T >= t) of Student's t with `df` degrees of freedom.

    This is scipy's `t.sf` without its argument checks, which take 100 times as long as the computation.

    >>> t_tail(0.0, 3)
    0.5
    """
    return float(special.stdtr(df, -t))


def random_bits(count: int, n: int, rng: np.random.Generator) -> Floats:
    """Draw fair coins, 0.0 or 1.0, shape (count, n).

    >>> random_bits(2, 3, np.random.default_rng(0)).shape
    (2, 3)
    """
    packed = rng.integers(0, 256, (count, -(-n // 8)), dtype=np.uint8)
    return np.unpackbits(packed, axis=1, count=n).astype(np.float64)


@functools.lru_cache(maxsize=ENUMERATED)
def half_sign_patterns(n: int) -> Floats:
    """Return half of all sign patterns, shape (2^(n-1), n).

    The other half is not needed: |sum| is the same for a pattern and its negative.

    >>> half_sign_patterns(2).tolist()  # the last sign is +
    [[1.0, 1.0], [-1.0, 1.0]]
    """
    bits = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)


def _sign(value: float) -> int:
    return int(np.sign(value))


def _clean(differences: ArrayLike) -> Floats:
    """Check shape and values; round to 12 digits of the largest, so that equal differences tie."""
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not np.isfinite(d).all():
        wrong = int((~np.isfinite(d)).sum())
        raise ValueError(f"expected finite differences (n,), found shape {d.shape} with {wrong} values not finite")
    largest = float(np.abs(d).max(initial=0.0))
    return d if largest == 0 else np.round(d / largest, 12) * largest

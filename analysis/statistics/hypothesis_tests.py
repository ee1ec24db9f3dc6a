"""Two one-sided tests (TOST, Schuirmann 1987): evidence that a difference is smaller than a margin."""

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
    """p of "difference <= -delta", of "difference >= delta", and the larger: equivalent if that one is small."""

    n: int
    delta: float
    p_low: float
    p_high: float

    @property
    def p(self) -> float:
        return max(self.p_low, self.p_high)


def tost(differences: ArrayLike, delta: float) -> Tost:
    """Paired TOST on differences, shape (n,), with margin `delta` > 0 in the same units.

    The same as the 1 - 2 alpha t interval lying inside (-delta, delta). With n < 2, p = 1. With zero spread
    the t statistic is undefined; the exact one-sided sign flip takes its place: p = 2^-n inside the margin.

    Raises:
        ValueError: delta is not positive.
    """
    if not delta > 0:
        raise ValueError(f"expected a positive margin, found {delta}")
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n < 2:
        return Tost(n, delta, 1.0, 1.0)
    if np.ptp(d) <= 1e-12 * max(1.0, float(np.abs(d).max())):
        inside = 2.0**-n
        return Tost(n, delta, inside if d[0] > -delta else 1.0, inside if d[0] < delta else 1.0)
    mean, error = float(d.mean()), float(d.std(ddof=1) / np.sqrt(n))
    return Tost(n, delta, t_tail((mean + delta) / error, n - 1), t_tail((delta - mean) / error, n - 1))


Test = Literal["sign-flip", "t", "wilcoxon"]
ENUMERATED = 16
"""Largest n whose 2^n sign patterns are enumerated."""
FLIPS = 100_000
"""Monte Carlo sign patterns beyond that."""


@dataclass(frozen=True)
class TestResult:
    """A two-sided test's answer.

    Attributes:
        statistic: t, the smaller signed-rank sum, or the sum of the differences.
        p: in (0, 1].
        smallest_p: the smallest p this test can give with n seeds (0 for t).
        direction: which side the test leans to: 1 positive differences, -1 negative, 0 neither. Wilcoxon's
            may disagree with the sign of the mean, where one outlier outweighs the ranks.
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
    """Smallest two-sided p of the sign-flip and the Wilcoxon test with n seeds: 2^(1-n); 1 for n = 0."""
    return 1.0 if n < 1 else 2.0 ** (1 - n)


def run_tests(test: Test, samples: Sequence[ArrayLike], rng: np.random.Generator) -> list[TestResult]:
    """The named test of each sample of differences; `rng` is drawn from only by sign-flip tests of more than 16 seeds."""
    if test == "sign-flip":
        return sign_flips(samples, rng)
    return [paired_t(d) if test == "t" else wilcoxon(d) for d in samples]


def paired_t(differences: ArrayLike) -> TestResult:
    """Student's paired t test (Student 1908)."""
    d = _clean(differences)
    if len(d) < 2:
        return TestResult("t", len(d), float("nan"), 1.0, 0.0)
    if np.ptp(d) == 0:
        return TestResult("t", len(d), float("nan"), sign_flip(d[:ENUMERATED]).p, 0.0, _sign(d[0]))
    t = float(d.mean() / d.std(ddof=1) * np.sqrt(len(d)))
    return TestResult("t", len(d), t, 2 * t_tail(abs(t), len(d) - 1), 0.0, _sign(d.sum()))


def wilcoxon(differences: ArrayLike) -> TestResult:
    """Signed-rank test (Wilcoxon 1945): zeros dropped, tied ranks averaged.

    Exact by scipy without ties; exact by enumerating the signs of the averaged ranks with ties and at
    most 16 differences; beyond, the tie-corrected normal approximation (scipy's exact ignores ties).
    """
    every = _clean(differences)
    n, d = len(every), every[every != 0]
    if not len(d):
        return TestResult("wilcoxon", n, 0.0, 1.0, smallest_p(n))
    ranks = stats.rankdata(np.abs(d))
    positive, negative = float(ranks[d > 0].sum()), float(ranks[d < 0].sum())
    tied = len(np.unique(ranks)) < len(d)
    if tied and len(d) <= ENUMERATED:
        p = sign_flip(ranks * np.sign(d)).p
    else:
        p = float(stats.wilcoxon(d, method="approx" if tied or len(d) > 50 else "exact").pvalue)
    return TestResult("wilcoxon", n, min(positive, negative), p, smallest_p(n), _sign(positive - negative))


def sign_flip(differences: ArrayLike, rng: np.random.Generator | None = None) -> TestResult:
    """Fisher's randomisation test of paired differences (Fisher 1935, ch. 3).

    p = #{e in {-1, 1}^n : |sum(e d)| >= |sum(d)|} / 2^n, enumerated for n <= 16 (with a tolerance on >=, so
    that rounding cannot lose a tie); beyond, (1 + hits) / (1 + flips) over random flips from `rng`
    (Phipson & Smyth 2010) with its standard error.

    Raises:
        ValueError: more than 16 differences and no `rng`, or a value that is not finite.
    """
    return sign_flips([differences], rng)[0]


def sign_flips(samples: Sequence[ArrayLike], rng: np.random.Generator | None = None) -> list[TestResult]:
    """`sign_flip` of each sample; samples of equal n beyond 16 share the random flips, which costs little more than one."""
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
            p, least, error = (
                (np.abs(half_sign_patterns(n) @ d) >= reached).mean(axis=0),
                smallest_p(n),
                np.zeros(len(places)),
            )
        elif rng is None:
            raise ValueError(f"expected a generator for more than {ENUMERATED} differences, found none for {n}")
        else:
            hits = np.zeros(len(places))
            for _ in range(10):  # a tenth at a time keeps memory small
                hits += (np.abs(2 * (random_bits(FLIPS // 10, n, rng) @ d) - total) >= reached).sum(axis=0)
            p, least = (1 + hits) / (1 + FLIPS), 1 / (1 + FLIPS)
            error = np.sqrt(p * (1 - p) / FLIPS)
        for column, place in enumerate(places):
            t = float(total[column])
            results[place] = TestResult("sign-flip", n, t, float(p[column]), least, _sign(t), float(error[column]))
    return [results[place] for place in range(len(cleaned))]


def welch(strategy: ArrayLike, baseline: ArrayLike) -> TestResult:
    """Welch's t test of two independent samples, shapes (n,) and (m,), variances unequal (Welch 1947).

    For seeds that are not shared. With fewer than two values on a side p = 1; if both sides are constant, t is
    undefined and the exact permutation of labels takes its place: 2 / C(n + m, n), or 1 for equal constants.
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
    u, v = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    t = float((x.mean() - y.mean()) / math.sqrt(u + v))
    return TestResult("welch", n, t, 2 * t_tail(abs(t), welch_freedom(u, v, len(x), len(y))), 0.0, side)


def welch_freedom(u: float, v: float, n: int, m: int) -> float:
    """Degrees of freedom of squared standard errors u and v of means of n and m values (Welch 1947; Satterthwaite 1946)."""
    _, power = math.frexp(max(u, v))  # squares must neither overflow nor vanish; a power of two changes no digit
    u, v = math.ldexp(u, -power), math.ldexp(v, -power)
    return (u + v) ** 2 / (u**2 / (n - 1) + v**2 / (m - 1))


def t_tail(t: float, df: float) -> float:
    """P(T >= t) of Student's t with `df` degrees of freedom: scipy's t.sf without its argument checks, which cost 100 times the answer."""
    return float(special.stdtr(df, -t))


def random_bits(count: int, n: int, rng: np.random.Generator) -> Floats:
    """Fair coins, 0.0 or 1.0, shape (count, n)."""
    packed = rng.integers(0, 256, (count, -(-n // 8)), dtype=np.uint8)
    return np.unpackbits(packed, axis=1, count=n).astype(np.float64)


@functools.lru_cache(maxsize=ENUMERATED)
def half_sign_patterns(n: int) -> Floats:
    """All sign patterns with the first sign fixed, shape (2^(n-1), n): |sum| is equal for a pattern and its negative."""
    bits = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)


def _sign(value: float) -> int:
    return int(np.sign(value))


def _clean(differences: ArrayLike) -> Floats:
    """Shape (n,), finite; rounded to 12 digits of the largest, so that equal differences are equal numbers."""
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not np.isfinite(d).all():
        raise ValueError(
            f"expected finite differences of shape (n,), found shape {d.shape}, {int((~np.isfinite(d)).sum())} not finite"
        )
    largest = float(np.abs(d).max(initial=0.0))
    return d if largest == 0 else np.round(d / largest, 12) * largest

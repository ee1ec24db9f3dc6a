"""Mixed models of learning curves: secondary and descriptive, never a verdict.

`crossed_effects` models all strategies at once, with crossed random effects. Every curve becomes two numbers, its level
halfway and its slope, by least squares on x = log2(budget), scaled from -1/2 at the first to 1/2 at the last budget
(on x = budget, if budgets begin at 0).
Each number is modelled as

    y ~ strategy + (1 | setting) + (1 | seed) + (1 | setting:seed),

where a setting is a data set under a regime. Points of one curve are never treated as independent: under an
autocorrelated null such a Wald test rejected 12.7 % at level .05. Wald standard errors are still asymptotic, and
strategies are assumed to differ by the same amount in every setting.

`curve_trend` models the paired difference curves of one strategy, with random intercepts and slopes per curve.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.across.setting import Setting
from analysis.statistics.arrays import Floats

Outcome = Literal["level", "slope"]


@dataclass(frozen=True)
class CrossedFit:
    """Restricted maximum likelihood fit of y ~ fixed effects + one random intercept per factor.

    Attributes:
        effects, errors: fixed effects in the order of the design's columns, with asymptotic standard errors.
        points: number of points.
        sds: standard deviation of the random effects by factor; `sd_residual` is that of the residuals.
        reml: REML criterion, -2 log restricted likelihood; smaller is better.
        converged: whether the optimiser reports convergence.
    """

    points: int
    effects: tuple[float, ...]
    errors: tuple[float, ...]
    sds: dict[str, float]
    sd_residual: float
    reml: float
    converged: bool


@dataclass(frozen=True)
class CrossedEffect:
    """Difference of one strategy to the baseline over all settings.

    It is in the metric's units; positive is better.

    Attributes:
        outcome: level halfway, or slope (change over the whole range of budgets).
        runs: number of curves in the fit.
        value, standard_error: estimate of the difference to the baseline.
        sd_setting, sd_seed, sd_pair, sd_residual: standard deviations of the fit, which all strategies share.
        converged: whether the optimiser reports convergence.
    """

    strategy: str
    outcome: Outcome
    runs: int
    value: float
    standard_error: float
    sd_setting: float
    sd_seed: float
    sd_pair: float
    sd_residual: float
    converged: bool
    label: str = "secondary, descriptive"


def crossed_model(y: ArrayLike, design: ArrayLike, factors: Mapping[str, ArrayLike]) -> CrossedFit:
    """Fit y ~ fixed effects + one random intercept per factor, by statsmodels' MixedLM.

    Factors may be crossed or nested.

    Args:
        y: values, shape (N,), finite.
        design: fixed effects, shape (N, p), of full rank.
        factors: label of every point by factor, each shape (N,), with at least two levels.

    Raises:
        ValueError: too few points, a factor with one level, values without spread, or no solution.
    """
    value, x = np.asarray(y, dtype=np.float64), np.asarray(design, dtype=np.float64)
    levels = {name: np.unique(np.asarray(labels), return_inverse=True)[1] for name, labels in factors.items()}
    few = [name for name, inverse in levels.items() if inverse.max(initial=0) < 1]
    if few or len(value) <= x.shape[1] + len(levels):
        raise ValueError(
            "expected two levels of each factor and more points than parameters,"
            f" found {len(value)} points, one level of {few}"
        )
    residual = value - x @ np.linalg.lstsq(x, value, rcond=None)[0]
    scale = float(residual.std())
    if scale <= 1e-10 * max(1.0, float(np.abs(value).max())):
        raise ValueError("expected values with spread around the fixed effects, found a standard deviation of 0")
    mats = [[np.eye(int(inverse.max()) + 1)[inverse]] for inverse in levels.values()]
    names = [[[f"{name}[{i}]" for i in range(m[0].shape[1])]] for name, m in zip(levels, mats, strict=True)]
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec  # half a second, which few tables need

    components = VCSpec(list(levels), names, mats)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence is reported in `converged`
            # scaled to the residual spread, since the optimiser's steps suit variances near 1
            model = MixedLM(value / scale, x, groups=np.zeros(len(value)), exog_vc=components)
            # near variances of 0 gradients mislead one optimiser or the other: keep the better fit
            fit = max(
                (model.fit(reml=True, method=method) for method in ("powell", "lbfgs")), key=lambda end: float(end.llf)
            )
            errors = scale * np.asarray(fit.bse_fe)
    except np.linalg.LinAlgError:
        raise ValueError("expected a fit with finite standard errors, found a singular one") from None
    if not np.isfinite(errors).all():
        raise ValueError("expected a fit with finite standard errors, found infinite or missing ones")
    freedom = len(value) - x.shape[1]
    return CrossedFit(
        points=len(value),
        effects=tuple(float(scale * b) for b in fit.fe_params),
        errors=tuple(float(e) for e in errors),
        sds={name: float(scale * np.sqrt(max(v, 0.0))) for name, v in zip(levels, fit.vcomp, strict=True)},
        sd_residual=float(scale * np.sqrt(fit.scale)),
        reml=float(-2 * fit.llf + 2 * freedom * np.log(scale)),
        converged=bool(fit.converged),
    )


def crossed_effects(settings: Sequence[Setting], strategies: Sequence[str], baseline: str) -> tuple[CrossedEffect, ...]:
    """Fit levels over all settings, and slopes over those with more than one budget.

    Args:
        settings: curves of any number of data sets and regimes.
        strategies: names of the strategies to include.
        baseline: name of the strategy to compare to.

    Raises:
        ValueError: the baseline has no curve, or `crossed_model` cannot be fitted.
    """
    rows = [(i, setting, s) for i, setting in enumerate(settings) for s in strategies if s in setting.curves]
    names = [baseline, *(s for s in strategies if s != baseline and any(s == name for _, _, name in rows))]
    if not any(s == baseline for _, _, s in rows) or len(names) < 2:
        raise ValueError("expected curves of the baseline and of one more strategy, found none")
    made: list[CrossedEffect] = []
    for outcome in ("level", "slope"):
        used = [row for row in rows if outcome == "level" or len(row[1].budgets) > 1]
        if not used:
            continue
        y = np.concatenate([_outcome(setting, s, outcome) for _, setting, s in used])
        place = np.concatenate([np.full(len(setting.seeds[s]), i) for i, setting, s in used])
        who = np.concatenate([np.full(len(setting.seeds[s]), names.index(s)) for _, setting, s in used])
        seed = np.concatenate([np.asarray(setting.seeds[s], dtype=np.int64) for _, setting, s in used])
        pair = np.unique(np.stack([place, seed]), axis=1, return_inverse=True)[1].ravel()
        design = np.column_stack([np.ones(len(y)), *(who == j for j in range(1, len(names)))])
        fit = crossed_model(y, design, {"setting": place, "seed": seed, "pair": pair})
        sds = (fit.sds["setting"], fit.sds["seed"], fit.sds["pair"], fit.sd_residual)
        made += [
            CrossedEffect(name, outcome, fit.points, fit.effects[j], fit.errors[j], *sds, fit.converged)
            for j, name in enumerate(names)
            if j
        ]
    return tuple(made)


def _outcome(setting: Setting, strategy: str, outcome: str) -> Floats:
    """Return the level halfway or the slope of every curve, shape (n,), by least squares over its budgets."""
    curves = setting.curves[strategy]
    if len(setting.budgets) < 2:
        return curves[:, 0]
    x = _positions(setting)
    level, slope = np.linalg.lstsq(np.column_stack([np.ones_like(x), x]), curves.T, rcond=None)[0]
    return np.asarray(level if outcome == "level" else slope)


def _positions(setting: Setting) -> Floats:
    """Return the position of every budget, from -1/2 to 1/2: on the scale of log2, or of budgets that begin at 0."""
    x = np.log2(setting.budgets) if setting.budgets[0] > 0 else setting.budgets
    return np.asarray((x - x[0]) / (x[-1] - x[0]) - 0.5)


@dataclass(frozen=True)
class MixedModel:
    """Restricted maximum likelihood fit of y ~ x + (x | curve).

    Attributes:
        curves, points: number of curves and of points.
        intercept, slope: fixed effects, with asymptotic standard errors.
        sd_intercept, sd_slope, sd_residual: standard deviations of the random effects and the residuals.
        reml: REML criterion, -2 log restricted likelihood; smaller is better.
        converged: whether the optimiser reports convergence and no variance lies on its boundary.
    """

    curves: int
    points: int
    intercept: float
    intercept_se: float
    slope: float
    slope_se: float
    sd_intercept: float
    sd_slope: float
    sd_residual: float
    reml: float
    converged: bool


@dataclass(frozen=True)
class CurveTrend:
    """Mixed model of the paired difference curves of one strategy to the baseline.

    The position x is log2(budget), scaled from -1/2 at the first to 1/2 at the last budget of a setting. The intercept
    of the fit is the mean difference halfway; its slope is the change of the difference over the whole range.
    """

    strategy: str
    fit: MixedModel
    label: str = "secondary, descriptive"


def mixed_model(y: ArrayLike, x: ArrayLike, curve: ArrayLike) -> MixedModel:
    """Fit y ~ x + (x | curve) by statsmodels' MixedLM.

    Args:
        y, x, curve: value, position and label of the curve of every point, each shape (N,).

    Raises:
        ValueError: fewer than three curves, positions without spread, values that lie on one line, or no solution.
    """
    value, place, groups = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64), np.asarray(curve)
    design = np.column_stack([np.ones_like(place), place])
    if len(np.unique(groups)) < 3 or np.ptp(place) == 0:
        raise ValueError(
            "expected three curves over more than one position,"
            f" found {len(np.unique(groups))} over {len(np.unique(place))}"
        )
    if np.linalg.lstsq(design, value, rcond=None)[1].sum() <= 1e-20 * max(1.0, float(value @ value)):
        raise ValueError("expected values with spread, found points on one line")
    from statsmodels.regression.mixed_linear_model import MixedLM

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence is reported in `converged`
            fit = MixedLM(value, design, groups=groups, exog_re=design).fit(reml=True)
            errors = np.sqrt(np.diag(np.asarray(fit.cov_params()))[:2])
    except np.linalg.LinAlgError:
        raise ValueError("expected a fit with finite standard errors, found a singular one") from None
    spread = np.diag(np.asarray(fit.cov_re))
    return MixedModel(
        curves=len(np.unique(groups)),
        points=len(value),
        intercept=float(fit.fe_params[0]),
        intercept_se=float(errors[0]),
        slope=float(fit.fe_params[1]),
        slope_se=float(errors[1]),
        sd_intercept=float(np.sqrt(spread[0])),
        sd_slope=float(np.sqrt(spread[1])),
        sd_residual=float(np.sqrt(fit.scale)),
        reml=float(-2 * fit.llf),
        converged=bool(fit.converged)
        and bool(np.linalg.eigvalsh(np.asarray(fit.cov_re)).min() > 1e-8 * max(float(spread.max()), 1e-300)),
    )


def curve_trend(settings: Sequence[Setting], strategy: str, baseline: str) -> CurveTrend:
    """Fit the difference curves of all settings with more than one budget in which the two share seeds.

    Raises:
        ValueError: no such setting, or `mixed_model` cannot be fitted.
    """
    values: list[Floats] = []
    places: list[Floats] = []
    curves: list[NDArray[np.int64]] = []
    seen = 0
    for setting in settings:
        ours, theirs = setting.paired(strategy, baseline)
        if not len(ours) or len(setting.budgets) < 2:
            continue
        x = _positions(setting)
        values.append((ours - theirs).ravel())
        places.append(np.tile(x, len(ours)))
        curves.append(np.repeat(np.arange(seen, seen + len(ours)), len(x)))
        seen += len(ours)
    if not values:
        raise ValueError("expected a setting with paired curves over more than one budget, found none")
    return CurveTrend(strategy, mixed_model(np.concatenate(values), np.concatenate(places), np.concatenate(curves)))

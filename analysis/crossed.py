"""Mixed model with crossed random effects over all strategies at once: secondary and descriptive, never a verdict.

Every curve becomes two numbers: its level halfway and its slope, by least squares on x = log2(budget) from -1/2 at the
first to 1/2 at the last budget. Each is modelled as

    y ~ strategy + (1 | setting) + (1 | seed) + (1 | setting:seed),

a setting being a data set under a regime. Points of one curve are never taken for independent (they are not: an
autocorrelated null made such a Wald test reject 12.7 % at .05). Wald standard errors are asymptotic all the same, and
strategies are assumed to differ by the same amount in every setting.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from analysis.settings import Setting

Floats = NDArray[np.float64]
Outcome = Literal["level", "slope"]


@dataclass(frozen=True)
class CrossedFit:
    """Restricted maximum likelihood fit of y ~ fixed effects + one random intercept a factor.

    Attributes:
        effects, errors: fixed effects in the order of the design's columns, with asymptotic standard errors.
        sds: factor -> standard deviation of its random effects; `sd_residual` is what is left.
        reml: -2 log restricted likelihood, smaller fits better.
        converged: the optimiser said so.
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
    """One strategy against the baseline over all settings, in the metric's units; positive is better.

    Attributes:
        outcome: level halfway, or slope (change over the whole range of budgets).
        value, standard_error: of the difference to the baseline.
        sd_setting, sd_seed, sd_pair, sd_residual: of the fit that all strategies share.
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
    """Fit through statsmodels' MixedLM: one group, a variance component for every factor, which may cross or nest.

    Args:
        y: shape (N,), finite.
        design: fixed effects, shape (N, p), of full rank.
        factors: name -> label of every point, each shape (N,); at least two levels each.

    Raises:
        ValueError: too few points, a factor of one level, values without spread, or no solution.
    """
    value, x = np.asarray(y, dtype=np.float64), np.asarray(design, dtype=np.float64)
    levels = {name: np.unique(np.asarray(labels), return_inverse=True)[1] for name, labels in factors.items()}
    few = [name for name, inverse in levels.items() if inverse.max(initial=0) < 1]
    if few or len(value) <= x.shape[1] + len(levels):
        raise ValueError(
            f"expected two levels of each factor and more points than parameters, found {len(value)} points, one level of {few}"
        )
    residual = value - x @ np.linalg.lstsq(x, value, rcond=None)[0]
    scale = float(residual.std())
    if scale <= 1e-10 * max(1.0, float(np.abs(value).max())):
        raise ValueError("expected values with some spread about the fixed effects, found none")
    mats = [[np.eye(int(inverse.max()) + 1)[inverse]] for inverse in levels.values()]
    names = [[[f"{name}[{i}]" for i in range(m[0].shape[1])]] for name, m in zip(levels, mats, strict=True)]
    components = VCSpec(list(levels), names, mats)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are reported as `converged`
            # in units of the residual spread: the optimiser's steps suit variances near 1
            model = MixedLM(value / scale, x, groups=np.zeros(len(value)), exog_vc=components)
            # at variances of 0 gradients mislead one optimiser or the other: keep the better end
            fit = max((model.fit(reml=True, method=method) for method in ("powell", "lbfgs")), key=lambda end: float(end.llf))
            errors = scale * np.asarray(fit.bse_fe)
    except np.linalg.LinAlgError:
        raise ValueError("expected a fit with finite standard errors, found a singular one") from None
    if not np.isfinite(errors).all():
        raise ValueError("expected a fit with finite standard errors, found none")
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


def crossed(settings: Sequence[Setting], strategies: Sequence[str], baseline: str) -> tuple[CrossedEffect, ...]:
    """Both models over all settings; slopes over those with more than one budget.

    Raises:
        ValueError: as `crossed_model`, or the baseline has no curve.
    """
    rows = [(i, setting, s) for i, setting in enumerate(settings) for s in strategies if s in setting.curves]
    names = [baseline, *(s for s in strategies if s != baseline and any(s == name for _, _, name in rows))]
    if not any(s == baseline for _, _, s in rows) or len(names) < 2:
        raise ValueError("expected curves of the baseline and of another strategy, found none")
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
    """Level halfway or slope of every curve, shape (n,), by least squares over its budgets."""
    curves = setting.curves[strategy]
    if len(setting.budgets) < 2:
        return curves[:, 0]
    x = np.log2(setting.budgets)
    x = (x - x[0]) / (x[-1] - x[0]) - 0.5
    level, slope = np.linalg.lstsq(np.column_stack([np.ones_like(x), x]), curves.T, rcond=None)[0]
    return np.asarray(level if outcome == "level" else slope)

"""Mixed model of paired difference curves: secondary and descriptive, never a verdict.

Model: D ~ x + (x | curve): a fixed intercept and slope, and for every curve (setting and seed) a random intercept and slope.
D is strategy minus baseline of the same seed, so that what seed and data set do to both cancels. Without the random slope,
a Wald test takes the correlated points of one curve for independent ones (it rejected 12.7 % of true null hypotheses at .05
where the paired t test on the area rejected 3.3 %). Even so the standard errors are asymptotic.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.settings import Setting

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MixedModel:
    """Restricted maximum likelihood fit of y ~ x + (x | curve).

    Attributes:
        intercept, slope: fixed effects, with asymptotic standard errors.
        sd_intercept, sd_slope, sd_residual: of the random effects and the noise.
        reml: REML criterion, -2 log restricted likelihood, smaller fits better.
        converged: the optimiser said so and no variance lies on its boundary.
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
class Growth:
    """The model for one strategy: x = log2(budget), from -1/2 at the first to 1/2 at the last budget of its setting.

    The fit's intercept is the mean difference halfway, its slope the change of the difference over the whole range.
    """

    strategy: str
    fit: MixedModel
    label: str = "secondary, descriptive"


def mixed_model(y: ArrayLike, x: ArrayLike, curve: ArrayLike) -> MixedModel:
    """Fit through statsmodels' MixedLM.

    Args:
        y, x, curve: value, position and label of the curve of every point, each shape (N,).

    Raises:
        ValueError: fewer than three curves, positions without spread, values that lie on one line, or no solution.
    """
    value, place, groups = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64), np.asarray(curve)
    design = np.column_stack([np.ones_like(place), place])
    if len(np.unique(groups)) < 3 or np.ptp(place) == 0:
        raise ValueError(f"expected three curves over more than one position, found {len(np.unique(groups))} over {len(np.unique(place))}")
    if np.linalg.lstsq(design, value, rcond=None)[1].sum() <= 1e-20 * max(1.0, float(value @ value)):
        raise ValueError("expected values with some spread, found points on one line")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are reported as `converged`
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
        converged=bool(fit.converged) and bool(np.linalg.eigvalsh(np.asarray(fit.cov_re)).min() > 1e-8 * max(float(spread.max()), 1e-300)),
    )


def growth(settings: Sequence[Setting], strategy: str, baseline: str) -> Growth:
    """The model over all settings with more than one budget in which the two share seeds.

    Raises:
        ValueError: as `mixed_model`.
    """
    values: list[Floats] = []
    places: list[Floats] = []
    curves: list[NDArray[np.int64]] = []
    seen = 0
    for setting in settings:
        ours, theirs = setting.paired(strategy, baseline)
        if not len(ours) or len(setting.budgets) < 2:
            continue
        x = np.log2(setting.budgets)
        x = (x - x[0]) / (x[-1] - x[0]) - 0.5
        values.append((ours - theirs).ravel())
        places.append(np.tile(x, len(ours)))
        curves.append(np.repeat(np.arange(seen, seen + len(ours)), len(x)))
        seen += len(ours)
    if not values:
        raise ValueError("expected settings with paired curves of more than one budget, found none")
    return Growth(strategy, mixed_model(np.concatenate(values), np.concatenate(places), np.concatenate(curves)))

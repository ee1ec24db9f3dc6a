from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.across.mixed_models import curve_trend, mixed_model
from tests.analysis.several import setting, simulated

SLEEP = np.loadtxt(Path(__file__).parent / "sleepstudy.csv", delimiter=",")
"""Reaction times in ms, 18 subjects by 10 days (Belenky et al. 2003), as in lme4's sleepstudy."""


def test_sleepstudy_as_lme4_prints_it() -> None:
    # Bates et al. 2015, J. Stat. Softw. 67(1): Reaction ~ Days + (Days | Subject)
    found = mixed_model(SLEEP.ravel(), np.tile(np.arange(10), 18), np.repeat(np.arange(18), 10))
    assert (round(found.intercept, 3), round(found.intercept_se, 3)) == (251.405, 6.825)
    assert (round(found.slope, 3), round(found.slope_se, 3)) == (10.467, 1.546)
    assert round(found.reml, 3) == 1743.628
    assert (found.sd_intercept, found.sd_slope, found.sd_residual) == pytest.approx((24.741, 5.922, 25.592), rel=1e-3)
    assert (found.curves, found.points, found.converged) == (18, 180, True)


def test_planted_gain_and_slope_are_found() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0.7, 0.05, (30, 4))
    tilt = np.array([-0.5, -1 / 6, 1 / 6, 0.5])
    own = rng.normal(0, 0.01, (30, 1)) + rng.normal(0, 0.02, (30, 1)) * tilt + rng.normal(0, 0.003, (30, 4))
    found = curve_trend([setting({"random": base, "a": base + 0.03 - 0.04 * tilt + own})], "a", "random")
    assert found.fit.intercept == pytest.approx(0.03, abs=4 * found.fit.intercept_se)
    assert found.fit.slope == pytest.approx(-0.04, abs=4 * found.fit.slope_se)
    assert 0.002 < found.fit.slope_se < 0.006
    assert found.label == "secondary, descriptive"


def test_swapping_flips_the_effects_and_shared_shifts_do_not_matter() -> None:
    made = simulated({"random": 0.0, "a": 0.02}, 10)
    shifted = setting({s: v + np.arange(10)[:, None] for s, v in made.curves.items()})
    one, two, three = (
        curve_trend([made], "a", "random").fit,
        curve_trend([made], "random", "a").fit,
        curve_trend([shifted], "a", "random").fit,
    )
    assert (one.intercept, one.slope) == pytest.approx((-two.intercept, -two.slope), rel=1e-3)
    assert (one.intercept, one.slope) == pytest.approx((three.intercept, three.slope), rel=1e-3)


def test_refusals() -> None:
    two = simulated({"random": 0.0, "a": 0.02}, 2)
    with pytest.raises(ValueError, match="three curves"):
        curve_trend([two], "a", "random")
    constant = setting({"random": [[0.5] * 4] * 5, "a": [[0.6] * 4] * 5})
    with pytest.raises(ValueError, match="spread"):
        curve_trend([constant], "a", "random")
    with pytest.raises(ValueError, match="found none"):
        curve_trend([setting({"random": [[0.5]], "a": [[0.6]]}, budgets=[100])], "a", "random")

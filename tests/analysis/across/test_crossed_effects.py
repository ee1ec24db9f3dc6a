from __future__ import annotations

import numpy as np
import pytest

from analysis.across.mixed_models import crossed_effects, crossed_model
from analysis.across.setting import Setting
from tests.analysis.several import setting, simulated


def world(gains: dict[str, float], place: int, seeds: int = 6) -> Setting:
    """Seeds matter everywhere alike, and once more within each setting."""
    everywhere, own = np.random.default_rng(1), np.random.default_rng([2, place])
    rise = 0.6 + 0.1 * np.arange(4) - 0.07 * place**2
    shared = everywhere.normal(0, 0.02, (seeds, 1)) + own.normal(0, 0.02, (seeds, 1))
    return setting(
        {s: rise + g + shared + own.normal(0, 0.004, (seeds, 4)) for s, g in gains.items()}, dataset=f"d{place}"
    )


def test_a_balanced_two_way_layout_gives_the_estimates_of_its_analysis_of_variance() -> None:
    # y_ij = mean + row_i + column_j + noise: with all estimates positive, REML is the analysis of variance
    # (Searle et al. 1992, ch. 4)
    rng = np.random.default_rng(3)
    a, b = 8, 6
    table = 20 + rng.normal(0, 2, (a, 1)) + rng.normal(0, 1, (1, b)) + rng.normal(0, 0.5, (a, b))
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    ms_rows, ms_columns = b * rows.var(ddof=1), a * columns.var(ddof=1)
    ms_rest = ((table - rows[:, None] - columns + mean) ** 2).sum() / ((a - 1) * (b - 1))
    i, j = np.indices((a, b)).reshape(2, -1)
    found = crossed_model(table.ravel(), np.ones((a * b, 1)), {"row": i, "column": j})
    assert found.effects == pytest.approx((mean,))
    assert found.errors == pytest.approx((np.sqrt((ms_rows + ms_columns - ms_rest) / (a * b)),), rel=1e-3)
    assert found.sds == pytest.approx(
        {"row": np.sqrt((ms_rows - ms_rest) / b), "column": np.sqrt((ms_columns - ms_rest) / a)}, rel=1e-3
    )
    assert found.sd_residual == pytest.approx(np.sqrt(ms_rest), rel=1e-3)
    assert found.converged


def test_balanced_strategies_get_their_mean_differences_with_the_error_of_paired_runs() -> None:
    gains = {"random": 0.0, "a": 0.02, "b": -0.01}
    settings = [world(gains, i) for i in range(3)]
    found = {(r.strategy, r.outcome): r for r in crossed_effects(settings, list(gains), "random")}
    for name in ("a", "b"):
        row = found[name, "level"]
        # least squares halfway is the mean over the evenly spaced log budgets of these settings
        cells = np.stack([np.concatenate([s.curves[k].mean(axis=1) for s in settings]) for k in gains])
        differences = cells[list(gains).index(name)] - cells[0]
        assert row.value == pytest.approx(differences.mean(), rel=1e-6)
        rest = cells - cells.mean(axis=0) - cells.mean(axis=1, keepdims=True) + cells.mean()
        residual = (rest**2).sum() / (2 * (cells.shape[1] - 1))
        assert row.standard_error == pytest.approx(np.sqrt(2 * residual / cells.shape[1]), rel=1e-2)
        assert row.runs == 54
        assert (row.label, found[name, "slope"].outcome) == ("secondary, descriptive", "slope")
        assert abs(found[name, "slope"].value) < 4 * found[name, "slope"].standard_error
    assert found["a", "level"].sd_setting > found["a", "level"].sd_residual


def test_scale_and_shift_of_the_metric_only_rescale() -> None:
    made = [world({"random": 0.0, "a": 0.02}, i) for i in range(2)]
    percent = [setting({s: 100 * v + 7 for s, v in m.curves.items()}, dataset=m.dataset) for m in made]
    for one, two in zip(
        crossed_effects(made, ["random", "a"], "random"),
        crossed_effects(percent, ["random", "a"], "random"),
        strict=True,
    ):
        assert (100 * one.value, 100 * one.standard_error) == pytest.approx((two.value, two.standard_error), rel=1e-3)


def test_missing_seeds_are_no_reason_to_drop_the_others() -> None:
    made = simulated({"random": 0.0, "a": 0.02}, 6)
    short = setting({"random": made.curves["random"], "a": made.curves["a"][:4]}, dataset="one")
    rows = crossed_effects([short, simulated({"random": 0.0, "a": 0.02}, 6, dataset="two")], ["random", "a"], "random")
    assert {r.runs for r in rows} == {22}
    assert rows[0].value == pytest.approx(0.02, abs=0.01)


def test_refusals() -> None:
    one = simulated({"random": 0.0, "a": 0.02}, 6)
    with pytest.raises(ValueError, match="one level"):
        crossed_effects([one], ["random", "a"], "random")
    flat = [setting({"random": [[0.5] * 4] * 5, "a": [[0.6] * 4] * 5}, dataset=d) for d in "ab"]
    with pytest.raises(ValueError, match="spread"):
        crossed_effects(flat, ["random", "a"], "random")
    with pytest.raises(ValueError, match="baseline"):
        crossed_effects([one], ["random", "a"], "entropy")

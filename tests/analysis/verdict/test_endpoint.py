from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.area import aubc
from analysis.verdict.endpoint import endpoints


def test_uneven_budgets_by_hand() -> None:
    # (10 * (.2 + .5) / 2 + 30 * (.5 + .6) / 2) / 40 = (3.5 + 16.5) / 40
    assert aubc([10, 20, 50], [0.2, 0.5, 0.6]) == pytest.approx(0.5, abs=1e-15)


def test_log_budgets_by_hand() -> None:
    # log2: 0, 1, 3 -> (1 * .35 + 2 * .55) / 3
    assert aubc([1, 2, 8], [0.2, 0.5, 0.6], "log2") == pytest.approx(1.45 / 3, abs=1e-15)


@pytest.mark.parametrize("scale", ["linear", "log2"])
def test_a_flat_curve_has_its_own_accuracy(scale: str) -> None:
    assert aubc([7, 30, 44, 1000], np.full(4, 0.73), scale) == pytest.approx(0.73, abs=1e-15)  # type: ignore[arg-type]


def test_many_curves_at_once_and_a_single_budget() -> None:
    np.testing.assert_allclose(aubc([10, 20, 50], [[0.2, 0.5, 0.6], [0.0, 1.0, 1.0]]), [0.5, 35 / 40])
    np.testing.assert_allclose(aubc([40], [[0.3], [0.4]]), [0.3, 0.4])


@pytest.mark.parametrize(
    ("budgets", "values", "says"),
    [
        ([10, 10], [0.1, 0.2], "increasing"),
        ([20, 10], [0.1, 0.2], "increasing"),
        ([-1, 10], [0.1, 0.2], "non-negative"),
        ([10, 20], [0.1, float("nan")], "finite"),
        ([10, 20, 30], [0.1, 0.2], "found"),
    ],
)
def test_what_is_refused(budgets: list[int], values: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        aubc(budgets, values)


def test_endpoints_of_a_table(table) -> None:  # type: ignore[no-untyped-def]
    curves = table("random,0,50,.6\nrandom,0,10,.2\nrandom,0,20,.5\nx,0,10,0\nx,0,20,1\nx,0,50,1\n")
    found = endpoints(curves).set_index("strategy")["aubc"]
    assert found["random"] == pytest.approx(0.5)
    assert found["x"] == pytest.approx(0.875)

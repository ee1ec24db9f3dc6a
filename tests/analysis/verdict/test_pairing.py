from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.loading.records import load_study
from analysis.verdict.pairing import pair, paired_curves, paired_endpoints, resolution
from tests.analysis.simulated import make_study, write_study

ROWS = [("random", s, b, 0.1 * s + b / 100) for s in range(4) for b in (10, 20)] + [
    ("x", s, b, 0.1 * s + b / 100 + 0.01) for s in range(4) for b in (10, 20)
]


def text(rows: list[tuple[str, int, int, float]]) -> str:
    return "\n".join(",".join(map(str, r)) for r in rows) + "\n"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_pairs_are_made_by_seed_whatever_the_order(table, order: int) -> None:  # type: ignore[no-untyped-def]
    # by seed every difference is .01; by order of rows they would be off by multiples of .1
    rows = [ROWS[i] for i in np.random.default_rng(order).permutation(len(ROWS))]
    (paired,) = paired_endpoints(table(text(rows)))
    assert paired.seeds == (0, 1, 2, 3)
    assert paired.differences.tolist() == [0.01] * 4
    assert paired_curves(table(text(rows)), "all", "x").to_numpy().ravel().tolist() == [0.01] * 8


def test_seeds_without_partner_are_listed_not_used(table) -> None:  # type: ignore[no-untyped-def]
    rows = [r for r in ROWS if (r[0], r[1]) not in {("x", 0), ("random", 3)}]
    (paired,) = paired_endpoints(table(text(rows)))
    assert paired.seeds == (1, 2)
    assert paired.unmatched == (0, 3)
    assert paired.differences.tolist() == [0.01, 0.01]
    along = paired_curves(table(text(rows)), "all", "x")
    assert along.index.tolist() == [1, 2]
    assert along.to_numpy().ravel().tolist() == [0.01] * 4


def test_unordered_series_pair_by_index() -> None:
    both, alone = pair(pd.Series([3.0, 1.0], index=[7, 5]), pd.Series([0.5, 2.5, 9.0], index=[5, 7, 9]))
    assert (both["strategy"] - both["baseline"]).to_dict() == {5: 0.5, 7: 0.5}
    assert alone == (9,)


def test_a_seed_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="more than once"):
        pair(pd.Series([3.0, 1.0], index=[7, 7]), pd.Series([1.0], index=[7]))


def test_the_test_set_gives_the_resolution_where_it_is_known(table, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert resolution(table(text(ROWS)), "all") == 0.01
    assert resolution(table(text(ROWS), test_size=250), "all") == 0.004
    percent = [(s, k, b, round(100 * v, 1)) for s, k, b, v in ROWS]
    assert resolution(table(text(percent), test_size=250), "all") == 0.4
    write_study(tmp_path / "study", make_study(), {})
    study = load_study(tmp_path / "study")
    assert resolution(study, "plain") == 1 / 20_000
    assert resolution(replace(study, steps={}), "plain") != 1 / 20_000

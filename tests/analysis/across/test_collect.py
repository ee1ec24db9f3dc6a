from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.across.collect import across
from analysis.across.result import Across
from analysis.across.sentences import _middle, summary
from analysis.across.tables import frames, parts, to_latex, to_markdown
from analysis.loading.curves import Curves
from analysis.loading.table import load_table
from tests.analysis.statistics.test_ranks import NAMES, as_ranked

BUDGETS = (100, 200, 400, 800)
GAINS = {"random": 0.0, "good": 0.02, "bad": -0.02}


def rows(datasets: int = 3, regimes: tuple[str, ...] = ("plain", "strong"), seeds: int = 4) -> pd.DataFrame:
    """good beats and bad trails random on every data set; "strong" adds five points."""
    rng = np.random.default_rng(0)
    made = []
    for d in range(datasets):
        for regime in regimes:
            base = 0.9 - 0.5 * np.exp(-np.array(BUDGETS) / 300) - 0.05 * d + 0.05 * (regime == "strong")
            for seed in range(seeds):
                shared = rng.normal(0, 0.02)
                for s, gain in GAINS.items():
                    values = base + shared + gain + rng.normal(0, 0.002, 4)
                    made += [(f"d{d}", regime, s, seed, b, v) for b, v in zip(BUDGETS, values, strict=True)]
    return pd.DataFrame(made, columns=["dataset", "regime", "strategy", "seed", "budget", "value"])


def run(frame: pd.DataFrame, folder: Path, resamples: int = 300, **options: object) -> Across | None:
    path = folder / "curves.csv"
    frame.to_csv(path, index=False)
    curves: Curves = load_table(path, **options)  # type: ignore[arg-type]
    return across(curves, np.random.default_rng(1), resamples)


def test_every_part_is_there_and_points_the_planted_way(tmp_path: Path) -> None:
    found = run(rows(), tmp_path)
    assert found is not None
    assert (found.datasets, found.regimes) == (("d0", "d1", "d2"), ("plain", "strong"))
    for table in found.ranks:
        assert table.strategies == ("random", "good", "bad")
        assert table.friedman.mean_ranks == (2, 1, 3)
        assert [(r.strategy, r.wins, r.losses) for r in table.against_control] == [("good", 3, 0), ("bad", 0, 3)]
    good, bad = found.gains
    assert 0.015 < good.iqm_low < good.iqm < good.iqm_high < 0.025
    assert (good.paired, bad.paired, good.runs, good.settings) == (1, 0, 24, 6)
    assert 0.5 < good.plain < 1
    assert [p.column_means[1] < p.column_means[0] < p.column_means[2] for p in found.penalties] == [True, True]
    assert {a.tau for a in found.agreement} == {1}
    assert len(found.agreement) == 2 * 3 + 3
    assert {s.winner_changes for s in found.seeds} == {0}
    assert {s.n for s in found.seeds} == {1, 2}
    assert all(s.targets[2].saved > 0 for s in found.labels if s.strategy == "good")
    regime = [r for r in found.levers if r.lever == "regime"]
    assert {r.name for r in regime} == {"strong"}
    assert all(abs(r.points - 0.05) < 0.05 for r in regime)
    by_strategy = {g.strategy: g.fit.intercept for g in found.growth}
    assert by_strategy["good"] == pytest.approx(0.02, abs=0.003)
    assert by_strategy["bad"] == pytest.approx(-0.02, abs=0.003)


def test_same_seed_same_figures_whatever_the_order_of_seeds(tmp_path: Path) -> None:
    frame = rows(2, ("plain",))
    one, two = (run(frame, tmp_path) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.to_dict() == two.to_dict()
    renumbered = run(frame.assign(seed=3 - frame["seed"]), tmp_path)
    assert renumbered is not None
    for a, b in zip(one.ranks, renumbered.ranks, strict=True):
        assert a.friedman == b.friedman
        assert [r.p for r in a.against_control] == [r.p for r in b.against_control]
    assert [g.iqm for g in one.gains] == pytest.approx([g.iqm for g in renumbered.gains])


def test_json_frames_and_words(tmp_path: Path) -> None:
    found = run(rows(2), tmp_path)
    assert found is not None
    body = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert body["label"] == "secondary"
    assert body["gains"][0]["strategy"] == "good"
    tables = frames(found)
    assert len(tables["levers"]) == len(found.levers) == 2 * (4 + 2 * 2 * 4)
    assert set(tables["labels"]["strategy"]) == {"good", "bad"}
    for text in (to_markdown(found), to_latex(found)):
        for part in parts(found).values():
            assert part.rows
            assert part.title in text
    assert to_latex(found).count(r"\begin{tabular}") == len(parts(found))
    assert json.loads(found.to_json())["crossed"][0]["strategy"] == "good"
    assert {c.outcome for c in found.crossed} == {"level", "slope"}
    assert next(c for c in found.crossed if c.strategy == "bad").value == pytest.approx(-0.02, abs=0.003)
    assert len(tables["nemenyi"]) == 2 * 3
    assert len(tables["penalties"]) == 2 * 6
    assert set(tables["gains"]["aggregate"]) == {
        "IQM of differences",
        "probability of improvement, paired",
        "probability of improvement, plain",
    }
    words = summary(found)
    assert "it changes no verdict" in words
    assert "no difference" not in words
    for phrase in (
        "Friedman",
        "Nemenyi",
        "interquartile",
        "penalty matrix (ash-2020",
        "Kendall",
        "labels",
        "factor regime strong (over plain)",
        "crossed effects",
        "descriptive",
    ):
        assert phrase in words


def test_intervals_of_labels_are_withheld_where_they_would_not_cover(tmp_path: Path) -> None:
    for seeds, known in ((5, False), (6, True)):
        found = run(rows(2, seeds=seeds), tmp_path)
        assert found is not None
        for saved in found.labels:
            assert {
                bool(np.isfinite(t.saved) and not np.isnan(t.saved_low)) for t in saved.targets if np.isfinite(t.saved)
            } == {known}
        assert {not np.isnan(r.worth_low) for r in found.levers if np.isfinite(r.labels_worth)} == {known}
        assert any("no interval" in n for n in found.notes) != known


def test_one_setting_is_nothing_across(tmp_path: Path) -> None:
    assert run(rows(1, ("plain",)), tmp_path) is None


def test_one_data_set_in_two_regimes_has_levers_but_no_ranks(tmp_path: Path) -> None:
    found = run(rows(1), tmp_path)
    assert found is not None
    assert found.ranks == ()
    assert found.levers
    assert {a.between for a in found.agreement} == {"regimes"}


def test_one_value_per_data_set_gives_demsars_ranks(tmp_path: Path) -> None:
    frame = pd.DataFrame(as_ranked(), columns=list(NAMES)).assign(dataset=[f"d{i:02}" for i in range(14)])
    found = run(frame.melt("dataset", var_name="strategy"), tmp_path, baseline="C4.5")
    assert found is not None
    (table,) = found.ranks
    assert round(table.friedman.chi2, 2) == 9.28
    assert round(table.critical_difference, 2) == 1.25
    assert dict(zip(table.strategies, (round(r, 3) for r in table.friedman.mean_ranks), strict=True)) == dict(
        zip(NAMES, (3.143, 2.0, 2.893, 1.964), strict=True)
    )
    assert len(table.datasets) == 14
    assert found.gains == ()
    assert "9.28" in summary(found)


def test_missing_runs_leave_a_data_set_out_of_the_ranks_and_say_so(tmp_path: Path) -> None:
    frame = rows(3, ("plain",))
    found = run(frame[~((frame["dataset"] == "d1") & (frame["strategy"] == "bad"))], tmp_path)
    assert found is not None
    (table,) = found.ranks
    assert (table.datasets, table.left_out) == (("d0", "d2"), ("d1",))
    assert any("left out d1" in n for n in found.notes)


def test_one_seed_and_constant_curves_have_defined_answers(tmp_path: Path) -> None:
    one = run(rows(2, seeds=1), tmp_path)
    assert one is not None
    assert np.isnan(one.gains[0].iqm_low)
    assert one.seeds == ()
    assert one.penalties[1].wins == ((0, 0, 0),) * 3
    json.dumps(one.to_dict(), allow_nan=False)
    assert summary(one)
    flat = run(rows(2).assign(value=0.5), tmp_path)
    assert flat is not None
    assert {t.friedman.p for t in flat.ranks} == {1}
    assert flat.labels == ()
    assert {(g.iqm, g.plain, g.paired) for g in flat.gains} == {(0, 0.5, 0.5)}
    assert flat.growth == ()
    assert any("spread" in n for n in flat.notes)
    json.dumps(flat.to_dict(), allow_nan=False)
    assert summary(flat)


def test_unpaired_tables_lose_what_pairs_seeds(tmp_path: Path) -> None:
    found = run(rows(2), tmp_path, mismatch="unpaired")
    assert found is not None
    assert found.ranks
    assert (found.gains, found.penalties, found.labels, found.levers, found.growth) == ((), (), (), (), ())
    assert any("unpaired" in n for n in found.notes)


def test_the_middle_of_unbounded_labels_is_one_of_them() -> None:
    assert _middle([3.0, 1.0, 2.0]) == 2
    assert _middle([3.0, 1.0]) == 2
    assert _middle([np.inf, -np.inf]) == -np.inf
    assert _middle([np.inf, 5.0]) == 5


def test_means_over_different_seeds_are_told(tmp_path: Path) -> None:
    made = rows(2, ("plain",))
    few = made[~((made["strategy"] == "good") & (made["dataset"] == "d1") & (made["seed"] > 0))]
    whole, uneven = run(made, tmp_path), run(few, tmp_path)
    assert whole is not None
    assert uneven is not None
    assert not [n for n in whole.notes if "different seeds" in n]
    assert "ranks, plain: means are over different seeds: d1/plain: good 1 of 4" in uneven.notes

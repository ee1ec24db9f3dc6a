from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.across.result import RankTable
from analysis.figures import FigureInputs, write_figures
from analysis.figures.across.mean_ranks import draw_rank_diagram, rank_figure
from analysis.figures.style import line_styles, save
from analysis.loading.table import load_table
from analysis.statistics.ranks import against_control, critical_difference, friedman, nemenyi
from analysis.verdict.decide import compare
from tests.analysis.across.test_collect import rows


def rank_table(names: list[str], scores: np.ndarray) -> RankTable:
    n, k = scores.shape
    datasets = tuple(f"d{i}" for i in range(n))
    pairs = tuple(tuple(row) for row in nemenyi(scores).tolist())
    control = against_control(scores, names, "random")
    return RankTable(
        "plain", datasets, (), tuple(names), friedman(scores), 0.05, critical_difference(k, n), pairs, control
    )


@pytest.mark.parametrize("k", [2, 5, 16])
def test_every_strategy_is_named_within_the_page_and_groups_are_joined(k: int, tmp_path: Path) -> None:
    names = ["random", *(f"a-strategy-{i}" for i in range(k - 1))]
    scores = np.random.default_rng(k).normal(size=(9, k)) + 0.3 * np.arange(k)
    table = rank_table(names, scores)
    ranks = dict(zip(names, table.friedman.mean_ranks, strict=True))
    figure = rank_figure([table], line_styles(names, "random"))
    figure.savefig(tmp_path / "x.png")
    drawn = [t for t in figure.findobj(Text) if t.get_text().strip()]
    for name in names:
        (label,) = [t for t in drawn if name in t.get_text().split()]
        assert f"{ranks[name]:.2f}" in label.get_text()
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y0 >= 0
    assert any("9 data sets" in t.get_text() for t in drawn)
    assert any(f"CD = {critical_difference(k, 9):.2f}" in t.get_text() for t in drawn)


def test_equal_figures_are_equal_bytes(tmp_path: Path) -> None:
    names = ["random", "a", "b"]
    table = rank_table(names, np.array([[0.1, 0.2, 0.3], [0.1, 0.3, 0.2], [0.2, 0.2, 0.4]]))
    paths = [save(rank_figure([table], line_styles(names, "random")), tmp_path / f / "ranks") for f in "xy"]
    for one, two in zip(*paths, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_groups_that_skip_a_rank_have_a_dot_at_each_member() -> None:
    alike = np.eye(4, dtype=bool)
    for i, j in [(0, 2), (2, 3), (0, 3)]:
        alike[i, j] = alike[j, i] = True
    names = ["random", "a", "b", "c"]
    ranks = dict(zip(names, [1.2, 1.9, 2.9, 3.5], strict=True))
    ax = draw_rank_diagram(Figure().subplots(), ranks, alike, line_styles(names, "random"))
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert np.asarray(dots.get_xdata()).tolist() == [1.2, 2.9, 3.5]


def test_figures_of_a_table_with_several_data_sets_include_the_ranks(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    rows(3).to_csv(path, index=False)
    curves = load_table(path)
    ((name, written),) = write_figures(FigureInputs(curves, compare(curves)), tmp_path / "out", ["mean-ranks"])
    assert not isinstance(written, str)
    assert {p.name for p in written} == {f"mean-ranks.{ending}" for ending in ("pdf", "svg", "png", "csv", "txt")}
    frame = pd.read_csv(tmp_path / "out" / f"{name}.csv")
    assert len(set(frame["regime"])) == 2
    assert (frame.groupby("regime")["mean_rank"].sum() == 6).all()  # 1 + 2 + 3

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from analysis.figures_ranks import rank_figure
from analysis.ranks import critical_difference, friedman, nemenyi
from analysis.style import looks, save


@pytest.mark.parametrize("k", [2, 5, 16])
def test_every_strategy_is_named_within_the_page_and_groups_are_joined(k: int, tmp_path: Path) -> None:
    names = ["random", *(f"a-strategy-{i}" for i in range(k - 1))]
    scores = np.random.default_rng(k).normal(size=(9, k)) + 0.3 * np.arange(k)
    result, alike = friedman(scores), nemenyi(scores) > 0.05
    ranks = dict(zip(names, result.mean_ranks, strict=True))
    figure = rank_figure(
        ranks, alike, looks(names, "random"), blocks=9, told_apart_by="Nemenyi's test", difference=critical_difference(k, 9)
    )
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
    alike = np.array([[True, True, False], [True, True, False], [False, False, True]])
    look = looks(["random", "a", "b"], "random")
    paths = [
        save(rank_figure({"random": 1.2, "a": 1.9, "b": 2.9}, alike, look, blocks=5, told_apart_by="Wilcoxon"), tmp_path / f / "ranks")
        for f in "xy"
    ]
    for one, two in zip(*paths, strict=True):
        assert one.read_bytes() == two.read_bytes()

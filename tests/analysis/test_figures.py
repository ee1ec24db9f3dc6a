from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.text import Text

from analysis.figures import difference_figure, forest_figure, learning_figure, write_figures
from analysis.load import load_study
from analysis.style import looks
from analysis.verdict import compare
from protocol.folders import StudyFolder
from tests.analysis.simulated import make_study, write_study


def test_written_in_three_formats_and_byte_for_byte_again(folder: StudyFolder, tmp_path: Path) -> None:
    curves = load_study(folder.path)
    comparison = compare(curves)
    first, second = (write_figures(curves, comparison, tmp_path / name) for name in "ab")
    assert {p.suffix for p in first} == {".pdf", ".svg", ".png"}
    assert len(first) == 9
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
    assert b"/Type0" in first[0].read_bytes() or b"TrueType" in first[0].read_bytes()  # Type 42, never Type 3
    assert b"/Type3" not in first[0].read_bytes()


@pytest.mark.parametrize(("strategies", "protocols"), [(1, 1), (2, 2), (5, 3), (12, 4)])
def test_no_text_is_small_clipped_or_over_other_text(tmp_path: Path, strategies: int, protocols: int) -> None:
    names = ["random", *(f"a-strategy-{i}" for i in range(strategies))]
    study = make_study([f"protocol-{i}" for i in range(protocols)], names, seeds=3)
    curves = load_study(write_study(tmp_path / "s", study, {n: 0.01 * i for i, n in enumerate(names)}).path)
    for figure in (learning_figure(curves), difference_figure(curves), forest_figure(curves, compare(curves))):
        figure.savefig(tmp_path / "x.png")
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t.get_window_extent().width > 0]
        drawn = [t for t in texts if not _hidden_tick(t, figure)]
        assert min(t.get_fontsize() for t in drawn) >= 6
        boxes = [t.get_window_extent() for t in drawn]
        for i, box in enumerate(boxes):
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.width + 1
            assert box.y1 <= figure.bbox.height + 1
            for j in range(i):
                other = boxes[j]
                apart = box.x1 <= other.x0 + 1 or other.x1 <= box.x0 + 1 or box.y1 <= other.y0 + 1 or other.y1 <= box.y0 + 1
                assert apart, (drawn[i].get_text(), drawn[j].get_text())


def _hidden_tick(text: Text, figure) -> bool:  # type: ignore[no-untyped-def]
    """Tick labels beyond the limits exist but are not drawn."""
    for ax in [a for parent in figure.axes for a in (parent, *parent.child_axes)]:
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if text in (tick.label1, tick.label2):
                    return not (low <= tick.get_loc() <= high and text.get_visible()) or not ax.axison
    return False


def test_random_is_black_on_top_and_looks_are_fixed_and_distinct() -> None:
    names = [f"s{i}" for i in range(20)]
    look = looks(names, "random")
    assert look["random"].colour == "black"
    assert look["random"].order > max(look[n].order for n in names)
    assert len({(v.colour, v.marker, v.dash) for v in look.values()}) == 21
    assert looks(names[:5], "random")["s3"].colour == look["s3"].colour


def test_band_and_n_are_stated(folder: StudyFolder) -> None:
    curves = load_study(folder.path)
    bands = ("95 % t interval", "95 % simultaneous band", "95 % t interval")
    for figure, band in zip(
        (learning_figure(curves), difference_figure(curves), forest_figure(curves, compare(curves))), bands, strict=True
    ):
        words = " ".join(t.get_text() for t in figure.findobj(Text))
        assert band in words
        assert "6 seeds" in words


def test_missing_data_still_draw(tmp_path: Path) -> None:
    study = make_study()
    folder = StudyFolder(tmp_path / "s")
    folder.adopt(study)
    curves = load_study(folder.path)
    assert write_figures(curves, compare(curves), tmp_path / "out")

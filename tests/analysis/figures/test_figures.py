from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures import FIGURES, FigureInputs, StudyFigure, draw_figures, style, write_figures
from analysis.figures.across.labels_saved import draw_labels_saved
from analysis.figures.layout import spread_out, wrap
from analysis.figures.style import Venue, line_styles, render
from analysis.figures.verdict.learning_curves import draw_learning_curves
from analysis.figures.verdict.power import power_frame
from analysis.loading.records import load_study
from analysis.loading.table import load_table
from analysis.statistics.power import seeds_to_detect
from analysis.verdict.decide import compare
from analysis.verdict.endpoint import matrix
from protocol.errors import Notice
from protocol.record.layout import StudyFolder
from tests.analysis.simulated import make_study
from tests.support.figure_inputs import BUDGETS, make_inputs


@pytest.fixture(scope="module")
def inputs() -> FigureInputs:
    return make_inputs(2, ("one", "two"), ("plain", "augmented"), seeds=3)


def drawn(figure: StudyFigure | str) -> StudyFigure:
    """Return the figure, which must have been drawn."""
    assert isinstance(figure, StudyFigure), figure
    return figure


@pytest.fixture(scope="module")
def study_figures(inputs: FigureInputs) -> dict[str, StudyFigure]:
    figures = dict(draw_figures(inputs))
    assert not [name for name, study_figure in figures.items() if isinstance(study_figure, str)]
    return {name: study_figure for name, study_figure in figures.items() if isinstance(study_figure, StudyFigure)}


def test_every_caption_states_n_and_its_band_and_what_is_tested(study_figures: dict[str, StudyFigure]) -> None:
    assert set(study_figures) == set(FIGURES)
    for name, study_figure in study_figures.items():
        assert study_figure.name == name
        assert re.search(r"n = |over (up to )?\d+ (seeds|runs|data sets)|draws", study_figure.caption), (
            study_figure.caption
        )
        assert re.search(r"interval|band|No band", study_figure.caption), study_figure.caption
        assert re.search(r"test|verdict", study_figure.caption), study_figure.caption
        assert len(study_figure.alt) > 60
        assert "{" not in study_figure.caption + study_figure.alt
        assert len(study_figure.frame) > 0


def test_the_same_strategy_looks_the_same_everywhere_and_random_is_black_and_last(
    inputs: FigureInputs, study_figures: dict[str, StudyFigure]
) -> None:
    for name in (
        "learning-curves",
        "difference-to-random",
        "performance-profile",
        "power",
        "query-cost",
        "calibration",
    ):
        for ax in study_figures[name].figure.axes:
            lines = [line for line in ax.get_lines() if line.get_label() in inputs.styles]
            lines += [
                c.lines[0] for c in ax.containers if isinstance(c, ErrorbarContainer) and c.get_label() in inputs.styles
            ]
            assert all(line.get_color() == inputs.styles[str(line.get_label())].colour for line in lines)
            baseline_lines = [line for line in lines if line.get_label() == "random"]
            assert all(
                line.get_zorder() > max([0, *(o.get_zorder() for o in lines if o is not line)])
                for line in baseline_lines
            )
    assert inputs.styles["random"].colour == "black"


def test_looks_are_fixed_and_distinct_without_colour() -> None:
    names = [f"s{i}" for i in range(20)]
    styles = line_styles(names, "random")
    assert styles["random"].colour == "black"
    assert styles["random"].order > max(styles[n].order for n in names)
    assert len({(v.colour, v.marker, v.dash) for v in styles.values()}) == 21
    assert len({(v.marker, v.dash) for v in styles.values()}) == 21
    assert line_styles(names[:5], "random")["s3"].colour == styles["s3"].colour


def test_the_written_data_are_what_is_drawn(inputs: FigureInputs, tmp_path: Path) -> None:
    ((_, written),) = write_figures(inputs, tmp_path, ["learning-curves"], ["svg"])
    assert [p.name for p in map(Path, written)] == ["learning-curves.svg", "learning-curves.csv", "learning-curves.txt"]
    frame = pd.read_csv(tmp_path / "learning-curves.csv")
    one = frame[(frame["protocol"] == "one/plain") & (frame["strategy"] == "random")]
    wide = matrix(inputs.curves, "one/plain").loc["random"]
    np.testing.assert_allclose(one["mean"], wide.mean())
    ax = draw_learning_curves(Figure().subplots(), frame[frame["protocol"] == "one/plain"], inputs.styles, ())
    (line,) = [line for line in ax.get_lines() if line.get_label() == "random"]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), np.asarray(wide.mean()))
    assert np.asarray(line.get_xdata()).tolist() == list(BUDGETS)


def test_three_formats_byte_for_byte_again_with_fonts_inside(tmp_path: Path) -> None:
    files = []
    for name in "ab":
        ((_, written),) = write_figures(make_inputs(2, venue="neurips"), tmp_path / name, ["verdicts"])
        files.append([p for p in map(Path, written) if p.suffix in {".pdf", ".svg", ".png"}])
    for a, b in zip(*files, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
    pdf = files[0][0].read_bytes()
    assert b"STIX" in pdf
    assert b"/Type0" in pdf or b"TrueType" in pdf  # Type 42, never Type 3
    assert b"/Type3" not in pdf


def test_nothing_complete_draws_nothing_and_says_why(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    folder.adopt(make_study())
    curves = load_study(folder.path)
    figures = dict(draw_figures(FigureInputs(curves, compare(curves))))
    assert {n for n, p in figures.items() if isinstance(p, StudyFigure)} <= {"verdicts", "learning-curves"}
    assert all(len(p) > 10 for p in figures.values() if isinstance(p, str))


def test_a_table_of_one_value_a_run_and_an_unpaired_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "strategy,seed,value\n"
        + "".join(f"{s},{i},{0.5 + i / 100 + (s == 'b') / 50}\n" for s in ("random", "b") for i in range(5))
    )
    curves = load_table(path)
    figures = dict(draw_figures(FigureInputs(curves, compare(curves))))
    assert isinstance(figures["verdicts"], StudyFigure)
    assert isinstance(figures["power"], str) is (compare(curves).verdicts[0].sd == 0)
    assert figures["learning-curves"] == figures["difference-to-random"] == "there is one budget: no curve"
    unpaired = load_table(path, mismatch="unpaired")
    figures = dict(draw_figures(FigureInputs(unpaired, compare(unpaired))))
    assert isinstance(figures["verdicts"], StudyFigure)
    assert "Welch" in figures["verdicts"].caption
    assert figures["penalty-matrix"] == "nothing is paired"


def test_power_is_that_of_the_formula(inputs: FigureInputs) -> None:
    frame = power_frame(inputs.comparison)
    row = frame[frame["seeds"] == 12].iloc[0]
    alpha = inputs.comparison.plan.alpha / inputs.comparison.tests
    assert seeds_to_detect(row["sd"], row["detectable"] * 1.0001, alpha) == 12
    assert seeds_to_detect(row["sd"], row["detectable"] * 0.999, alpha) == 13


def test_censored_savings_are_arrows_and_words() -> None:
    rows = [("a", 40.0, 20.0, np.inf, "no"), ("b", -np.inf, -np.inf, -10.0, "right"), ("c", 25.0, 20.0, 30.0, "left")]
    frame = pd.DataFrame(rows, columns=["strategy", "saved", "low", "high", "censored"]).assign(target=0.8)
    ax = draw_labels_saved(
        Figure().subplots(), frame, ["a", "b", "c", "d"], line_styles(["a", "b", "c", "d"], "random")
    )
    marks = {
        (line.get_marker(), round(float(np.asarray(line.get_ydata())[0])))
        for line in ax.get_lines()
        if line.get_marker() in ("<", ">")
    }
    assert marks == {(">", 0), ("<", 1)}
    assert [t.get_text() for t in ax.child_axes[0].get_yticklabels()] == ["", "never", "at least", "no data"]


def test_class_balance_needs_the_data_set(inputs: FigureInputs) -> None:
    counts = drawn(FIGURES["class-balance"](inputs)).frame
    random = counts[(counts["protocol"] == "one/plain") & (counts["strategy"] == "random")]
    assert random["share"].sum() == pytest.approx(1)
    assert random["count"].sum() == pytest.approx(120)
    reason = FIGURES["class-balance"](replace(inputs, bought=type(inputs.bought)()))
    assert isinstance(reason, str)
    assert "records hold no labels" in reason


def test_an_upper_line_is_shown_and_never_compared() -> None:
    inputs = make_inputs(2)
    curves = replace(inputs.curves, upper=frozenset({"own-strategy-1"}))
    figures = dict(draw_figures(FigureInputs(curves, compare(curves))))
    assert "own-strategy-1: upper line" in drawn(figures["learning-curves"]).caption
    assert "own-strategy-1" in set(drawn(figures["learning-curves"]).frame["strategy"])
    for name in (
        "verdicts",
        "difference-to-random",
        "penalty-matrix",
        "labels-saved",
        "probability-of-improvement",
        "power",
    ):
        assert "own-strategy-1" not in drawn(figures[name]).frame.to_csv(), name


def test_long_names_are_whole_and_places_are_least_squares() -> None:
    name = "own_strategy-with-a-name_that/goes-on-and-onwithoutanyseparatoratallintheend"
    assert wrap(name).replace("\n", "") == name
    assert max(map(len, wrap(name).split("\n"))) <= 24
    assert spread_out([0.0, 0.1, 5.0], 1.0) == pytest.approx([-0.45, 0.55, 5.0])
    texts = [t.get_text() for t in drawn(FIGURES["learning-curves"](make_inputs(2))).figure.findobj(Text)]
    assert {"random", "own-strategy-0", "own-strategy-1"} <= set(texts)  # at the ends of their lines, no legend


def test_no_band_is_claimed_that_is_not_drawn() -> None:
    one, four, six = (
        dict(draw_figures(make_inputs(2, seeds=n), ("learning-curves", "difference-to-random", "labels-saved")))
        for n in (1, 4, 6)
    )
    for name, band, absent in (
        ("learning-curves", "95 % t interval", "fewer than two seeds"),
        ("difference-to-random", "95 % simultaneous band", "fewer than two seeds"),
        ("labels-saved", "Bars: 95 % bootstrap interval", "No bars for fewer than 6 seeds"),
    ):
        for study_figures, has in ((one, False), (four, name != "labels-saved"), (six, True)):
            words = " ".join(" ".join(t.get_text() for t in study_figures[name].figure.findobj(Text)).split())  # type: ignore[union-attr]
            assert ((band in words), (absent in words)) == (has, not has), (name, words)


def test_of_very_many_strategies_the_lines_are_drawn_without_bars() -> None:
    few, many = (
        dict(draw_figures(make_inputs(k, seeds=4), ["difference-to-random"]))["difference-to-random"] for k in (12, 13)
    )
    assert isinstance(few, StudyFigure)
    assert isinstance(many, StudyFigure)
    bars = [sum(isinstance(c, ErrorbarContainer) for c in p.figure.axes[0].containers) for p in (few, many)]
    assert bars == [12, 0]
    assert "Bars: 95" in few.caption
    assert "Bars left out (too many strategies), see the CSV: 95 % simultaneous band (bonferroni-t)" in many.caption
    assert many.frame["low"].notna().all()
    assert len([line for line in many.figure.axes[0].get_lines() if str(line.get_label()).startswith("own-")]) == 13


def test_cells_without_numbers_have_a_scale_beside_them() -> None:
    for k, scales in ((3, 0), (24, 2)):  # one a definition: their largest cells differ
        study_figure = dict(draw_figures(make_inputs(k, seeds=4), ["penalty-matrix"]))["penalty-matrix"]
        assert isinstance(study_figure, StudyFigure)
        numbers = [t for ax in study_figure.figure.axes for t in ax.texts]
        assert len(study_figure.figure.axes) == 2 + scales
        assert bool(numbers) is (scales == 0)


@pytest.mark.filterwarnings("ignore::protocol.errors.Notice")
def test_names_are_shown_as_they_are_whatever_they_mean_elsewhere(tmp_path: Path) -> None:
    names = ("random", r"$\frac{x$", "_hidden", "日本")
    rows = "".join(
        f'"{d}",{r},"{s}",{k},{b},{0.5 + b / 100 + k / 50 + i * k / 90}\n'
        for d in ("$one", "two")
        for r in ("r_1",)
        for i, s in enumerate(names)
        for k in range(3)
        for b in (10, 20)
    )
    (tmp_path / "t.csv").write_text(f"dataset,regime,strategy,seed,budget,value\n{rows}", encoding="utf-8")
    curves = load_table(tmp_path / "t.csv")
    for _, study_figure in draw_figures(
        FigureInputs(curves, compare(curves)), ("verdicts", "learning-curves", "mean-ranks", "penalty-matrix")
    ):
        assert isinstance(study_figure, StudyFigure)
        assert render(study_figure.figure, "svg")
        words = [t.get_text() for t in study_figure.figure.findobj(Text)]
        assert all(any(name in text for text in words) for name in (r"$\frac{x$", "_hidden", "日本"))


def test_seconds_are_plain_numbers() -> None:
    study_figure = dict(draw_figures(make_inputs(3), ["query-cost"]))["query-cost"]
    assert isinstance(study_figure, StudyFigure)
    study_figure.figure.draw_without_rendering()
    ax = study_figure.figure.axes[0]
    seconds = [float(t.get_text()) for t in ax.get_xticklabels()]
    assert len(seconds) > 1
    np.testing.assert_allclose(seconds, ax.get_xticks())


def test_letters_that_no_font_has_are_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    style._fallback_fonts.cache_clear()
    monkeypatch.setattr(style, "FALLBACK_FONTS", ("No Such Font",))
    figure = Figure()
    figure.text(0.1, 0.5, "a \u65e5\u672c \U000e0041")
    with pytest.warns(Notice, match="such as \u65e5; install one") as notices:
        style.render(figure, "png")
    assert len(notices) == 1
    style._fallback_fonts.cache_clear()


def test_other_fonts_that_are_installed_give_the_letters_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure()
    figure.text(0.1, 0.5, "\u2115")  # DejaVu Sans has it, the other face here does not
    monkeypatch.setattr(style, "FALLBACK_FONTS", ("No Such Font", "DejaVu Sans"))
    style._fallback_fonts.cache_clear()
    with style.style_context(Venue(3, 6, "cmr10")):
        assert mpl.rcParams["font.family"] == ["cmr10", "DejaVu Sans"]
        figure.canvas.draw()  # warnings are errors here
    style._fallback_fonts.cache_clear()


@pytest.mark.parametrize(("metric", "drawn_negated"), [("nll", True), ("accuracy", False)])
def test_a_negated_metric_is_named_on_the_figure_itself(tmp_path: Path, metric: str, drawn_negated: bool) -> None:
    rows = [f"{s},{k},{b},.{k + 20 + b + 3 * (s == 'x')}" for s in ("random", "x") for k in range(4) for b in (10, 20)]
    (tmp_path / "t.csv").write_text("\n".join([f"strategy,seed,budget,{metric}", *rows]) + "\n")
    inputs = FigureInputs(curves := load_table(tmp_path / "t.csv"), compare(curves))
    for name in ("learning-curves", "verdicts", "difference-to-random"):
        texts = " ".join(t.get_text() for t in drawn(FIGURES[name](inputs)).figure.findobj(Text))
        assert ("Lower nll is better: drawn negated" in " ".join(texts.split())) == drawn_negated, name

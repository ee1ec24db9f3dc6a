"""Which predictions became right and which wrong, and the picture of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.figures import FIGURES, StudyFigure
from analysis.figures.secondary.changed_predictions import COLOURS, _mark_changes
from analysis.secondary.changed_predictions import GAINED, LOST, OTHER, UNCHANGED, kinds
from tests.support.figure_inputs import class_change, make_inputs, map_change


def test_every_kind_of_change() -> None:
    truth = np.array([[0, 0, 1, 1, 2, 255, 255, 0]])
    before = np.array([[0, 1, 1, 2, 0, 1, 0, 2]])
    after = np.array([[0, 0, 2, 2, 1, 2, 0, 2]])
    expected = [[UNCHANGED, GAINED, LOST, UNCHANGED, OTHER, UNCHANGED, UNCHANGED, UNCHANGED]]
    assert kinds(before, after, truth, 3).tolist() == expected
    assert kinds(np.array([1, 0]), np.array([0, 1]), np.array([-1, 1]), 2).tolist() == [
        UNCHANGED,
        GAINED,
    ]  # a class that is none


def test_changed_pixels_are_coloured_and_the_others_are_pale() -> None:
    image = np.array([[[10], [250], [90], [30]]], np.uint8)
    drawn = _mark_changes(image, np.array([[UNCHANGED, GAINED, LOST, OTHER]], np.uint8))
    as_hex = ["#" + "".join(f"{round(c * 255):02X}" for c in pixel) for pixel in drawn[0]]
    assert as_hex[1:] == [COLOURS[GAINED], COLOURS[LOST], COLOURS[OTHER]]
    np.testing.assert_allclose(drawn[0, 0], 0.7 + 0.3 * 10 / 255)


def test_the_data_are_counts_of_both_tasks() -> None:
    made = make_inputs(1)
    changes = (map_change("one/plain", "random", 0), class_change("one/plain", "own-strategy-0", 3))
    study_figure = FIGURES["changed-predictions"](replace(made, bought=replace(made.bought, changes=changes)))
    assert isinstance(study_figure, StudyFigure)
    *maps, classes = study_figure.frame.itertuples(index=False)
    assert [(m.unit, m.image, m.of) for m in maps] == [("pixels", i, 12 * 14) for i in ("3", "20", "31")]
    for row, before, after, truth in zip(maps, changes[0].before, changes[0].after, changes[0].truth, strict=True):
        right, was = (after == truth) & (truth < 10), (before == truth) & (truth < 10)
        assert (row.gained, row.lost) == ((right & ~was).sum(), (was & ~right).sum())
    assert (classes.unit, classes.gained, classes.lost, classes.other, classes.of) == ("images", 43, 2, 5, 200)
    assert "own-strategy-0 under one/plain: 43 became right and 2 wrong of 200 images" in study_figure.alt


def test_large_images_are_thinned_for_the_picture_alone() -> None:
    made, small = make_inputs(1), map_change("one/plain", "random", 0)
    large = replace(
        small,
        **{name: getattr(small, name).repeat(50, 1).repeat(50, 2) for name in ("pixels", "truth", "before", "after")},
    )  # 600 x 800
    study_figure = FIGURES["changed-predictions"](replace(made, bought=replace(made.bought, changes=(large,))))
    assert isinstance(study_figure, StudyFigure)
    assert study_figure.frame["of"].tolist() == [12 * 14 * 2500] * 3
    drawn = [ax.images[0].get_array() for ax in study_figure.figure.axes if ax.images]
    assert {array.shape[0] for array in drawn if array is not None} == {300}


def test_nothing_kept_is_said_and_nothing_turned_is_not_drawn() -> None:
    made = make_inputs(1)
    still = class_change("one/plain", "random", 0)
    still = replace(still, gained=replace(still.gained, count=0), lost=replace(still.lost, count=0))
    for changes in ((), (still,)):
        said = FIGURES["changed-predictions"](replace(made, bought=replace(made.bought, changes=changes)))
        assert isinstance(said, str)
        assert "none were kept" in said

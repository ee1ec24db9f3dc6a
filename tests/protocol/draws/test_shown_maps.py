"""Which test images' maps are kept."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.draws.shown_maps import MOST_MAPS, MOST_PIXELS, draw_shown_maps, maps_digest
from tests.support.study_builder import make_study


def test_the_images_are_drawn_by_the_seed_alone() -> None:
    protocol = make_study().protocols[0]
    drawn = draw_shown_maps(protocol, 0, 40, 48, 64)
    assert drawn.tolist() == [3, 7, 10, 27, 34, 39]  # golden: evidence is held to it
    other = protocol.model_copy(
        update={"budgets": (3, 4), "model": protocol.model.model_copy(update={"name": "other"})}
    )
    assert draw_shown_maps(other, 0, 40, 48, 64).tolist() == drawn.tolist()
    assert draw_shown_maps(protocol, 1, 40, 48, 64).tolist() != drawn.tolist()
    assert set(draw_shown_maps(protocol, 0, 40, 1024, 1024).tolist()) < set(
        drawn.tolist()
    )  # large images: the same, fewer


@pytest.mark.parametrize(
    ("tests", "height", "width", "kept"),
    [
        (40, 48, 64, MOST_MAPS),
        (3, 48, 64, 3),
        (40, 512, 1024, 4),
        (40, 1024, 2048, 1),
        (40, 1025, 2048, 0),
        (40, 1, MOST_PIXELS // 5, 5),
    ],
)
def test_what_is_kept_is_bounded(tests: int, height: int, width: int, kept: int) -> None:
    places = draw_shown_maps(make_study().protocols[0], 3, tests, height, width)
    assert len(places) == kept
    assert places.tolist() == sorted(set(places.tolist()))
    assert kept * height * width <= MOST_PIXELS


def test_the_digest_is_of_places_and_maps() -> None:
    maps = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    digest = maps_digest(np.array([1, 4]), maps)
    assert digest == maps_digest(np.array([1, 4], np.uint8), maps.astype(np.int64))
    assert digest != maps_digest(np.array([1, 5]), maps)
    assert digest != maps_digest(np.array([1, 4]), maps[:, ::-1])

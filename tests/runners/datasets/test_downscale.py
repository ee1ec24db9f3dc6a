from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.spec.data import Data
from runners.data import load
from runners.datasets import Images
from runners.datasets.downscale import downscale


def images(height: int, width: int) -> Images:
    pixels = np.random.default_rng(0).integers(0, 256, (5, height, width, 3)).astype(np.uint8)
    return Images("made-up", pixels, 4, 1, ("a", "b"), "d")


def test_a_pixel_is_the_mean_of_its_cell_rounded_half_up() -> None:
    pixels = np.zeros((1, 2, 4, 1), np.uint8)
    pixels[0, :, :, 0] = [[0, 1, 250, 255], [0, 1, 255, 255]]
    small = downscale(Images("made-up", pixels, 1, 0, ("a",), "d"), 1)
    assert small.pixels[0, :, :, 0].tolist() == [[1, 254]]


def test_rows_columns_and_channels_stay_where_they_are() -> None:
    large = images(6, 9)
    small = downscale(large, 2)
    assert small.pixels.shape == (5, 2, 3, 3)
    expected = large.pixels[3, 3:6, 6:9, 1].mean()
    assert abs(float(small.pixels[3, 1, 2, 1]) - expected) <= 0.5
    assert (small.train_size, small.digest) == (4, "d")


def test_the_protocols_resolution_is_applied_when_loading() -> None:
    whole, _ = load(Data(name="digits"), None)
    small, _ = load(Data(name="digits", resolution=4), None)
    assert (small.height, small.width) == (4, 4)
    assert small.digest == whole.digest


@pytest.mark.parametrize("side", [4, 12])
def test_a_side_that_does_not_divide_names_those_that_do(side: int) -> None:
    with pytest.raises(InputError, match=r"one of \[6, 3, 2, 1\]"):
        downscale(images(6, 6), side)


def test_features_have_no_resolution() -> None:
    features = replace(images(1, 1), pixels=np.zeros((5, 1, 1, 7), np.float32))
    with pytest.raises(InputError, match="features, not images"):
        downscale(features, 1)

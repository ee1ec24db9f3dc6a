"""Which images look alike, against comparing all pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocol.digests import array_digest
from protocol.record.layout import StudyFolder
from runners.datasets.duplicates import TOLERANCE, duplicate_groups, write_groups
from runners.datasets.images import Images


@pytest.fixture
def pixels() -> np.ndarray:
    rng = np.random.default_rng(3)
    originals = rng.integers(0, 256, (60, 9, 7, 3))
    copies, near, far = (
        originals[:5],
        originals[5:15] + rng.integers(-2, 3, (10, 9, 7, 3)),
        originals[15:25] + rng.integers(-6, 7, (10, 9, 7, 3)),
    )
    stacked: np.ndarray = np.concatenate([originals, copies, near, far])
    return stacked.clip(0, 255).astype(np.uint8)


def test_groups_are_those_of_all_pairs(pixels: np.ndarray) -> None:
    found = duplicate_groups(pixels)
    difference = np.abs(pixels[:, None].astype(float) - pixels[None].astype(float)).mean((2, 3, 4))
    content, look = (found[k][:, None] == found[k][None] for k in ("content", "look"))
    np.testing.assert_array_equal(content, difference == 0)
    np.testing.assert_array_equal(look, difference <= TOLERANCE)
    assert (look.sum() - len(pixels), content.sum() - len(pixels)) == (30, 10)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (8, 8, 1), (17, 5, 3)])
def test_any_shape_will_do(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 200, (4, *shape)).astype(np.uint8)
    pixels[3] = pixels[0]
    pixels[2] = 255
    found = duplicate_groups(pixels)
    assert found["content"][3] == found["content"][0] != found["content"][2]
    assert found["look"][3] == found["look"][0] != found["look"][2]


def test_alike_images_are_a_chain(pixels: np.ndarray) -> None:
    steps = np.stack([np.full((4, 4, 1), 10 + k, np.uint8) for k in (0, 2, 4, 7)])
    look = duplicate_groups(steps)["look"]
    assert look[0] == look[1] == look[2] != look[3]


def test_too_many_images_are_compared_by_content_only(pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.datasets.duplicates._MOST_IMAGES", 84)
    found = duplicate_groups(pixels)
    assert len(found["look"]) == 0
    assert len(found["content"]) == 85


def test_groups_are_kept_once(pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, folder = Images("made-up", pixels, 60, 25, ("a", "b"), "ab" * 32), StudyFolder(tmp_path)
    first = write_groups(folder, images)
    found = duplicate_groups(pixels)
    assert first == array_digest(found["content"], found["look"])
    monkeypatch.setattr("runners.datasets.duplicates.duplicate_groups", lambda _: pytest.fail("computed again"))
    assert write_groups(folder, images) == first

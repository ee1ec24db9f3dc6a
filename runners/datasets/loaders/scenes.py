"""Scenes composed from scikit-learn's digits: segmentation without a download."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.metrics import VOID
from runners.datasets.cards import Card
from runners.datasets.file_search import Place
from runners.datasets.images import Images, Labels
from runners.datasets.loaders.masks import seal_maps

SIDE: Final = 24
DIGITS: Final = 3
"""Digits 0 to 2: few enough that a small network learns each of them in the steps of a quickstart."""
TRAIN: Final = 800
TEST: Final = 200
_TEST_DIGITS: Final = 500
"""Number of digits, the last of scikit-learn's, for test scenes; the others are for training scenes."""
_DECAY: Final = 0.8
"""Frequency of each digit relative to the previous one, so that classes are as unbalanced as in real scenes."""
_FAINT, _CLEAR = 3, 8
"""Levels of ink, of 16: below faint is background, from clear on is the digit, between them is void."""


def load(card: Card, place: Place) -> tuple[Images, Labels]:  # noqa: ARG001  # one signature for all loaders
    """Load 800 training and 200 test scenes of 24×24 grey pixels with one to three digits.

    Equal on every machine.
    """
    from sklearn.datasets import load_digits  # seconds to import, so only where it is used

    raw = load_digits()
    ink, digits = np.asarray(raw.images).astype(np.int64), np.asarray(raw.target).astype(np.int64)
    rng = np.random.Generator(np.random.PCG64(20191205))
    parts = [(slice(None, -_TEST_DIGITS), TRAIN), (slice(-_TEST_DIGITS, None), TEST)]
    scenes = [compose(ink[part], digits[part], rng) for part, count in parts for _ in range(count)]
    pixels, maps = np.stack([p for p, _ in scenes])[..., None], np.stack([m for _, m in scenes])
    return seal_maps(card, "digit scenes", pixels, maps, TRAIN, card.classes or ())


def compose(
    ink: NDArray[np.int64], digits: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Compose one scene: enlarged digits at random places on an uneven and noisy background.

    Later digits cover earlier ones.

    Args:
        ink: (n, 8, 8) from 0 to 16.
        digits: (n,) which digit each is.

    Returns:
        (24, 24) grey values, and (24, 24) classes: 0 ground, 1 + digit, or `VOID`.
    """
    ramp = np.add.outer(np.arange(SIDE) * int(rng.integers(-1, 2)), np.arange(SIDE) * int(rng.integers(-1, 2)))
    grey = 60 + ramp + rng.integers(-10, 11, (SIDE, SIDE))
    classes = np.zeros((SIDE, SIDE), np.uint8)
    weights = _DECAY ** np.arange(DIGITS)
    for _ in range(int(rng.integers(1, 4))):
        digit = rng.choice(DIGITS, p=weights / weights.sum())
        one = ink[rng.choice(np.flatnonzero(digits == digit))]
        one = np.kron(one, np.ones((2, 2), np.int64))
        top, left = rng.integers(0, SIDE - len(one) + 1, 2)
        at = np.s_[top : top + len(one), left : left + len(one)]
        level = int(rng.integers(150, 256))
        grey[at] = (grey[at] * (16 - one) + level * one) // 16
        classes[at] = np.where(one >= _CLEAR, digit + 1, np.where(one >= _FAINT, VOID, classes[at]))
    return np.clip(grey, 0, 255).astype(np.uint8), classes

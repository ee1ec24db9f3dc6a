"""scikit-learn's embedded digits."""

from __future__ import annotations

import numpy as np

from runners.datasets.cards import Card
from runners.datasets.file_search import Place
from runners.datasets.images import Images, Labels, join_parts


def load(card: Card, place: Place) -> tuple[Images, Labels]:  # noqa: ARG001  # one signature for all loaders
    """Load 1,797 grey images of 8×8 pixels; grey values 0 to 16 become 0 to 255 (rounded)."""
    from sklearn.datasets import load_digits  # seconds to import, so only where it is used

    raw = load_digits()
    pixels = np.rint(np.asarray(raw.images) * (255 / 16)).astype(np.uint8)
    return join_parts(card, "scikit-learn's digits", (pixels, np.asarray(raw.target)), None, card.classes)

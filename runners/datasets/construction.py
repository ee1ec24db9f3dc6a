"""Data sets constructed from others: unknown classes, long tails, near-copies, sequences.

The draws depend on the content and the construction only, so that every seed, strategy and machine uses the same data
set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.draws.seeds import generator
from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.data import Construction, Data, Frames
from runners.datasets.images import Images, Labels

UNKNOWN = -1
"""Label of images of none of the task's classes."""
_AT_ONCE = 4096


def construct(images: Images, hidden: Labels, data: Data) -> tuple[Images, Labels]:
    """Construct the data set that `data.construction` describes.

    Its digest differs from the original's.

    Raises:
        InputError: unknown class names, fewer than 2 classes left, near-copies of features, or more frames than images.
    """
    construction = data.construction
    if construction is None:
        return images, hidden
    if construction.sequence is not None:
        return _take_sequence(images, hidden, data, construction.sequence)
    labels, classes = _without_classes(
        images.classes, np.asarray(hidden.for_oracle(), np.int64), construction.unknown_classes
    )
    kept = np.arange(images.train_size, dtype=np.int64)
    if construction.long_tail is not None:
        kept = _thin_classes(labels[kept], len(classes), construction.long_tail, _draws(images, "long-tail"))
    test = np.arange(images.train_size, images.n, dtype=np.int64)
    test = test[labels[test] != UNKNOWN]
    sources, copied = _choose_copies(images, kept, construction)
    pixels = _take(
        images.pixels, np.concatenate([sources, test]), copied, construction.copy_noise, _draws(images, "copies")
    )
    chosen_labels = np.concatenate([labels[sources], labels[test]])
    chosen_labels.flags.writeable = False
    new = replace(
        images,
        pixels=pixels,
        train_size=len(sources),
        test_size=len(test),
        classes=classes,
        digest=data.recorded_digest(images.digest),
        views=None if images.views is None else images.views[sources],
    )
    return new, Labels(chosen_labels)


def _take_sequence(images: Images, hidden: Labels, data: Data, spec: Frames) -> tuple[Images, Labels]:
    """Keep the training images of evenly spaced parts of the sequence, and all test images."""
    if spec.frames > images.train_size:
        where = "data.construction.sequence.frames"
        raise InputError(Fault(where, f"at most the {images.train_size} training images", str(spec.frames), "lower it"))
    parts = spec.frames // spec.length
    starts = np.arange(parts, dtype=np.int64) * images.train_size // parts
    kept = (starts[:, None] + np.arange(spec.length)).ravel()
    chosen = np.concatenate([kept, np.arange(images.train_size, images.n, dtype=np.int64)])
    pixels, labels = images.pixels[chosen], hidden.for_oracle()[chosen]
    for array in (pixels, labels):
        array.flags.writeable = False
    digest = data.recorded_digest(images.digest)
    views = None if images.views is None else images.views[kept]
    return replace(images, pixels=pixels, train_size=len(kept), digest=digest, views=views), Labels(labels)


def _draws(images: Images, what: str) -> np.random.Generator:
    return generator(0, "split", 0, "construction", what, images.digest)


def _without_classes(
    classes: tuple[str, ...], labels: NDArray[np.int64], unknown: tuple[str, ...]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels and names of the known classes, renumbered from 0; unknown classes become -1."""
    where = "data.construction.unknown_classes"
    for name in unknown:
        if name not in classes:
            raise InputError(unknown_name(where, name, list(classes)))
    left = [k for k, name in enumerate(classes) if name not in unknown]
    if len(left) < 2:
        raise InputError(
            Fault(where, "at least 2 classes that are left", f"{len(left)} of {len(classes)}", "name fewer")
        )
    new = np.full(len(classes), UNKNOWN, np.int64)
    new[left] = np.arange(len(left))
    return new[labels], tuple(classes[k] for k in left)


def _thin_classes(labels: NDArray[np.int64], classes: int, ratio: float, rng: np.random.Generator) -> Indices:
    """Thin the classes to a long tail.

    At most n ratio^(-k / (classes - 1)) images of class k stay, where n is the size of the largest class.

    All images of unknown classes stay. Returns sorted indices.
    """
    counts = np.bincount(labels[labels != UNKNOWN], minlength=classes)
    kept = [np.flatnonzero(labels == UNKNOWN)]
    for k in range(classes):
        limit = max(1, int(counts.max() * ratio ** (-k / (classes - 1)) + 1e-9))
        kept.append(rng.permutation(np.flatnonzero(labels == k))[:limit])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _choose_copies(images: Images, kept: Indices, construction: Construction) -> tuple[Indices, NDArray[np.bool_]]:
    """Return the source of every new training image, and whether it is a near-copy."""
    copied = np.zeros(len(kept), bool)
    if construction.redundancy is None:
        return kept, copied
    if images.pixels.dtype != np.uint8:
        raise InputError(Fault("data.construction.redundancy", "images, uint8", "features", "leave it out"))
    rng = _draws(images, "redundancy")
    copied[rng.permutation(len(kept))[: round(construction.redundancy * len(kept))]] = True
    if copied.all():
        raise InputError(
            Fault(
                "data.construction.redundancy",
                "a share that leaves an image",
                f"{construction.redundancy:g}",
                "lower it",
            )
        )
    sources = kept.copy()
    sources[copied] = rng.choice(kept[~copied], int(copied.sum()))
    return sources, copied


def _take(
    pixels: NDArray[Any], chosen: Indices, copied: NDArray[np.bool_], noise: int, rng: np.random.Generator
) -> NDArray[Any]:
    """Return the chosen images, with noise of up to `noise` grey levels on near-copies.

    Args:
        copied: which of the first chosen images, the training images, are near-copies.
    """
    out = np.empty((len(chosen), *pixels.shape[1:]), pixels.dtype)
    for start in range(0, len(chosen), _AT_ONCE):
        out[start : start + _AT_ONCE] = pixels[chosen[start : start + _AT_ONCE]]
    for i in np.flatnonzero(copied):
        out[i] = np.clip(out[i].astype(np.int16) + rng.integers(-noise, noise + 1, out[i].shape), 0, 255)
    out.flags.writeable = False
    return out

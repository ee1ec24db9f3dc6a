"""Data sets made from others: classes outside the task, a long tail, redundant images, stretches of a sequence.

Drawn by the content and what is asked for alone, so that every seed, strategy and machine has the same data set.
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
"""Label of an image of none of the task's classes."""
_AT_ONCE = 4096


def construct(images: Images, hidden: Labels, data: Data) -> tuple[Images, Labels]:
    """The data set that `data.construction` describes, with a digest of its own.

    Raises:
        InputError: classes that the data set has not, too few that are left, near-copies of features, or more frames than there are.
    """
    made = data.construction
    if made is None:
        return images, hidden
    if made.sequence is not None:
        return _take_sequence(images, hidden, data, made.sequence)
    labels, classes = _without_classes(images.classes, np.asarray(hidden.for_oracle(), np.int64), made.unknown_classes)
    kept = np.arange(images.train_size, dtype=np.int64)
    if made.long_tail is not None:
        kept = _thin_classes(labels[kept], len(classes), made.long_tail, _draws(images, "long-tail"))
    test = np.arange(images.train_size, images.n, dtype=np.int64)
    test = test[labels[test] != UNKNOWN]
    sources, copied = _choose_copies(images, kept, made)
    pixels = _take(images.pixels, np.concatenate([sources, test]), copied, made.copy_noise, _draws(images, "copies"))
    told = np.concatenate([labels[sources], labels[test]])
    told.flags.writeable = False
    new = replace(
        images,
        pixels=pixels,
        train_size=len(sources),
        test_size=len(test),
        classes=classes,
        digest=data.recorded_digest(images.digest),
    )
    return new, Labels(told)


def _take_sequence(images: Images, hidden: Labels, data: Data, asked: Frames) -> tuple[Images, Labels]:
    """The training images of evenly spread stretches, in their order; test images stay."""
    if asked.frames > images.train_size:
        where = "data.construction.sequence.frames"
        raise InputError(
            Fault(where, f"at most the {images.train_size} training images", str(asked.frames), "lower it")
        )
    stretches = asked.frames // asked.length
    starts = np.arange(stretches, dtype=np.int64) * images.train_size // stretches
    kept = (starts[:, None] + np.arange(asked.length)).ravel()
    chosen = np.concatenate([kept, np.arange(images.train_size, images.n, dtype=np.int64)])
    pixels, told = images.pixels[chosen], hidden.for_oracle()[chosen]
    for array in (pixels, told):
        array.flags.writeable = False
    return replace(images, pixels=pixels, train_size=len(kept), digest=data.recorded_digest(images.digest)), Labels(
        told
    )


def _draws(images: Images, what: str) -> np.random.Generator:
    return generator(0, "split", 0, "construction", what, images.digest)


def _without_classes(
    classes: tuple[str, ...], labels: NDArray[np.int64], unknown: tuple[str, ...]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels with the unknown classes as -1 and the others numbered anew, and the names of those."""
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
    """Sorted training indices: of class k at most n ratio^(-k / (classes - 1)), n the largest class's number; unknown ones all stay."""
    counts = np.bincount(labels[labels != UNKNOWN], minlength=classes)
    kept = [np.flatnonzero(labels == UNKNOWN)]
    for k in range(classes):
        most = max(1, int(counts.max() * ratio ** (-k / (classes - 1)) + 1e-9))
        kept.append(rng.permutation(np.flatnonzero(labels == k))[:most])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _choose_copies(images: Images, kept: Indices, made: Construction) -> tuple[Indices, NDArray[np.bool_]]:
    """For every training image of the new data set, which image it is made from, and whether it is a near-copy."""
    copied = np.zeros(len(kept), bool)
    if made.redundancy is None:
        return kept, copied
    if images.pixels.dtype != np.uint8:
        raise InputError(Fault("data.construction.redundancy", "images, uint8", "features", "leave it out"))
    rng = _draws(images, "redundancy")
    copied[rng.permutation(len(kept))[: round(made.redundancy * len(kept))]] = True
    if copied.all():
        raise InputError(
            Fault("data.construction.redundancy", "a share that leaves an image", f"{made.redundancy:g}", "lower it")
        )
    sources = kept.copy()
    sources[copied] = rng.choice(kept[~copied], int(copied.sum()))
    return sources, copied


def _take(
    pixels: NDArray[Any], chosen: Indices, copied: NDArray[np.bool_], noise: int, rng: np.random.Generator
) -> NDArray[Any]:
    """The chosen images, the copied ones (the first are training images) with noise of up to so many grey levels on every pixel."""
    out = np.empty((len(chosen), *pixels.shape[1:]), pixels.dtype)
    for start in range(0, len(chosen), _AT_ONCE):
        out[start : start + _AT_ONCE] = pixels[chosen[start : start + _AT_ONCE]]
    for i in np.flatnonzero(copied):
        out[i] = np.clip(out[i].astype(np.int16) + rng.integers(-noise, noise + 1, out[i].shape), 0, 255)
    out.flags.writeable = False
    return out

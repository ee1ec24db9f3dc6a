"""Frozen features of augmented views of the training images, for learning methods that compare views."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.draws.seeds import derive
from protocol.errors import Fault, InputError
from protocol.spec.data import Encoder
from runners.caching import Allocate, entry_folder, get_or_make_array
from runners.datasets.images import Images
from runners.encoding.encode import BATCH, Progress, embed_or_refuse, embedder, inputs

Draw = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""Images (b, height, width, channels) and a seed → one random view of each, of the same shape."""
_ROOT: Final = 0
"""Views do not depend on a study: all studies on one file of features see the same views."""


def encode_views(
    images: Images,
    encoder: Encoder,
    root: Path | None,
    draw: Draw,
    count: int,
    described: dict[str, Any],
    progress: Progress,
    device: str | None = None,
    batch: int = BATCH,
) -> NDArray[np.float16]:
    """Return features (training images, count, d) of random views, in half precision, read-only.

    View k of a batch is drawn from its own seed, so more views change none of the earlier ones.

    Args:
        images: uint8; test images get no views.
        encoder: with the digests of its files.
        draw: draws the views.
        described: everything that determines what `draw` draws, for the cache.
        progress: called with the number of encoded views and the number of all views.

    Raises:
        InputError: as `encode_images`; or features too large for half precision.
    """
    where, n = f"encoder {encoder.name}", images.train_size

    def make(allocate: Allocate) -> None:
        embed, out = embedder(encoder, root, device), None
        for start in range(0, n, batch):
            part = np.array(images.pixels[start : min(n, start + batch)])
            for k in range(count):
                view = draw(part, derive(_ROOT, "augmentation", 0, 0, f"view-{k}-{start}"))
                rows = embed_or_refuse(embed, view, None if out is None else out.shape[2], where)
                if out is None:
                    out = allocate((n, count, rows.shape[1]))
                out[start : start + len(part), k] = _half(rows, where)
                progress(start * count + len(part) * (k + 1), n * count)

    key = inputs(images, encoder) | {"views": count, "batch": batch, "drawn": described}
    what = f"{count} views of {n:,} images of {images.name} by {encoder.name}"
    file = entry_folder("encoded-views", key) / "views.npy"
    views: NDArray[np.float16] = get_or_make_array(file, what, (n, count, None), np.float16, make)
    return views


def _half(rows: NDArray[np.float32], where: str) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = rows.astype(np.float16)
    if not np.isfinite(half).all():
        largest = f"{np.abs(rows).max():.3g}"
        fix = "scale the embeddings, or encode without --views"
        raise InputError(Fault(where, "views of size 65504 at most, for half precision", largest, fix))
    return half

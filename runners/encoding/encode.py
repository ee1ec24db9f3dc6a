"""Compute frozen features of images, batch by batch, into the cache."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from protocol.spec.data import Encoder
from runners.caching import Allocate, entry_folder, get_or_make_array
from runners.datasets.images import Images
from runners.encoding.resolve import resolve_files
from runners.machine.progress_lines import ProgressLines, print_notice

Progress = Callable[[int, int], None]
"""Called with the number of encoded images and the number of all images."""

BATCH: Final = 256
"""Number of images per batch."""


def encode_images(
    images: Images,
    encoder: Encoder,
    root: Path | None,
    progress: Progress | None = None,
    device: str | None = None,
    batch: int = BATCH,
) -> NDArray[np.float32]:
    """Return features (n, d) of all images, read-only.

    One process computes them if the cache does not hold them.

    The cache key is made of the digests of images and encoder and of the versions of the libraries. It does not
    contain the device, although devices round differently: the first computation is kept, and records name the
    features by their digest.

    Args:
        images: uint8.
        encoder: with or without the digests of its files; given digests must match.
        progress: `None`: lines on standard error.
        device: `None`: CUDA if there is a device, else the CPU.

    Raises:
        InputError: features instead of images; files that are missing, changed or unsuitable; or an encoder that fails
            or returns no numbers.
    """
    if images.pixels.dtype != np.uint8:
        raise InputError(
            Fault("data.encoder", "images, uint8", f"{images.name}, which are features already", "leave it out")
        )
    identified = encoder if _has_digests(encoder) else resolve_files(encoder, root)
    report = progress or _progress_lines(f"encoding {images.name} by {encoder.name}")

    def make(allocate: Allocate) -> None:
        _compute(images, resolve_files(identified, root), root, allocate, report, device, batch)

    folder = entry_folder("encoded", inputs(images, identified))
    what = f"{images.n:,} images of {images.name} by {encoder.name}"
    features: NDArray[np.float32] = get_or_make_array(folder / "features.npy", what, (images.n, None), np.float32, make)
    return features


def inputs(images: Images, encoder: Encoder) -> dict[str, Any]:
    """Return everything that determines the features, except rounding."""
    library = encoder.name.partition(":")[0]
    versions = {name: metadata.version(name) for name in ("torch", library) if encoder.own is None}
    return {
        "images": images.digest,
        "shape": list(images.pixels.shape),
        "encoder": encoder.fingerprint_content(),
        "versions": versions,
    }


def _has_digests(encoder: Encoder) -> bool:
    """Return whether the encoder names the digests of all its files.

    If so, cached features can be used without the files.
    """
    return (encoder.own is None or encoder.source_digest is not None) and (
        encoder.weights in (None, "untrained") or encoder.weights_digest is not None
    )


def _compute(
    images: Images,
    encoder: Encoder,
    root: Path | None,
    allocate: Allocate,
    progress: Progress,
    device: str | None,
    batch: int,
) -> None:
    from runners.encoding import user_encoder  # brings torch

    where = f"encoder {encoder.name}"
    if encoder.name.endswith(".npy"):
        values = user_encoder.embeddings(encoder, root, images.n)
        allocate(values.shape)[:] = values
        return
    embed = _embedder(encoder, root, device)
    out: NDArray[Any] | None = None
    for start in range(0, images.n, batch):
        part = np.array(images.pixels[start : start + batch])
        try:
            output = embed(part)
        except InputError:
            raise
        except Exception as error:  # the user's own code, or images that a network cannot take
            raise InputError(
                Fault(where, f"embeddings of {len(part)} images", f"{type(error).__name__}: {error}")
            ) from error
        rows = user_encoder.check_embeddings(output, len(part), None if out is None else out.shape[1], where)
        if out is None:
            out = allocate((images.n, rows.shape[1]))
        out[start : start + len(part)] = rows
        progress(start + len(part), images.n)


def _embedder(encoder: Encoder, root: Path | None, device: str | None) -> Callable[[NDArray[np.uint8]], Any]:
    import torch

    from runners.encoding import networks, user_encoder

    if encoder.own is not None:
        return user_encoder.build(encoder, root)
    network = networks.build(encoder, root)
    if encoder.weights == "pretrained" and network.digest != encoder.weights_digest:
        fix = "the library now fetches other weights; give the file that was used"
        raise InputError(Fault(f"encoder {encoder.name}", f"weights {encoder.weights_digest}", network.digest, fix))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network.body.to(place)
    return lambda images: network(images, place)


def _progress_lines(what: str) -> Progress:
    """Return a callback that prints progress and the expected time left every few seconds."""
    lines = ProgressLines()

    def progress(done: int, total: int) -> None:
        if (left := lines.seconds_left(done, total)) is not None:
            print_notice(f"{what}: {done:,} of {total:,} images, about {left:.0f} s left")

    return progress

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
from runners.encoding.packaged import distribution
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
    used = ["timm", distribution(encoder.name)] if encoder.packaged else [encoder.name.partition(":")[0]]
    versions = {name: metadata.version(name) for name in ("torch", *used) if encoder.own is None}
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
    if encoder.packaged:
        return encoder.weights_digest is not None
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
    embed = embedder(encoder, root, device)
    out: NDArray[Any] | None = None
    for start in range(0, images.n, batch):
        part = np.array(images.pixels[start : start + batch])
        rows = embed_or_refuse(embed, part, None if out is None else out.shape[1], where)
        if out is None:
            out = allocate((images.n, rows.shape[1]))
        out[start : start + len(part)] = rows
        progress(start + len(part), images.n)


Embed = Callable[[NDArray[np.uint8]], Any]
"""Images (b, height, width, channels) → embeddings (b, d)."""


def embed_or_refuse(embed: Embed, part: NDArray[np.uint8], width: int | None, where: str) -> NDArray[np.float32]:
    """Return checked embeddings of a batch.

    Args:
        width: d of earlier batches; `None`: this is the first.
        where: encoder, for error messages.

    Raises:
        InputError: the encoder fails, or returns no numbers of this width.
    """
    from runners.encoding import user_encoder

    try:
        output = embed(part)
    except InputError:
        raise
    except Exception as error:  # the user's own code, or images that a network cannot take
        raise InputError(
            Fault(where, f"embeddings of {len(part)} images", f"{type(error).__name__}: {error}")
        ) from error
    return user_encoder.check_embeddings(output, len(part), width, where)


def embedder(encoder: Encoder, root: Path | None, device: str | None) -> Embed:
    """Return the encoder as a function. Raises InputError if it cannot be built."""
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


def preprocessing(encoder: Encoder) -> str | None:
    """Return in words what is done to images before a packaged encoder; None for others."""
    from runners.encoding import networks

    return networks.build(encoder, None).preprocessing if encoder.packaged else None


def _progress_lines(what: str) -> Progress:
    """Return a callback that prints progress and the expected time left every few seconds."""
    lines = ProgressLines()

    def progress(done: int, total: int) -> None:
        if (left := lines.seconds_left(done, total)) is not None:
            rate = f", {(total - done) / left:.0f} images/s" if left > 0 else ""
            print_notice(f"{what}: {done:,} of {total:,} images{rate}, about {left:.0f} s left")

    return progress

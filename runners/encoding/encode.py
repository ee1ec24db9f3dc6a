"""From images to their frozen features, batch by batch into the cache."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from protocol.spec.data import Encoder
from runners.caching import Allocate, entry_folder, kept_array
from runners.caching.make_once import tell
from runners.datasets.images import Images
from runners.encoding.resolve import resolved
from runners.machine.progress_lines import Pace

Progress = Callable[[int, int], None]
"""Called with how many images are done, and how many there are."""

BATCH: Final = 256
"""Images at a time."""


def encoded(
    images: Images,
    encoder: Encoder,
    root: Path | None,
    progress: Progress | None = None,
    device: str | None = None,
    batch: int = BATCH,
) -> NDArray[np.float32]:
    """Features (n, d) of all images, read-only; computed if the cache does not have them, by one process for all.

    They are known by the digests of images and encoder and by the versions of the libraries, not by the device, whose rounding
    differs: who computes them first decides, and the records name the features by their digest.

    Args:
        images: uint8.
        encoder: with the digests of its files or without; those given must be met.
        progress: None: lines on standard error.
        device: None: CUDA where there is one.

    Raises:
        InputError: features instead of images; files that are missing, changed or unfit; an encoder that fails or gives no numbers.
    """
    if images.pixels.dtype != np.uint8:
        raise InputError(
            Fault("data.encoder", "images, uint8", f"{images.name}, which are features already", "leave it out")
        )
    known = encoder if _is_known(encoder) else resolved(encoder, root)
    told = progress or _lines(f"encoding {images.name} by {encoder.name}")

    def make(allocate: Allocate) -> None:
        _compute(images, resolved(known, root), root, allocate, told, device, batch)

    folder = entry_folder("encoded", inputs(images, known))
    what = f"{images.n:,} images of {images.name} by {encoder.name}"
    features: NDArray[np.float32] = kept_array(folder / "features.npy", what, (images.n, None), np.float32, make)
    return features


def inputs(images: Images, encoder: Encoder) -> dict[str, Any]:
    """What decides the features, but for rounding."""
    library = encoder.name.partition(":")[0]
    versions = {name: metadata.version(name) for name in ("torch", library) if encoder.own is None}
    return {
        "images": images.digest,
        "shape": list(images.pixels.shape),
        "encoder": encoder.fingerprint_content(),
        "versions": versions,
    }


def _is_known(encoder: Encoder) -> bool:
    """Whether the digests of all its files are there, so that features in the cache need none of the files."""
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
            found = embed(part)
        except InputError:
            raise
        except Exception as error:  # the user's own code, or images that a network cannot take
            raise InputError(
                Fault(where, f"embeddings of {len(part)} images", f"{type(error).__name__}: {error}")
            ) from error
        rows = user_encoder.checked(found, len(part), None if out is None else out.shape[1], where)
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
        fix = "the library fetches others now; give the file that was used"
        raise InputError(Fault(f"encoder {encoder.name}", f"weights {encoder.weights_digest}", network.digest, fix))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network.body.to(place)
    return lambda images: network(images, place)


def _lines(what: str) -> Progress:
    """Says how far it is, and how long it will take, every few seconds."""
    pace = Pace()

    def progress(done: int, total: int) -> None:
        if (left := pace.left(done, total)) is not None:
            tell(f"{what}: {done:,} of {total:,} images, about {left:.0f} s left")

    return progress

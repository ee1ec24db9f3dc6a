"""Load the data that a protocol names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.data import Data, Encoder
from runners.datasets.cards import CARDS, Card
from runners.datasets.construction import construct
from runners.datasets.downscale import downscale
from runners.datasets.file_search import Looking, Place, Seen
from runners.datasets.images import Images, Labels, content_digest
from runners.datasets.registry import LOADERS, OF_ANY_SIZE, OWN


def load(data: Data, root: Path | None) -> tuple[Images, Labels]:
    """Load images and labels of the data set that the protocol names.

    Args:
        data: name, path of the user's own files, and expected digest.
        root: folder of data sets; None: the environment variable BEATRANDOM_DATA.

    Raises:
        InputError: the name is unknown, files are missing or damaged, or the content does not have the expected digest;
            or as `runners.encoding.encoded`.
    """
    if data.name not in LOADERS:
        raise InputError(unknown_name("data.name", data.name, list(LOADERS)))
    if data.path is not None and data.name not in OWN:
        raise InputError(
            Fault(
                "data.path",
                f"no path: {data.name} is searched under --data-root",
                repr(data.path),
                f"use one of {', '.join(sorted(OWN))}",
            )
        )
    if data.size is not None and data.name not in OF_ANY_SIZE:
        fix = f"use data.resolution, or one of {', '.join(sorted(OF_ANY_SIZE))}"
        raise InputError(Fault("data.size", f"no size: images of {data.name} have one size", str(list(data.size)), fix))
    card = CARDS[data.name]
    images, labels = LOADERS[data.name](card, Place.of(root, data.path, data.size, data.resolution))
    _check_digest(images.digest, data, card)
    if data.resolution not in (None, min(images.height, images.width)):
        smaller = downscale(images, data.resolution)
        images, labels = smaller, labels.subsample(images.height // smaller.height)
    if data.construction is not None:
        images, labels = construct(images, labels, data)
    return (images, labels) if data.encoder is None else (_encode(images, labels, data.encoder, root), labels)


def locate(name: str, root: Path | None) -> Path | None:
    """Return the path of a data set's files, unread; `None` if it comes with the project.

    Raises:
        InputError: the files are missing; the message says what was searched.
    """
    card = CARDS[name]
    if not card.files:
        return None
    try:
        LOADERS[name](card, Looking.of(root, None))
    except Seen as seen:
        return seen.path
    raise RuntimeError(f"the loader of {name} does not look for its files by Place.first or Place.folder")


def _encode(images: Images, labels: Labels, encoder: Encoder, root: Path | None) -> Images:
    """Replace images by features; the digest is computed from the features."""
    from runners.encoding import encode_images  # slow to import, and seldom used

    pixels = encode_images(images, encoder, root)[:, None, None, :]
    digest = content_digest(pixels, labels.for_oracle(), images.train_size)
    return replace(images, pixels=pixels, digest=digest, source=images.pixels)


def _check_digest(digest: str, data: Data, card: Card) -> None:
    where = f"data set {data.name}: content digest"
    if twin := next((other for other in CARDS.values() if other.digest == digest and other is not card), None):
        raise InputError(
            Fault(
                where,
                card.description,
                f"the images of {twin.name}",
                f"use data set {twin.name!r} or another --data-root",
            )
        )
    faults = [
        Fault(
            f"{where} ({source})",
            expected,
            digest,
            "the files were changed or are of another version; get the original files",
        )
        for source, expected in (("the data set's card", card.digest), ("the protocol's data.digest", data.digest))
        if expected is not None and expected != digest
    ]
    if faults:
        raise InputError(faults)

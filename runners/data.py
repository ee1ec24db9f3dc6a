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
    """Images and labels of the data set that the protocol names.

    Args:
        data: name, own path and expected digest.
        root: where files lie; None: the environment's BEATRANDOM_DATA.

    Raises:
        InputError: unknown name, missing, damaged or unexpected files, or content other than the digest says; or as `encoding.encoded`.
    """
    if data.name not in LOADERS:
        raise InputError(unknown_name("data.name", data.name, list(LOADERS)))
    if data.path is not None and data.name not in OWN:
        raise InputError(
            Fault(
                "data.path",
                f"none: {data.name} is looked for under --data-root",
                repr(data.path),
                f"use one of {', '.join(sorted(OWN))}",
            )
        )
    if data.size is not None and data.name not in OF_ANY_SIZE:
        fix = f"use data.resolution, or one of {', '.join(sorted(OF_ANY_SIZE))}"
        raise InputError(Fault("data.size", f"none: images of {data.name} have one size", str(list(data.size)), fix))
    card = CARDS[data.name]
    images, labels = LOADERS[data.name](card, Place.of(root, data.path, data.size, data.resolution))
    _check_digest(images.digest, data, card)
    if data.resolution not in (None, min(images.height, images.width)):
        smaller = downscale(images, data.resolution)
        images, labels = smaller, labels.subsample(images.height // smaller.height)
    if data.construction is not None:
        images, labels = construct(images, labels, data)
    return (images, labels) if data.encoder is None else (_encoded(images, labels, data.encoder, root), labels)


def locate(name: str, root: Path | None) -> Path | None:
    """Where the files of a data set lie, which are not read; None: it comes with the project and needs none.

    Raises:
        InputError: they are not there; it says what was looked for.
    """
    card = CARDS[name]
    if not card.files:
        return None
    try:
        LOADERS[name](card, Looking.of(root, None))
    except Seen as seen:
        return seen.path
    raise RuntimeError(f"the loader of {name} does not look for its files by Place.first or Place.folder")


def _encoded(images: Images, labels: Labels, encoder: Encoder, root: Path | None) -> Images:
    """Features in the place of the images; their digest is that of their own content."""
    from runners.encoding import encode_images  # only where it is used

    pixels = encode_images(images, encoder, root)[:, None, None, :]
    digest = content_digest(pixels, labels.for_oracle(), images.train_size)
    return replace(images, pixels=pixels, digest=digest, source=images.pixels)


def _check_digest(found: str, data: Data, card: Card) -> None:
    where = f"data set {data.name}: content digest"
    if twin := next((other for other in CARDS.values() if other.digest == found and other is not card), None):
        raise InputError(
            Fault(
                where,
                card.description,
                f"the images of {twin.name}",
                f"use data set {twin.name!r} or another --data-root",
            )
        )
    faults = [
        Fault(f"{where} ({source})", expected, found, "the files were changed or are another version; get the original")
        for source, expected in (("the data set's card", card.digest), ("the protocol's data.digest", data.digest))
        if expected is not None and expected != found
    ]
    if faults:
        raise InputError(faults)

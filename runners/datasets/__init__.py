"""Data sets by name: images for everybody, labels for the oracle, content checked against the card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from protocol.errors import Fault, InputError, unknown_name
from protocol.spec import Data, Encoder, Protocol
from runners.datasets import (
    cifar,
    cifar_jpeg,
    digits,
    features,
    idx,
    medmnist,
    own,
    quartered,
    scenes,
    segmented,
    stl10,
    svhn,
    tiny_imagenet,
)
from runners.datasets.base import Images, Labels, content_digest
from runners.datasets.cards import CARDS, Card
from runners.datasets.constructed import constructed
from runners.datasets.places import Looking, Place, Seen
from runners.datasets.smaller import averaged

__all__ = ["CARDS", "OWN", "Card", "Images", "Labels", "load", "located", "refuse_other_task"]

_LOADERS: Final[dict[str, Callable[[Card, Place], tuple[Images, Labels]]]] = {
    "digits": digits.load,
    "fashion-mnist": idx.load,
    "mnist": idx.load,
    "cifar10": cifar.load10,
    "cifar100": cifar.load100,
    "cifar10-jpeg": cifar_jpeg.load,
    "svhn": svhn.load,
    "stl10": stl10.load,
    "tiny-imagenet": tiny_imagenet.load,
    "eurosat": own.load_eurosat,
    "isic2019": quartered.load_isic,
    "mio-tcd": quartered.load_miotcd,
    "medmnist": medmnist.load,
    "npz": own.load_npz,
    "features": features.load,
    "folder": own.load_folder,
    "digit-scenes": scenes.load,
    "camvid": segmented.load_camvid,
    "voc2012": segmented.load_voc,
    "voc2012-aug": segmented.load_voc_aug,
    "cityscapes": segmented.load_cityscapes,
    "masks": segmented.load_masks,
}
_OF_ANY_SIZE: Final = frozenset({"folder", "isic2019", "mio-tcd"})
"""Image files that differ in size; `data.size` says which they are brought to."""
OWN: Final = frozenset({"medmnist", "npz", "features", "folder", "masks"})
"""Data sets of the user's own files, at `data.path`."""


def load(data: Data, root: Path | None) -> tuple[Images, Labels]:
    """Images and labels of the data set that the protocol names.

    Args:
        data: name, own path and expected digest.
        root: where files lie; None: the environment's BEATRANDOM_DATA.

    Raises:
        InputError: unknown name, missing, damaged or unexpected files, or content other than the digest says; or as `encoding.encoded`.
    """
    if data.name not in _LOADERS:
        raise InputError(unknown_name("data.name", data.name, list(_LOADERS)))
    if data.path is not None and data.name not in OWN:
        raise InputError(
            Fault(
                "data.path", f"none: {data.name} is looked for under --data-root", repr(data.path), f"use one of {', '.join(sorted(OWN))}"
            )
        )
    if data.size is not None and data.name not in _OF_ANY_SIZE:
        fix = f"use data.resolution, or one of {', '.join(sorted(_OF_ANY_SIZE))}"
        raise InputError(Fault("data.size", f"none: images of {data.name} have one size", str(list(data.size)), fix))
    card = CARDS[data.name]
    images, labels = _LOADERS[data.name](card, Place.of(root, data.path, data.size, data.resolution))
    _check_digest(images.digest, data, card)
    if data.resolution not in (None, min(images.height, images.width)):
        smaller = averaged(images, data.resolution)
        images, labels = smaller, labels.sampled(images.height // smaller.height)
    if data.construction is not None:
        images, labels = constructed(images, labels, data)
    return (images, labels) if data.encoder is None else (_encoded(images, labels, data.encoder, root), labels)


def located(name: str, root: Path | None) -> Path | None:
    """Where the files of a data set lie, which are not read; None: it comes with the project and needs none.

    Raises:
        InputError: they are not there; it says what was looked for.
    """
    card = CARDS[name]
    if not card.files:
        return None
    try:
        _LOADERS[name](card, Looking.of(root, None))
    except Seen as seen:
        return seen.path
    raise RuntimeError(f"the loader of {name} does not look for its files by Place.first or Place.folder")


def _encoded(images: Images, labels: Labels, encoder: Encoder, root: Path | None) -> Images:
    """Features in the place of the images; their digest is that of their own content."""
    from runners.encoding import encoded  # only where it is used

    pixels = encoded(images, encoder, root)[:, None, None, :]
    digest = content_digest(pixels, labels.for_oracle(), images.train_size)
    return replace(images, pixels=pixels, digest=digest, source=images.pixels)


def refuse_other_task(protocol: Protocol) -> None:
    """Raise InputError if the data set's labels are not of the protocol's task."""
    card = CARDS.get(protocol.data.name)
    if card is not None and card.task != protocol.task:
        known = [name for name, other in CARDS.items() if other.task == protocol.task]
        where = f"protocol {protocol.name}: data.name"
        raise InputError(Fault(where, f"a data set for {protocol.task}: {', '.join(known)}", f"{card.name}, for {card.task}", "change one"))


def _check_digest(found: str, data: Data, card: Card) -> None:
    where = f"data set {data.name}: content digest"
    if twin := next((other for other in CARDS.values() if other.digest == found and other is not card), None):
        raise InputError(Fault(where, card.what, f"the images of {twin.name}", f"use data set {twin.name!r} or another --data-root"))
    faults = [
        Fault(f"{where} ({source})", expected, found, "the files were changed or are another version; get the original")
        for source, expected in (("the data set's card", card.digest), ("the protocol's data.digest", data.digest))
        if expected is not None and expected != found
    ]
    if faults:
        raise InputError(faults)

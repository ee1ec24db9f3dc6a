"""Loaders by the name of their data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.errors import Fault, InputError
from protocol.spec.protocol import Protocol
from runners.datasets.cards import CARDS, Card
from runners.datasets.file_search import Place
from runners.datasets.images import Images, Labels
from runners.datasets.loaders import (
    cifar,
    cifar_jpeg,
    digits,
    frozen_features,
    idx,
    isic_miotcd,
    medmnist,
    scenes,
    segmentation,
    stl10,
    svhn,
    tiny_imagenet,
    user_images,
)

LOADERS: Final[dict[str, Callable[[Card, Place], tuple[Images, Labels]]]] = {
    "digits": digits.load,
    "fashion-mnist": idx.load,
    "mnist": idx.load,
    "cifar10": cifar.load10,
    "cifar100": cifar.load100,
    "cifar10-jpeg": cifar_jpeg.load,
    "svhn": svhn.load,
    "stl10": stl10.load,
    "tiny-imagenet": tiny_imagenet.load,
    "eurosat": user_images.load_eurosat,
    "isic2019": isic_miotcd.load_isic,
    "mio-tcd": isic_miotcd.load_miotcd,
    "medmnist": medmnist.load,
    "npz": user_images.load_npz,
    "features": frozen_features.load,
    "folder": user_images.load_folder,
    "digit-scenes": scenes.load,
    "camvid": segmentation.load_camvid,
    "voc2012": segmentation.load_voc,
    "voc2012-aug": segmentation.load_voc_aug,
    "cityscapes": segmentation.load_cityscapes,
    "masks": segmentation.load_masks,
}


OF_ANY_SIZE: Final = frozenset({"folder", "isic2019", "mio-tcd"})
"""Data sets of image files that differ in size; `data.size` sets the size that they are resized to."""


OWN: Final = frozenset({"medmnist", "npz", "features", "folder", "masks"})
"""Data sets in files of the user, at `data.path`."""


def refuse_other_task(protocol: Protocol) -> None:
    """Raise InputError if the data set's labels are not of the protocol's task."""
    card = CARDS.get(protocol.data.name)
    if card is not None and card.task != protocol.task:
        suitable = [name for name, other in CARDS.items() if other.task == protocol.task]
        where = f"protocol {protocol.name}: data.name"
        raise InputError(
            Fault(
                where,
                f"a data set for {protocol.task}: {', '.join(suitable)}",
                f"{card.name}, for {card.task}",
                "change data.name or task",
            )
        )

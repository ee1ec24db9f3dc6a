"""Segmentation data sets: CamVid, PASCAL VOC 2012, Cityscapes, and the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protocol.errors import Fault, InputError
from protocol.metrics import VOID
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, read_or_refuse
from runners.datasets.images import Images, Labels
from runners.datasets.loaders.masks import average_cells, cell_for, read_pairs, sample_cells, seal_maps, size_of

_PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
_MASKS: Final = (".png", ".bmp", ".tif", ".tiff", ".gif")
_VOC_SIDE: Final = 500
"""Longest side of the images of PASCAL VOC."""
CITYSCAPES: Final = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip
"""Train ids by label id; all other label ids are void."""


def load_camvid(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load 367 training and 233 test frames in the order of the videos.

    Class 11 is void. Raises InputError.
    """
    folder = place.folder(card, ("camvid_128x96", "camvid", "CamVid", ""), "train.txt", "test.txt", "images", "labels")
    names = [_lines(folder / f"{part}.txt") for part in ("train", "test")]
    pairs = [
        (_one(folder / "images", name, _PICTURES), _one(folder / "labels", name, _MASKS))
        for part in names
        for name in part
    ]
    pixels, maps = read_pairs(pairs, str(folder))
    maps = np.where(maps == len(card.classes or ()), VOID, maps).astype(np.uint8)
    return seal_maps(card, str(folder), pixels, maps, len(names[0]), card.classes or ())


def load_voc(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load PASCAL VOC 2012 with the lists train and val of ImageSets/Segmentation.

    Val is the test set.

    Images are padded with black to 500×500, and masks with void. Raises InputError.
    """
    return _voc(card, place, "train", "SegmentationClass")


def load_voc_aug(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load PASCAL VOC 2012 with the training masks of SBD.

    The list is trainaug, the masks are in SegmentationClassAug.
    """
    return _voc(card, place, "trainaug", "SegmentationClassAug")


def _voc(card: Card, place: Place, train: str, masks: str) -> tuple[Images, Labels]:
    tried = ("VOCdevkit/VOC2012", "VOC2012", "voc2012", "")
    folder = place.folder(card, tried, "JPEGImages", masks, f"ImageSets/Segmentation/{train}.txt")
    names = [_lines(folder / "ImageSets" / "Segmentation" / f"{part}.txt") for part in (train, "val")]
    pairs = [(folder / "JPEGImages" / f"{n}.jpg", folder / masks / f"{n}.png") for part in names for n in part]
    cell = cell_for(card.name, _VOC_SIDE, _VOC_SIDE, place.resolution)
    side = _VOC_SIDE // cell
    pixels, maps = np.zeros((len(pairs), side, side, 3), np.uint8), np.empty((len(pairs), side, side), np.uint8)
    for i, (picture, mask) in enumerate(pairs):
        image, labels = _pad(picture, mask)
        pixels[i], maps[i] = average_cells(image, cell), sample_cells(labels, cell)
    return seal_maps(card, str(folder), pixels, maps, len(names[0]), card.classes or ())


def load_cityscapes(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load Cityscapes from leftImg8bit and gtFine. Raises InputError.

    `val` is the test set, since the labels of `test` are not public.
    """
    folder = place.folder(
        card, ("cityscapes", "Cityscapes", ""), "leftImg8bit/train", "gtFine/train", "leftImg8bit/val", "gtFine/val"
    )
    parts = [sorted((folder / "leftImg8bit" / part).glob("*/*_leftImg8bit.png")) for part in ("train", "val")]
    if not all(parts):
        raise InputError(
            Fault(
                str(folder),
                "<city>/*_leftImg8bit.png in train and val",
                f"{len(parts[0])} in train, {len(parts[1])} in val",
                "unpack it again",
            )
        )
    pairs = [(p, _ground_truth(folder, p)) for part in parts for p in part]
    height, width = size_of(pairs[0][0])
    pixels, ids = read_pairs(pairs, str(folder), cell_for(card.name, height, width, place.resolution))
    table = np.full(256, VOID, np.uint8)
    table[list(CITYSCAPES)] = list(CITYSCAPES.values())
    return seal_maps(card, str(folder), pixels, table[ids], len(parts[0]), card.classes or ())


def load_masks(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load the user's images and masks, in the order of their names. Raises InputError.

    Images are in `<path>/images`, masks of equal names in `<path>/masks`, or both below `train` and `test`.
    `classes.txt` names the classes. Masks hold class numbers from 0, and 255 for void.
    """
    path = place.own(card)
    parts = [path / "train", path / "test"] if (path / "train").is_dir() else [path]
    listed = [_own_pairs(part) for part in parts]
    if not (path / "classes.txt").is_file():
        raise InputError(
            Fault(str(path), "classes.txt, one name per line in the order of the numbers", "no such file", card.origin)
        )
    pairs = [pair for part in listed for pair in part]
    pixels, maps = read_pairs(pairs, str(path), upright=True)
    return seal_maps(card, str(path), pixels, maps, len(listed[0]), _lines(path / "classes.txt"))


def _own_pairs(part: Path) -> list[tuple[Path, Path]]:
    faults, pairs = [], []
    for name in ("images", "masks"):
        if not (part / name).is_dir():
            faults.append(
                Fault(
                    str(part),
                    "folders images and masks",
                    f"no folder {name}",
                    "put images and masks in one folder each",
                )
            )
    if faults:
        raise InputError(faults)
    pictures = sorted(p for p in (part / "images").iterdir() if p.suffix.lower() in _PICTURES)
    masks = {p.stem: p for p in (part / "masks").iterdir() if p.suffix.lower() in _MASKS}
    for picture in pictures:
        if picture.stem in masks:
            pairs.append((picture, masks.pop(picture.stem)))
        else:
            faults.append(
                Fault(str(picture), f"a mask {part / 'masks' / picture.stem}.png", "none", "add it or remove the image")
            )
    faults += [
        Fault(str(mask), f"an image of the same name in {part / 'images'}", "none", "add it or remove the mask")
        for mask in masks.values()
    ]
    if not pictures:
        faults.append(Fault(str(part / "images"), f"images ({', '.join(_PICTURES)})", "none"))
    if faults:
        raise InputError(faults[:8])
    return pairs


def _ground_truth(folder: Path, picture: Path) -> Path:
    stem = picture.name.removesuffix("_leftImg8bit.png")
    return folder / "gtFine" / picture.parts[-3] / picture.parts[-2] / f"{stem}_gtFine_labelIds.png"


def _pad(picture: Path, mask: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    def read() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        with Image.open(picture) as one, Image.open(mask) as other:
            image, labels = np.asarray(one.convert("RGB")), np.asarray(other, np.uint8)
        if image.shape[:2] != labels.shape or max(labels.shape) > _VOC_SIDE:
            found = f"{image.shape[:2]} and {labels.shape}"
            raise InputError(
                Fault(
                    str(mask),
                    f"a mask of its image's size, with sides of at most {_VOC_SIDE} pixels",
                    found,
                    "get it again",
                )
            )
        room = [(0, _VOC_SIDE - size) for size in labels.shape]
        return np.pad(image, [*room, (0, 0)]), np.pad(labels, room, constant_values=VOID)

    both: tuple[NDArray[np.uint8], NDArray[np.uint8]] = read_or_refuse(picture, read, "an image and its mask")
    return both


def _one(folder: Path, name: str, endings: tuple[str, ...]) -> Path:
    file = next((folder / f"{name}{end}" for end in endings if (folder / f"{name}{end}").is_file()), None)
    if file is None:
        raise InputError(Fault(str(folder), f"{name} ({', '.join(endings)})", "no such file", "get the data set again"))
    return file


def _lines(path: Path) -> list[str]:
    text: str = read_or_refuse(path, lambda: path.read_text(encoding="utf-8"), "a list, one name per line")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise InputError(Fault(str(path), "names, one per line", "none", "get the file again"))
    return names

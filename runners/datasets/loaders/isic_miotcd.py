"""ISIC-2019 and MIO-TCD as distributed.

The test labels of these challenges are not public. So a quarter of the training images is the test set, drawn once as
in the public code of Lüth et al. (arXiv 2301.10625), with NumPy's default generator and seed 12345.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.decoding import decode
from runners.datasets.file_search import Place, read_or_refuse
from runners.datasets.images import Images, Labels, seal
from runners.datasets.loaders.user_images import pictures

SIDE: Final = 224
"""Height and width in pixels if the protocol does not set data.size."""
_SEED: Final = 12345
_MOST: Final = 8
_TABLE: Final = "ISIC_2019_Training_GroundTruth.csv"
_PICTURES: Final = "ISIC_2019_Training_Input"


def load_isic(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load images of skin lesions, in the order of the ground-truth table. Raises InputError."""
    folders = ("ISIC-2019", "ISIC_2019", "isic-2019", "isic2019", _PICTURES, "")
    tried = [(_TABLE,), (f"{_TABLE.removesuffix('.csv')}/{_TABLE}",)]
    (table,) = place.first(card, tried, folders)
    names, classes = _ground_truth(table, card.classes or ())
    root = table.parent if table.parent.name != table.stem else table.parent.parent
    nested = root / _PICTURES / _PICTURES  # the layout of some archives
    folder = next((f for f in (nested, root / _PICTURES) if f.is_dir()), root)
    files = [folder / f"{name}.jpg" for name in names]
    if missing := [file.name for file in files if not file.is_file()]:
        found = f"{len(missing)} missing: {', '.join(missing[:_MOST])}"
        raise InputError(Fault(str(folder), f"the {len(files):,} images of {_TABLE}", found, "unpack all of it"))
    return _split_quarter(card, place, str(root), files, np.asarray(classes, np.int64))


def load_miotcd(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load images of traffic cameras, in the order of classes and file names. Raises InputError."""
    root = place.folder(
        card, ("MIO-TCD-Classification", "MIO-TCD/MIO-TCD-Classification", "MIO-TCD", "mio-tcd", ""), "train"
    )
    classes = card.classes or ()
    listed = [pictures(root / "train" / name) for name in classes]
    if empty := [name for name, files in zip(classes, listed, strict=True) if not files]:
        found = f"none in {', '.join(empty)}"
        raise InputError(
            Fault(
                str(root / "train"), f"a folder of images for each of {', '.join(classes)}", found, "unpack all of it"
            )
        )
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in listed])
    return _split_quarter(card, place, str(root), [file for files in listed for file in files], labels)


def quarter(images: int) -> NDArray[np.bool_]:
    """Return (images,) bool, which images are the test set."""
    test = np.zeros(images, bool)
    test[np.random.default_rng(_SEED).choice(images, size=images // 4, replace=False)] = True
    return test


def _split_quarter(
    card: Card, place: Place, where: str, files: Sequence[Path], labels: NDArray[np.int64]
) -> tuple[Images, Labels]:
    test = quarter(len(files))
    order = np.concatenate([np.flatnonzero(~test), np.flatnonzero(test)])
    pixels = decode([files[i] for i in order], place.size or (SIDE, SIDE), grey=False)
    return seal(card, where, pixels, labels[order], int((~test).sum()), card.classes)


def _ground_truth(table: Path, classes: Sequence[str]) -> tuple[list[str], list[int]]:
    """Read names and class numbers of the images.

    Raises InputError with the first invalid lines.
    """
    text = read_or_refuse(table, lambda: table.read_text(encoding="utf-8-sig"), "a table (CSV)")
    rows = list(csv.reader(io.StringIO(text)))
    head = [cell.strip() for cell in rows[0]] if rows else []
    if head[: len(classes) + 1] != ["image", *classes]:
        raise InputError(
            Fault(
                f"{table}: 1",
                f"columns image, {', '.join(classes)}",
                ", ".join(head) or "nothing",
                "get the file again",
            )
        )
    names, numbers, faults = [], [], []
    for line, row in enumerate(rows[1:], 2):
        ones = [k for k, cell in enumerate(row[1 : len(head)]) if cell.strip() in ("1", "1.0")]
        if not row:
            continue
        if len(row) < len(head) or len(ones) != 1 or ones[0] >= len(classes):
            faults.append(
                Fault(
                    f"{table}: {line}",
                    "a name, and 1.0 in exactly one class column",
                    ",".join(row)[:80],
                    "get the file again",
                )
            )
            continue
        names.append(row[0].strip())
        numbers.append(ones[0])
    if faults or not names:
        raise InputError(faults[:_MOST] or [Fault(str(table), "one line per image", "none", "get the file again")])
    return names, numbers

"""Tiny ImageNet as distributed.

The validation images, whose labels are public, are the test set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.decoding import decode
from runners.datasets.file_search import Place, read_or_refuse
from runners.datasets.images import Images, Labels, seal
from runners.datasets.loaders.user_images import pictures


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load colour images of 64×64; the few grey ones are converted. Raises InputError.

    Classes are WordNet ids, in the order of `wnids.txt`.
    """
    folders = ("tiny-imagenet-200", "tiny-imagenet/tiny-imagenet-200", "tiny-imagenet", "")
    wnids, notes = place.first(card, (("wnids.txt", "val/val_annotations.txt"),), folders)
    root = wnids.parent
    classes = read_or_refuse(wnids, lambda: wnids.read_text(encoding="ascii").split(), "a list of WordNet ids")
    number = {name: k for k, name in enumerate(classes)}
    train = [(file, k) for name, k in number.items() for file in pictures(root / "train" / name / "images")]
    rows = [
        line.split()
        for line in read_or_refuse(notes, lambda: notes.read_text(encoding="ascii").splitlines(), "a table")
        if line.strip()
    ]
    if invalid := [words for words in rows if len(words) < 2 or words[1] not in number]:
        raise InputError(
            Fault(str(notes), "one file and one class per line", " ".join(invalid[0]), "get the file again")
        )
    test = sorted((root / "val" / "images" / words[0], number[words[1]]) for words in rows)
    _refuse_missing(root, train, [file for file, _ in test])
    files, labels = zip(*train, *test, strict=True)
    pixels = decode(files, (64, 64), grey=False)
    return seal(card, str(root), pixels, np.asarray(labels, np.int64), len(train), classes)


def _refuse_missing(root: Path, train: list[tuple[Path, int]], test: list[Path]) -> None:
    if not train:
        raise InputError(Fault(str(root / "train"), "<class>/images/*.JPEG", "no images", "unpack all of it"))
    if missing := [file for file in test if not file.is_file()]:
        raise InputError(
            Fault(str(root / "val"), "every image of val_annotations.txt", f"no {missing[0].name}", "unpack all of it")
        )

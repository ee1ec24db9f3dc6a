"""Which files an encoder is made of, and their digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from protocol.data import PRETRAINED, Encoder
from protocol.errors import Fault, InputError
from runners.datasets.places import DATA_VARIABLE


def found(path: str, root: Path | None, where: str) -> Path:
    """The file, under the data root or else here. Raises InputError that says where it was looked for."""
    given = os.environ.get(DATA_VARIABLE)
    root = root if root is not None else Path(given) if given else None
    places = [*([root / path] if root is not None else []), Path(path)]
    for place in places:
        if place.is_file():
            return place
    fix = "check the path; relative ones start at --data-root, or else here"
    raise InputError(Fault(where, "a file", f"nothing at {' or '.join(map(str, dict.fromkeys(places)))}", fix))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def resolved(encoder: Encoder, root: Path | None) -> Encoder:
    """The encoder with the digests of its files filled in.

    Raises:
        InputError: a file that is not there, or is not the one whose digest is given; all of them at once.
    """
    faults: list[Fault] = []
    digests: dict[str, str] = {}
    for field, path in (("source_digest", encoder.own), ("weights_digest", encoder.weights_file)):
        where = f"encoder {encoder.name}: {field.removesuffix('_digest')}"
        if path is None:
            continue
        try:
            digest = file_digest(found(path, root, where))
        except InputError as error:
            faults += error.faults
            continue
        expected = getattr(encoder, field)
        if expected not in (None, digest):
            fix = f"restore the file, or leave {field} out; other files are another comparison"
            faults.append(Fault(where, f"a file with digest {expected[:16]}", f"{path} with {digest[:16]}", fix))
        digests[field] = digest
    if faults:
        raise InputError(faults)
    if encoder.weights == PRETRAINED and encoder.weights_digest is None:
        from runners.encoding.networks import build  # brings torch

        digests["weights_digest"] = build(encoder, root).digest
    return encoder.model_copy(update=digests)

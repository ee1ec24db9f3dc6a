"""Find the files of an encoder and their digests."""

from __future__ import annotations

import os
from pathlib import Path

from protocol.errors import Fault, InputError
from protocol.spec.data import PRETRAINED, Encoder
from runners.datasets.files import file_digest, find_file
from runners.encoding.packaged import weights_of


def resolve_files(encoder: Encoder, root: Path | None, study_folder: Path | None = None) -> Encoder:
    """Return the encoder with the digests of its files filled in.

    Args:
        study_folder: folder of the study file. A file found only there is afterwards named relative to the working
            directory, so that runs find it.

    Raises:
        InputError: files that are missing or do not match their given digest; all of them at once.
    """
    faults: list[Fault] = []
    digests: dict[str, str] = {}
    name, weights = encoder.name, encoder.weights
    packaged = str(weights_of(name)) if encoder.packaged else None
    for field, path in (("source_digest", encoder.own), ("weights_digest", packaged or encoder.weights_file)):
        where = f"encoder {encoder.name}: {field.removesuffix('_digest')}"
        if path is None:
            continue
        try:
            file = find_file(path, root, where, study_folder)
            digest = file_digest(file)
        except InputError as error:
            faults += error.faults
            continue
        if packaged is None and study_folder is not None and file == study_folder / path and file != Path(path):
            named = os.path.relpath(file)
            name, weights = (named + name[len(path) :], weights) if field == "source_digest" else (name, named)
        expected = getattr(encoder, field)
        if expected not in (None, digest):
            fix = f"restore the file, or leave {field} out; another file makes another comparison"
            faults.append(Fault(where, f"a file with digest {expected[:16]}", f"{path} with {digest[:16]}", fix))
        digests[field] = digest
    if faults:
        raise InputError(faults)
    if encoder.weights == PRETRAINED and encoder.weights_digest is None:
        from runners.encoding.networks import build  # brings torch

        digests["weights_digest"] = build(encoder, root).digest
    return encoder.model_copy(update=digests | {"name": name, "weights": weights})

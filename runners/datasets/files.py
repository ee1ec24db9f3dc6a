"""Find files and compute their digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from protocol.errors import Fault, InputError
from runners.datasets.file_search import DATA_VARIABLE


def find_file(path: str, root: Path | None, where: str, study_folder: Path | None = None) -> Path:
    """Find a file under the data root, in the working directory, or next to the study file.

    Args:
        study_folder: folder of the study file.

    Raises:
        InputError: no such file; names the places that were searched.
    """
    given = os.environ.get(DATA_VARIABLE)
    root = root if root is not None else Path(given) if given else None
    places = [
        *([root / path] if root is not None else []),
        Path(path),
        *([study_folder / path] if study_folder is not None else []),
    ]
    for place in places:
        if place.is_file():
            return place
    fix = "check the path; relative paths start at --data-root, the working directory, or the folder of the study file"
    raise InputError(Fault(where, "a file", f"nothing at {' or '.join(map(str, dict.fromkeys(places)))}", fix))


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()

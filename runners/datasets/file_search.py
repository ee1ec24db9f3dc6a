"""Search for the files of a data set, and read them with errors that a user can act on."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card

DATA_VARIABLE = "BEATRANDOM_DATA"
MOST_FAULTS = 8
NOTHING = "none of them"
"""End of a fault's `found` if no file of the data set was found."""


@dataclass(frozen=True)
class Place:
    """Place of a data set's files, and the size that they are read at.

    Attributes:
        root: data root; `None`: not given.
        path: the protocol's `data.path`.
        size: height and width that image files are resized to; `None`: not resized.
        resolution: shorter side after downscaling, for loaders of files too large to be held in full.
    """

    root: Path | None
    path: str | None
    size: tuple[int, int] | None = None
    resolution: int | None = None

    @classmethod
    def of(
        cls, root: Path | None, path: str | None, size: tuple[int, int] | None = None, resolution: int | None = None
    ) -> Place:
        """Build a place with the given data root, else with that of the environment."""
        given = os.environ.get(DATA_VARIABLE)
        return cls(root if root is not None else Path(given) if given else None, path, size, resolution)

    def own(self, card: Card) -> Path:
        """Return the user's own file or folder.

        Raises InputError if it is not named or does not exist.
        """
        where = f"data set {card.name}: data.path"
        if self.path is None:
            raise InputError(Fault(where, card.files[0], "nothing", card.origin))
        path = (self.root or Path()) / self.path
        if not path.exists():
            fix = (
                "relative paths start at --data-root"
                if self.root
                else f"without --data-root, relative paths start at {Path.cwd()}"
            )
            raise InputError(Fault(where, "a file or folder that exists", f"nothing at {path}", fix))
        return path

    def first(self, card: Card, candidates: Iterable[tuple[str, ...]], folders: Iterable[str]) -> list[Path]:
        """Return the files of the first complete layout, in order.

        Args:
            candidates: layouts, each a tuple of file names that belong together.
            folders: folders under the root that may hold a layout.

        Raises:
            InputError: no layout is complete; lists what was searched for and where to get it.
        """
        tried = [(folder, names) for folder in folders for names in candidates]
        if self.root is not None:
            for folder, names in tried:
                paths = [self.root / folder / name for name in names]
                if all(path.is_file() for path in paths):
                    return paths
        raise InputError(self._missing(card, tried))

    def folder(self, card: Card, candidates: Iterable[str], *inside: str) -> Path:
        """Return the first folder under the root that contains all of `inside`.

        Args:
            inside: names of files if they have an extension, else of folders.

        Raises:
            InputError: no folder contains them.
        """
        candidates = list(candidates)
        for name in candidates if self.root is not None else ():
            if self.root is not None and all(_exists(self.root / name / entry) for entry in inside):
                return self.root / name
        raise InputError(self._missing(card, [(name, inside) for name in candidates]))

    def _missing(self, card: Card, tried: list[tuple[str, tuple[str, ...]]]) -> Fault:
        fix = f"get it from {card.origin}; then give its place with --data-root or {DATA_VARIABLE}"
        layouts = "\n            ".join(card.files)
        if self.root is None:
            return Fault(f"data set {card.name}", f"a data root with\n            {layouts}", "no --data-root", fix)
        if not self.root.is_dir():
            return Fault(
                f"data set {card.name}", f"a data root with\n            {layouts}", f"no folder {self.root}", fix
            )
        present = sorted({str(Path(f) / n) for f, names in tried for n in names if (self.root / f / n).exists()})
        found = f"under {self.root}: " + (f"only {', '.join(present)}" if present else NOTHING)
        return Fault(f"data set {card.name}", layouts, found, fix)


def _exists(path: Path) -> bool:
    """Return whether the file (if the name has an extension) or the folder exists."""
    return path.is_file() if path.suffix else path.is_dir()


class Seen(Exception):  # not an error: it stops the loader before it reads
    """Signal from `Looking` with the path that a loader would have read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(str(path))


class Looking(Place):
    """Place that stops a loader when it has found its files, before it reads them."""

    def first(self, card: Card, candidates: Iterable[tuple[str, ...]], folders: Iterable[str]) -> list[Path]:
        """Raise Seen with the folder of the files, or InputError as in `Place.first`."""
        raise Seen(super().first(card, candidates, folders)[0].parent)

    def folder(self, card: Card, candidates: Iterable[str], *inside: str) -> Path:
        """Raise Seen with the folder, or InputError as in `Place.folder`."""
        raise Seen(super().folder(card, candidates, *inside))


def first_faults(faults: Sequence[Fault], where: str) -> list[Fault]:
    """Return the first few faults and the number of the others, of perhaps thousands."""
    more = len(faults) - MOST_FAULTS
    return [
        *faults[:MOST_FAULTS],
        *([Fault(where, "none of these faults", f"{more:,} more", "fix all of them")] if more > 0 else []),
    ]


def read_or_refuse(path: Path, read: Callable[[], Any], what: str) -> Any:
    """Return `read()`, or raise InputError that the file is not `what`.

    A damaged file may make its decoder raise any exception (OSError, EOFError, zlib.error, BadZipFile, ValueError,
    KeyError, MemoryError, …), so all exceptions except InputError are converted.
    """
    try:
        return read()
    except InputError:
        raise
    except IsADirectoryError:
        raise InputError(
            Fault(str(path), what, "a folder", "name the file; a folder of images is data set 'folder'")
        ) from None
    except FileNotFoundError:
        found = "a broken link" if path.is_symlink() else "no such file"
        raise InputError(Fault(str(path), what, found, "restore the file, or remove its name")) from None
    except PermissionError:
        raise InputError(Fault(str(path), what, "no permission to read it", "change its permissions")) from None
    except Exception as error:
        raise InputError(
            Fault(
                str(path),
                what,
                f"{type(error).__name__}: {error}",
                "the file is damaged or of another kind; get it again",
            )
        ) from None


def npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file, without unpickling. Raises InputError."""

    what = "an .npz of plain arrays"

    def read() -> dict[str, NDArray[Any]]:
        with path.open("rb") as raw:  # opened here, because NumPy does not close damaged files
            if not zipfile.is_zipfile(raw):  # NumPy would report a pickle
                fix = "write it with numpy.savez, or get it again"
                raise InputError(Fault(str(path), what, "not a zip archive", fix))
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                return {key: _plain(path, key, file) for key in file.files}

    arrays: dict[str, NDArray[Any]] = read_or_refuse(path, read, what)
    return arrays


def _plain(path: Path, key: str, file: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    try:
        return file[key]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        fix = "store numbers (numpy.asarray(values, int)); store class names as text in the array classes"
        raise InputError(
            Fault(f"{path}: {key}", "numbers or text", "Python objects, which could run code", fix)
        ) from None

"""Where files are looked for, and the error that says so when they are not there."""

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
"""How a fault ends that found nothing of what it looked for."""


@dataclass(frozen=True)
class Place:
    """Where to look: the data root (None: none given) and the protocol's own path.

    `resolution` is the shorter side wanted, for loaders of files too large to be held as they are.
    """

    root: Path | None
    path: str | None
    size: tuple[int, int] | None = None
    """Height and width that image files are brought to; None: as they are."""
    resolution: int | None = None

    @classmethod
    def of(
        cls, root: Path | None, path: str | None, size: tuple[int, int] | None = None, resolution: int | None = None
    ) -> Place:
        """The root given, else the environment's."""
        given = os.environ.get(DATA_VARIABLE)
        return cls(root if root is not None else Path(given) if given else None, path, size, resolution)

    def own(self, card: Card) -> Path:
        """The user's own file or folder. Raises InputError if it is not named or not there."""
        where = f"data set {card.name}: data.path"
        if self.path is None:
            raise InputError(Fault(where, card.files[0], "nothing", card.origin))
        path = (self.root or Path()) / self.path
        if not path.exists():
            fix = (
                "relative paths start at --data-root"
                if self.root
                else f"without --data-root, relative paths start here: {Path.cwd()}"
            )
            raise InputError(Fault(where, "a file or folder that exists", f"nothing at {path}", fix))
        return path

    def first(self, card: Card, candidates: Iterable[tuple[str, ...]], folders: Iterable[str]) -> list[Path]:
        """The files of the first layout that is there whole, in order.

        Args:
            candidates: layouts, each a tuple of file names that belong together.
            folders: folders under the root where a layout may lie.

        Raises:
            InputError: no layout is there; says everything that was looked for and where to get it.
        """
        tried = [(folder, names) for folder in folders for names in candidates]
        if self.root is not None:
            for folder, names in tried:
                paths = [self.root / folder / name for name in names]
                if all(path.is_file() for path in paths):
                    return paths
        raise InputError(self._missing(card, tried))

    def folder(self, card: Card, candidates: Iterable[str], *inside: str) -> Path:
        """The first of the folders under the root that holds all of `inside`: folders, or files if they have an ending.

        Raises:
            InputError: none does.
        """
        candidates = list(candidates)
        for name in candidates if self.root is not None else ():
            if self.root is not None and all(_is_there(self.root / name / entry) for entry in inside):
                return self.root / name
        raise InputError(self._missing(card, [(name, inside) for name in candidates]))

    def _missing(self, card: Card, tried: list[tuple[str, tuple[str, ...]]]) -> Fault:
        fix = f"get it from {card.origin}; then give its place with --data-root or {DATA_VARIABLE}"
        looked = "\n            ".join(card.files)
        if self.root is None:
            return Fault(f"data set {card.name}", f"a data root with\n            {looked}", "no --data-root", fix)
        if not self.root.is_dir():
            return Fault(
                f"data set {card.name}", f"a data root with\n            {looked}", f"no folder {self.root}", fix
            )
        there = sorted({str(Path(f) / n) for f, names in tried for n in names if (self.root / f / n).exists()})
        found = f"under {self.root}: " + (f"only {', '.join(there)}" if there else NOTHING)
        return Fault(f"data set {card.name}", looked, found, fix)


def _is_there(path: Path) -> bool:
    """A file if the name has an ending, else a folder."""
    return path.is_file() if path.suffix else path.is_dir()


class Seen(Exception):  # no error: it ends the loader where it would begin to read
    """Raised by `Looking` with what a loader would have read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(str(path))


class Looking(Place):
    """A place where a loader finds its files and is stopped before it reads them."""

    def first(self, card: Card, candidates: Iterable[tuple[str, ...]], folders: Iterable[str]) -> list[Path]:
        """Raises Seen with the folder of the files, or InputError as `Place.first` does."""
        raise Seen(super().first(card, candidates, folders)[0].parent)

    def folder(self, card: Card, candidates: Iterable[str], *inside: str) -> Path:
        """Raises Seen with the folder, or InputError as `Place.folder` does."""
        raise Seen(super().folder(card, candidates, *inside))


def first_faults(faults: Sequence[Fault], where: str) -> list[Fault]:
    """The first few, and how many more there are: thousands of files can have the same fault."""
    more = len(faults) - MOST_FAULTS
    return [
        *faults[:MOST_FAULTS],
        *([Fault(where, "none of these faults", f"{more:,} more", "mend them all")] if more > 0 else []),
    ]


def read_or_refuse(path: Path, read: Callable[[], Any], what: str) -> Any:
    """`read()`, or InputError that says the file is not `what`.

    A damaged file makes its decoder raise nearly anything (OSError, EOFError, zlib.error, BadZipFile,
    ValueError, KeyError, MemoryError …), so everything but our own errors is caught.
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
        found = "a link to nothing" if path.is_symlink() else "no such file"
        raise InputError(Fault(str(path), what, found, "restore what it names, or remove it")) from None
    except PermissionError:
        raise InputError(Fault(str(path), what, "it may not be read", "change its permissions")) from None
    except Exception as error:
        raise InputError(
            Fault(
                str(path),
                what,
                f"{type(error).__name__}: {error}",
                "the file is damaged or something else; get it again",
            )
        ) from None


def npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, without unpickling. Raises InputError."""

    what = "an .npz of plain arrays"

    def read() -> dict[str, NDArray[Any]]:
        with path.open("rb") as raw:  # opened here, as NumPy leaves damaged files open
            if not zipfile.is_zipfile(raw):  # NumPy would call it a pickle
                fix = "write it by numpy.savez, or get it again"
                raise InputError(Fault(str(path), what, "no zip archive, which every .npz is", fix))
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
        fix = "store numbers (numpy.asarray(values, int)); names of classes go, as text, into the array classes"
        raise InputError(
            Fault(f"{path}: {key}", "numbers or text", "Python objects, which could run code", fix)
        ) from None

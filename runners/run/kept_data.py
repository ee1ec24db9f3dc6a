"""Data sets that a process has read, kept for its next runs. This module must not import torch."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.spec.data import Data
from runners.data import load
from runners.datasets import Images
from runners.datasets.images import Labels
from runners.guard.opened_files import record_opened_files

_MOST: Final = 2
"""Data sets kept at once."""


@dataclass(frozen=True)
class ReadData:
    """A data set, and the files it was read from."""

    images: Images
    labels: Labels
    files: frozenset[str]


class Shelf:
    """Data sets by what the protocol says of them; the same objects for every run, which change none of them.

    Labels are among them, so a shelf is only for processes that run the project's own strategies.
    """

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[str, Path | None], ReadData] = OrderedDict()

    def load(self, data: Data, root: Path | None) -> ReadData:
        """Return a data set, read now or before. Raises InputError as `runners.data.load`."""
        key = (data.model_dump_json(), root)
        if key not in self._read:
            while len(self._read) >= _MOST:
                self._read.popitem(last=False)
            self._read[key] = read_data(data, root)
        self._read.move_to_end(key)
        return self._read[key]

    def clear(self) -> None:
        """Forget everything, before code that is not the project's own runs here."""
        self._read.clear()


def read_data(data: Data, root: Path | None) -> ReadData:
    """Read a data set. Raises InputError as `runners.data.load`."""
    with record_opened_files() as files:
        images, labels = load(data, root)
    return ReadData(images, labels, frozenset(files))

"""Data set cards: what each data set is, what it must contain, and where it comes from.

The facts lie in cards.toml.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Card:
    """Facts about one data set; `None` where the user's own files decide.

    Attributes:
        name: the value of `data.name` that selects it.
        description: what it is, in one line.
        licence: terms of use.
        citation: the publication to cite.
        files: file layouts searched for under --data-root, one per entry; empty for data that needs no files.
        origin: where to get the files.
        n_train: number of training images.
        n_test: number of images in the official test set; 0 without one.
        classes: class names in the order of the class numbers.
        shape: height, width, channels.
        digest: SHA-256 of the content (`images.content_digest`); `None` where it is unknown and recorded as found.
        task: what its labels are for.
    """

    name: str
    description: str
    licence: str
    citation: str
    files: tuple[str, ...]
    origin: str
    n_train: int | None = None
    n_test: int | None = None
    classes: tuple[str, ...] | None = None
    shape: tuple[int, int, int] | None = None
    digest: str | None = None
    task: Literal["classification", "segmentation"] = "classification"


def read_cards(text: str) -> dict[str, Card]:
    """Parse cards from TOML: one table per data set, headed by its name.

    Raises:
        pydantic.ValidationError: a card lacks a field, or has an unknown one or one of another type.
    """
    tables: dict[str, Any] = tomllib.loads(text)
    named = {name: {"name": name, **table} for name, table in tables.items()}
    return TypeAdapter(dict[str, Card]).validate_python(named)


CARDS: Final[dict[str, Card]] = read_cards(files("runners.datasets").joinpath("cards.toml").read_text("utf-8"))
"""Cards by the name of the data set."""

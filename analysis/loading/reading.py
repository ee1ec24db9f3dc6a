"""A table on its way to the project's columns: its cells, what was said, and the use of each column of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass
class Reading:
    """Text cells of one or several files, and how they are understood so far.

    Attributes:
        where: Name of the table in error messages.
        frame: Text cells; missing ones are NaN.
        header: Whether the file names its columns.
        notes: Guesses and changes, in the order in which they were made.
        uses: Column of the file -> what it is used as, and why. Columns that are not here are not used.
        raw: The cells as they were read, to describe the columns.
    """

    where: str
    frame: pd.DataFrame
    header: bool = True
    notes: list[str] = field(default_factory=list)
    uses: dict[str, tuple[str, str]] = field(default_factory=dict)
    raw: pd.DataFrame = field(default_factory=pd.DataFrame)

    def rename(self, names: Mapping[str, str], why: str) -> None:
        """Give columns their roles.

        Args:
            names: Present name -> role.
            why: What the role rests on, for example "by its name".
        """
        self.frame = self.frame.rename(columns=dict(names))
        self.use(names, why)

    def use(self, names: Mapping[str, str], why: str) -> None:
        """Note what columns are used as, without renaming them."""
        self.uses |= {column: (role, why) for column, role in names.items() if column in self.raw}

    def leave_out(self, columns: Iterable[str], why: str) -> None:
        """Drop columns, and note why."""
        columns = list(columns)
        self.frame = self.frame.drop(columns=columns)
        self.use(dict.fromkeys(columns, ""), why)

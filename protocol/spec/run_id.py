"""Identity of one run: protocol, strategy, and seed."""

from __future__ import annotations

from typing import NamedTuple


class RunId(NamedTuple):
    """Names of a run's protocol and strategy, and its seed.

    Examples:
        >>> str(RunId("digits-plain", "entropy", 3))
        'digits-plain/entropy/seed-3'
        >>> RunId.parse("digits-plain/entropy/seed-3").seed
        3
    """

    protocol: str
    strategy: str
    seed: int

    def __str__(self) -> str:
        return f"{self.protocol}/{self.strategy}/seed-{self.seed}"

    @classmethod
    def parse(cls, text: str) -> RunId:
        """Parse `protocol/strategy/seed-n`. Raises ValueError if the text has another form."""
        parts = text.rsplit("/", 2)
        number = parts[-1].removeprefix("seed-")
        if len(parts) != 3 or number == parts[-1] or not number.isdecimal():
            raise ValueError(f"expected protocol/strategy/seed-n, found {text!r}")
        return cls(parts[0], parts[1], int(number))

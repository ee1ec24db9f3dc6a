"""Error of a strategy's own code, defined without loading torch."""

from __future__ import annotations

from protocol.errors import BeatRandomError


class StrategyError(BeatRandomError):
    """A strategy broke the contract: it raised, read what it did not declare, or returned a bad selection."""

"""Format single numbers: signs, digits, p-values, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final


def jsonable(value: Any) -> Any:
    """Replace NaN and infinity, which JSON cannot hold, by None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


NOTHING: Final = "–"


def signed(value: float) -> str:
    """Format a difference with its sign and four decimals: +0.0123."""
    return f"{value:+.4f}" if math.isfinite(value) else NOTHING


def plain(value: float) -> str:
    """Format a value with four decimals: 0.8123."""
    return f"{value:.4f}" if math.isfinite(value) else NOTHING


def p_value(value: float) -> str:
    """Format a p-value with four decimals, or as <0.0001."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def span(low: float, high: float, number: Callable[[float], str] = signed) -> str:
    """Format an interval as [low, high], or a dash if one run gives no interval."""
    return f"[{number(low)}, {number(high)}]" if math.isfinite(low) and math.isfinite(high) else NOTHING

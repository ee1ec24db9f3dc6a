"""Format single numbers: signs, digits, p-values, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final


def jsonable(value: Any) -> Any:
    """JSON knows neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


NOTHING: Final = "–"


def signed(value: float) -> str:
    """A difference with its sign and four decimals: +0.0123."""
    return f"{value:+.4f}" if math.isfinite(value) else NOTHING


def plain(value: float) -> str:
    """A level with four decimals: 0.8123."""
    return f"{value:.4f}" if math.isfinite(value) else NOTHING


def p_value(value: float) -> str:
    """Four decimals, or <0.0001."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def span(low: float, high: float, say: Callable[[float], str] = signed) -> str:
    """[low, high]; a dash where one run gives none."""
    return f"[{say(low)}, {say(high)}]" if math.isfinite(low) and math.isfinite(high) else NOTHING

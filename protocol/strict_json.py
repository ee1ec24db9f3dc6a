"""Read JSON from other people: a repeated key, which readers understand differently, is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any


def loads(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: no valid JSON in UTF-8, a key that occurs twice in one object, endless nesting, or a number of
            thousands of digits.
    """
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("more levels of nesting than any file of this kind has") from None


def _each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = sorted(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {', '.join(map(repr, twice[:5]))} more than once in one object")
    return table

"""Show text from other people: names, notes, errors and log lines can neither steer a terminal nor hide characters.

Control characters and escape sequences act on the terminal; direction marks reorder what is read; characters without
width make two names look like one. All of them are shown as escapes, for example `\\x1b` or `\\u202e`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that show nothing, though Unicode calls them letters, marks or symbols."""


def visible(text: str, keep: str = "\n\t") -> str:
    """Return the text with every character that is not seen as an escape.

    Args:
        text: from anyone.
        keep: control characters to leave as they are.
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(c if c in keep or not is_unseen(c) else _escape(c) for c in text)


def one_line(text: str) -> str:
    """Return the text as `visible` does, with line breaks as escapes, too."""
    return visible(text, keep="")


def is_unseen(char: str) -> bool:
    """Return whether a character shows nothing by itself: control, format, surrogate, unassigned, filler; no space."""
    return bool(_UNSEEN.match(char)) or not (char.isprintable() or unicodedata.category(char) == "Zs")


def _escape(char: str) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    code = ord(char)
    return named.get(char) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


_ACTIVE: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""Beginnings that a spreadsheet takes for a formula (OWASP: CSV injection), full-width forms included."""
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


@lru_cache(maxsize=2**12)
def cell(text: str) -> str:
    """Return a text cell for CSV that no spreadsheet runs as a formula; numbers stay as they are."""
    shown = visible(text)
    return f"'{shown}" if _ACTIVE.match(shown) and not _NUMBER.fullmatch(shown) else shown

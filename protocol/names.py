"""Names that look like others: refused, since a reader of a table cannot tell them apart.

Two names look alike if they have the same skeleton (Unicode Technical Standard 39, section 4): "rаndom" with a Cyrillic
а has the skeleton of "random".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from protocol.plain_text import is_unseen

_ASCII: Final = {"0": "O", "1": "l", "I": "l", "|": "l", "m": "rn"}
"""The skeletons of ASCII characters that have others."""
_LIKE_LATIN: Final = frozenset({"CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET", "OSAGE"})
"""Scripts whose letters look like Latin ones and that no name mixes with them; Greek letters are common: β-VAE."""
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def skeleton(name: str) -> str:
    """Return what a name looks like, in lower case: two names with one skeleton look alike, or differ in case."""
    parts = unicodedata.normalize("NFKD", name)
    shown = "".join(c if c.isascii() else _prototypes().get(c, c) for c in parts)
    plain = "".join(_ASCII.get(c, c) for c in shown)
    return unicodedata.normalize("NFD", plain).casefold()


def name_problem(name: str) -> str:
    """Return why a name cannot be told from others by reading it; empty if it can."""
    if unseen := [c for c in name if is_unseen(c)]:
        return f"characters that are not seen: {', '.join(map(_named, dict.fromkeys(unseen[:5])))}"
    for word in re.findall(r"[^\W\d_]+", name) if not name.isascii() else ():
        scripts = {unicodedata.name(c, "?").split()[0]: c for c in word}
        if "LATIN" in scripts and (strange := sorted(_LIKE_LATIN & scripts.keys())):
            letters = ", ".join(_named(scripts[script]) for script in strange)
            return f"letters of other alphabets within the Latin word {word!r}: {letters}"
    return ""


def folder_problem(name: str) -> str:
    """Return why a name cannot be a folder on every system; empty if it can."""
    if name.endswith("."):
        return "a dot at its end, which Windows drops"
    return "a name that Windows reserves for a device" if _RESERVED.fullmatch(name) else ""


def look_alikes(names: Iterable[str], known: Iterable[str] = (), *, strict: bool = True) -> Iterator[str]:
    """Yield in words each pair of different names that look alike.

    Args:
        names: to compare with one another and with `known`.
        known: names that others must not look like.
        strict: also compare ASCII names among one another, for example m1 and ml.
    """
    fixed = set(known)
    seen: dict[str, list[str]] = {}
    for name in sorted({*names, *fixed}, key=lambda name: (name not in fixed, not name.isascii(), name)):
        for other in seen.setdefault(skeleton(name), []):
            case = name.casefold() == other.casefold()
            if not case and (strict or not name.isascii() or other in fixed):
                yield f"{name!r}, which looks like {other!r}{_difference(name)}"
                break
        seen[skeleton(name)].append(name)


def _difference(name: str) -> str:
    letters = ", ".join(_named(c) for c in dict.fromkeys(name) if not c.isascii())
    return f" but has {letters}" if letters else ""


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()


@cache
def _prototypes() -> dict[str, str]:
    """Return one representative of the look-alikes of each character that is not ASCII, after Unicode's table."""
    from confusable_homoglyphs.confusables import confusables_data  # takes 50 ms, and only such names need it

    found: dict[str, str] = {}
    for char, like in confusables_data.items():
        if len(char) == 1 and not char.isascii():
            others = {each["c"] for each in like}  # the character that it looks like, or all that look like it
            group = {char, *others, *(each["c"] for c in others for each in confusables_data.get(c, ()))}
            found[char] = min(group, key=lambda c: (not c.isascii(), len(c), c))
    return found

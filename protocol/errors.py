"""Faults that a user can fix: where, what was expected, what was found, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.plain_text import visible


@dataclass(frozen=True)
class Fault:
    """One fault, with what its reader needs to fix it.

    Attributes:
        where: file, line, path in a table, or option.
        expected: what the place should hold.
        found: the value that it holds.
        fix: an instruction; empty where `expected` says it all.
    """

    where: str
    expected: str
    found: str
    fix: str = ""

    def __str__(self) -> str:
        lines = {"": self.where, "  expected: ": self.expected, "  found:    ": self.found}
        if self.fix:
            lines["  to do:    "] = self.fix
        # continued lines are indented, so that no text from a file looks like a line of this message
        return "\n".join(label + visible(text).replace("\n", "\n" + " " * 12) for label, text in lines.items())


class BeatRandomError(Exception):
    """Base of every error that this project raises on purpose; carries all faults found at once."""

    def __init__(self, faults: Fault | Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Notice(UserWarning):
    """Notice that changes no result; the command shows it on a line of its own."""


class InputError(BeatRandomError):
    """A file, option, table or data set that the user gave is not usable: exit code 2."""


class NotDecidable(InputError):
    """The input is readable, but cannot answer the question: exit code 3."""


class RuleBroken(BeatRandomError):
    """The protocol forbids an action that was tried; `rule` is the compliance rule that it would break."""

    def __init__(self, rule: str, fault: Fault) -> None:
        self.rule = rule
        super().__init__(Fault(f"{fault.where} [{rule}]", fault.expected, fault.found, fault.fix))


class RecordError(BeatRandomError):
    """A record cannot be read, continued or trusted."""


class RunLocked(BeatRandomError):
    """Another process is writing this run; nothing was changed."""


NAMES_SHOWN: Final = 10
"""Known names that an error lists if there are many."""


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return `known` with the names most like `name` first; the others keep their order."""
    close = difflib.get_close_matches(name, known, n=NAMES_SHOWN, cutoff=0.4)
    return close + [k for k in known if k not in close]


def unknown_name(where: str, name: str, known: Sequence[str]) -> Fault:
    """Return the fault for a name that is not in a registry; of many known names it lists the nearest."""
    ordered = nearest(name, known)
    if len(ordered) > 2 * NAMES_SHOWN:
        ordered = [*ordered[:NAMES_SHOWN], f"or {len(ordered) - NAMES_SHOWN} others"]
    spelled = [k for k in known if k.casefold() == name.casefold()]
    guess = spelled or difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    fix = f"did you mean {guess[0]!r}?" if guess else "use one of the known names"
    return Fault(where, f"one of {', '.join(ordered)}", repr(name), fix)

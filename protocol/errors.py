"""Faults that a user can act on: what was expected, what was found, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, said so that its reader can mend it."""

    where: str
    expected: str
    found: str
    fix: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}", f"  expected: {self.expected}", f"  found:    {self.found}"]
        if self.fix:
            lines.append(f"  to do:    {self.fix}")
        return "\n".join(lines)


class BeatRandomError(Exception):
    """Base of every error this project raises on purpose; carries all faults found at once."""

    def __init__(self, faults: Fault | Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Notice(UserWarning):
    """Something that its reader should know and that changes no result; the command shows it as a line of its own."""


class InputError(BeatRandomError):
    """Something handed in (file, option, table, data) is not usable: exit code 2."""


class RuleBroken(BeatRandomError):
    """An action the protocol forbids was attempted; `rule` is the compliance rule it would break."""

    def __init__(self, rule: str, fault: Fault) -> None:
        self.rule = rule
        super().__init__(Fault(f"{fault.where} [{rule}]", fault.expected, fault.found, fault.fix))


class RecordError(BeatRandomError):
    """A record cannot be read, continued or trusted as it stands."""


class RunLocked(BeatRandomError):
    """Another process is writing this run; nothing was touched."""


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """`known` with the names most like `name` first (ties and strangers keep their order)."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return close + [k for k in known if k not in close]


def unknown_name(where: str, name: str, known: Sequence[str]) -> Fault:
    """The fault for a name that is not in a registry, nearest known names first."""
    ordered = nearest(name, known)
    guess = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    fix = f"did you mean {guess[0]!r}?" if guess else "use one of the known names"
    return Fault(where, f"one of {', '.join(ordered)}", repr(name), fix)

"""The words that `protocols` and `strategies` take: nothing, or `show NAME`."""

from __future__ import annotations

from protocol.errors import Fault, InputError, unknown_name


def page_requested(verb: str, action: str | None, name: str | None, names: list[str]) -> bool:
    """Return whether `show NAME` was given; refuse any other words.

    Raises:
        InputError: other words, or a name that is not in `names`.
    """
    if action is None:
        return False
    if action != "show" or name is None:
        raise InputError(
            Fault(
                f"beatrandom {verb}",
                f"nothing, or: show NAME, with NAME one of {', '.join(names)}",
                f"{action} {name or ''}".strip(),
            )
        )
    if name not in names:
        raise InputError(unknown_name(f"{verb} show", name, names))
    return True

"""Show the runnable examples of docstrings as code: without a fence, Markdown reads [0.5, 1.0] as a link."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^(?P<indent>[ \t]*)>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


class Examples(griffe.Extension):
    """Fence every block that begins with `>>>` and ends at an empty line."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(
                lambda m: f"{m['indent']}```pycon\n{m[0]}\n{m['indent']}```", obj.docstring.value
            )

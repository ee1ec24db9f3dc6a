"""Render frames of text cells as Markdown and LaTeX (booktabs) tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
from pandas.api.types import is_numeric_dtype

from analysis.formatting.numbers import NOTHING
from protocol.plain_text import cell, one_line


def csv_text(frame: pd.DataFrame) -> str:
    """Return a frame as CSV; text that a spreadsheet would run as a formula is marked as text by an apostrophe."""
    plain = frame.apply(lambda column: column if is_numeric_dtype(column) else column.map(_plain))
    text: str = plain.rename(columns=_plain).to_csv(index=False)
    return text


def _plain(value: Any) -> Any:
    return cell(value) if isinstance(value, str) else value


def render_markdown(frame: pd.DataFrame, text: int) -> str:
    """Render text cells as a pipe table; the first `text` columns align left, the others right."""
    rows = [list(frame.columns), *frame.to_numpy().tolist()]
    cells = [[md(c) for c in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(frame.columns))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (w + 2) if i < text else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


_BOLD: Final = re.compile(r"\*\*([\d.]+(?: ± [\d.]+)?)\*\*(.*)")
"""The best number of a table, with its mark."""
_ACTIVE: Final = re.compile(r"[\\|`*<]|\](?=[(\[:])|&(?=[#\w]+;)")


def md(cell: object) -> str:
    """Escape a text cell for Markdown: it stays one cell, and is neither HTML, code nor a link."""
    text = one_line(str(cell))
    if bold := _BOLD.fullmatch(text):
        return f"**{bold[1]}**{md(bold[2])}"
    return _ACTIVE.sub(r"\\\g<0>", text)


_LATEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "±": r"$\pm$",
        NOTHING: "--",
    }
)


def tex(cell: object) -> str:
    """Escape a text cell for LaTeX; numbers with a sign are set in mathematics."""
    text = one_line(str(cell)).translate(_LATEX)
    return f"${text}$" if text.lstrip("[")[:1] in ("+", "-") and text.lstrip("[")[1:2].isdigit() else text


def render_latex(frame: pd.DataFrame, text: int) -> str:
    r"""Render text cells as a tabular for \usepackage{booktabs,siunitx}.

    There is a rule where the first column changes.

    Columns of numbers become S columns, aligned at the decimal point; other text in them is put in braces.
    """
    rows = [[str(cell) for cell in row] for row in frame.to_numpy().tolist()]
    numeric = [i >= text and any(_NUMBER.fullmatch(row[i]) for row in rows) for i in range(len(frame.columns))]
    kinds = [
        s_column([row[i] for row in rows]) if numeric[i] else "l" if i < text else "r"
        for i in range(len(frame.columns))
    ]
    head = " & ".join(f"{{{tex(c)}}}" if numeric[i] else tex(c) for i, c in enumerate(frame.columns))
    lines = [rf"\begin{{tabular}}{{{''.join(kinds)}}}", r"\toprule", rf"{head} \\", r"\midrule"]
    before = None
    for row in rows:
        if before not in (None, row[0]):
            lines.append(r"\midrule")
        before = row[0]
        cells = [
            c if n and _NUMBER.fullmatch(c) else f"{{{tex(c)}}}" if n else tex(c)
            for c, n in zip(row, numeric, strict=True)
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


_NUMBER: Final = re.compile(r"[+-]?(\d+)(?:\.(\d+))?(?:\((\d+)\))?")


def s_column(cells: Sequence[str]) -> str:
    """Return the siunitx column type for these cells, as wide as the widest, with plus signs."""
    found = [match for cell in cells if (match := _NUMBER.fullmatch(cell))]
    whole, places, doubt = (max((len(m.group(i) or "") for m in found), default=1) for i in (1, 2, 3))
    sign = "+" if any("+" in m.group() for m in found) else "-" if any("-" in m.group() for m in found) else ""
    plus = "retain-explicit-plus, " if sign == "+" else ""
    return f"S[{plus}table-format={sign}{whole}.{places}{f'({doubt})' if doubt else ''}]"

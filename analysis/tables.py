"""Verdict tables as CSV, Markdown, LaTeX (booktabs) and JSON. Every number shown anywhere is formatted here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from analysis.answers import Verdict
from protocol.folders import write_atomically

if TYPE_CHECKING:  # verdict renders itself through this module
    from analysis.scores import Scores
    from analysis.verdict import Comparison

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


def interval(verdict: Verdict) -> str:
    """[low, high] of the difference; a dash where one seed gives none."""
    return span(verdict.low, verdict.high)


def span(low: float, high: float, say: Callable[[float], str] = signed) -> str:
    """[low, high]; a dash where one run gives none."""
    return f"[{say(low)}, {say(high)}]" if math.isfinite(low) and math.isfinite(high) else NOTHING


def answer(verdict: Verdict) -> str:
    """The answer in at most two words."""
    return f"{verdict.answer} (negligible)" if verdict.negligible else verdict.answer


def seeds(verdict: Verdict) -> str:
    """n, or n of how many if some are missing."""
    return str(verdict.n) if verdict.n == verdict.n_planned else f"{verdict.n} of {verdict.n_planned}"


def formatted(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """The table people read: text cells, one row a verdict."""
    return pd.DataFrame(
        [
            {
                "protocol": v.protocol,
                "strategy": v.strategy,
                "answer": answer(v),
                "difference": signed(v.difference),
                "95 % interval": interval(v),
                "p": p_value(v.p),
                "adjusted p": p_value(v.p_adjusted),
                "adjusted p equivalence": p_value(v.p_equivalence_adjusted),
                "seeds": seeds(v),
                "seeds to decide": str(v.seeds_to_decide) if v.answer == "undecided" and v.seeds_to_decide else NOTHING,
                "AUBC": plain(v.value),
                "AUBC baseline": plain(v.baseline_value),
            }
            for v in verdicts
        ]
    )


def markdown(verdicts: Sequence[Verdict]) -> str:
    """A pipe table, text to the left and numbers to the right."""
    return markdown_of(formatted(verdicts), 3)


def markdown_of(frame: pd.DataFrame, text: int) -> str:
    """A pipe table of text cells; the first `text` columns to the left, the others to the right."""
    rows = [list(frame.columns), *frame.to_numpy().tolist()]
    cells = [[str(c).replace("|", "\\|") for c in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(frame.columns))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (w + 2) if i < text else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


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
    """A text cell: characters with a meaning in LaTeX escaped, signs before numbers in mathematics."""
    text = str(cell).translate(_LATEX)
    return f"${text}$" if text.lstrip("[")[:1] in ("+", "-") and text.lstrip("[")[1:2].isdigit() else text


def latex(verdicts: Sequence[Verdict]) -> str:
    r"""A tabular for \usepackage{booktabs,siunitx}, a rule between protocols."""
    return latex_of(formatted(verdicts), 3)


def latex_of(frame: pd.DataFrame, text: int) -> str:
    r"""A tabular for \usepackage{booktabs,siunitx} of text cells, a rule wherever the first column changes.

    Columns of numbers become S columns, aligned at the decimal point; what is no number in them stands in braces.
    """
    rows = [[str(cell) for cell in row] for row in frame.to_numpy().tolist()]
    numeric = [i >= text and any(_NUMBER.fullmatch(row[i]) for row in rows) for i in range(len(frame.columns))]
    kinds = [s_column([row[i] for row in rows]) if numeric[i] else "l" if i < text else "r" for i in range(len(frame.columns))]
    head = " & ".join(f"{{{tex(c)}}}" if numeric[i] else tex(c) for i, c in enumerate(frame.columns))
    lines = [rf"\begin{{tabular}}{{{''.join(kinds)}}}", r"\toprule", rf"{head} \\", r"\midrule"]
    before = None
    for row in rows:
        if before not in (None, row[0]):
            lines.append(r"\midrule")
        before = row[0]
        cells = [c if n and _NUMBER.fullmatch(c) else f"{{{tex(c)}}}" if n else tex(c) for c, n in zip(row, numeric, strict=True)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


_NUMBER: Final = re.compile(r"[+-]?(\d+)(?:\.(\d+))?(?:\((\d+)\))?")


def s_column(cells: Sequence[str]) -> str:
    """siunitx's column for these numbers, as wide as the widest; plus signs are kept where there are any."""
    found = [match for cell in cells if (match := _NUMBER.fullmatch(cell))]
    whole, places, doubt = (max((len(m.group(i) or "") for m in found), default=1) for i in (1, 2, 3))
    sign = "+" if any("+" in m.group() for m in found) else "-" if any("-" in m.group() for m in found) else ""
    plus = "retain-explicit-plus, " if sign == "+" else ""
    return f"S[{plus}table-format={sign}{whole}.{places}{f'({doubt})' if doubt else ''}]"


def write_tables(comparison: Comparison, folder: Path, board: Scores | None = None) -> list[Path]:
    """Write verdicts.csv (unrounded), .md, .tex, .json and summary.txt, and scores in the first three forms; returns their paths."""
    contents = {
        "verdicts.csv": comparison.to_frame().to_csv(index=False),
        "verdicts.md": comparison.to_markdown(),
        "verdicts.tex": comparison.to_latex(),
        "verdicts.json": comparison.to_json() + "\n",
        "summary.txt": comparison.summary() + "\n",
    }
    if board is not None:
        contents |= {"scores.csv": board.to_frame().to_csv(index=False), "scores.md": board.to_markdown(), "scores.tex": board.to_latex()}
    for name, text in contents.items():
        write_atomically(Path(folder) / name, text.encode())
    return [Path(folder) / name for name in contents]

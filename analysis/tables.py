"""Verdict tables as CSV, Markdown, LaTeX (booktabs) and JSON. Every number shown anywhere is formatted here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from analysis.answers import Verdict
from protocol.folders import write_atomically

if TYPE_CHECKING:  # verdict renders itself through this module
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
    return f"[{signed(verdict.low)}, {signed(verdict.high)}]" if math.isfinite(verdict.low) else NOTHING


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
        NOTHING: "--",
    }
)


def latex(verdicts: Sequence[Verdict]) -> str:
    r"""A tabular for \usepackage{booktabs}, a rule between protocols."""
    return latex_of(formatted(verdicts), 3)


def latex_of(frame: pd.DataFrame, text: int) -> str:
    r"""A tabular for \usepackage{booktabs} of text cells, a rule wherever the first column changes."""
    columns = f"{'l' * text}{'r' * (len(frame.columns) - text)}"
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(list(frame.columns)), r"\midrule"]
    before = None
    for row in frame.to_numpy().tolist():
        if before not in (None, row[0]):
            lines.append(r"\midrule")
        before = row[0]
        lines.append(_latex_row(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    text = [str(c).translate(_LATEX) for c in cells]
    return " & ".join(f"${c}$" if c.lstrip("[")[:1] in ("+", "-") and c.lstrip("[")[1:2].isdigit() else c for c in text) + r" \\"


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Write verdicts.csv (unrounded), .md, .tex, .json and summary.txt; returns their paths."""
    contents = {
        "verdicts.csv": comparison.to_frame().to_csv(index=False),
        "verdicts.md": comparison.to_markdown(),
        "verdicts.tex": comparison.to_latex(),
        "verdicts.json": comparison.to_json() + "\n",
        "summary.txt": comparison.summary() + "\n",
    }
    for name, text in contents.items():
        write_atomically(Path(folder) / name, text.encode())
    return [Path(folder) / name for name in contents]

"""Format verdicts as Markdown and LaTeX tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.formatting.numbers import NOTHING, p_value, plain, signed, span
from analysis.formatting.tables import render_latex, render_markdown
from analysis.loading.curves import Unit
from analysis.verdict.comparison import Comparison, Verdict


def interval(verdict: Verdict) -> str:
    """Return [low, high] of the difference, or a dash if one seed gives no interval."""
    return span(verdict.low, verdict.high)


def answer(verdict: Verdict) -> str:
    """Return the answer in at most two words."""
    if not verdict.n:
        return f"{verdict.answer} (no data)"
    return f"{verdict.answer} (negligible)" if verdict.negligible else verdict.answer


def pairs(verdict: Verdict) -> str:
    """Return n, or "n of planned" if some seeds are missing."""
    return str(verdict.n) if verdict.n == verdict.n_planned else f"{verdict.n} of {verdict.n_planned}"


def formatted(verdicts: Sequence[Verdict], unit: Unit = "seed") -> pd.DataFrame:
    """Return the table for readers: text cells, one row per verdict; `unit` is what pairs are made of."""
    return pd.DataFrame(
        [
            {
                "protocol": v.protocol,
                "strategy": v.strategy,
                "answer": answer(v),
                "difference": signed(v.difference),
                "95 % interval": interval(v),
                "p": p_value(v.p) if v.n else NOTHING,
                "adjusted p": p_value(v.p_adjusted) if v.n else NOTHING,
                "adjusted p equivalence": p_value(v.p_equivalence_adjusted) if v.n else NOTHING,
                f"{unit}s": pairs(v),
                f"{unit}s to decide": str(v.seeds_to_decide)
                if v.answer == "undecided" and v.seeds_to_decide
                else NOTHING,
                "AUBC": plain(v.value),
                "AUBC baseline": plain(v.baseline_value),
            }
            for v in verdicts
        ]
    )


def to_markdown(comparison: Comparison) -> str:
    """Return a pipe table, text aligned left and numbers right."""
    return render_markdown(formatted(comparison.verdicts, comparison.unit), 3)


def to_latex(comparison: Comparison) -> str:
    r"""Return a tabular for \usepackage{booktabs,siunitx}, with a rule between protocols."""
    return render_latex(formatted(comparison.verdicts, comparison.unit), 3)

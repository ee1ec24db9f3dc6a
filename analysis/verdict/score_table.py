"""Scores of all strategies under all protocols, marked by tests rather than by bold maxima."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from analysis.formatting import numbers, tables
from analysis.loading.curves import Curves
from analysis.verdict import sentences
from analysis.verdict.comparison import Comparison
from analysis.verdict.decide import compare
from analysis.verdict.endpoint import endpoints

Top = Literal["best", "tied", ""]
MARKS: Final = {"better": "↑", "worse": "↓", "equivalent": "≈"}
TEX: Final = {"better": r"\uparrow", "worse": r"\downarrow", "equivalent": r"\approx"}


@dataclass(frozen=True)
class Score:
    """One strategy under one protocol.

    Attributes:
        n: runs; mean, sd: of their endpoint (sd NaN for one run).
        answer: the verdict against the baseline; empty for the baseline and for upper lines.
        top: best, or tied with it: not worse than the strategy with the highest mean (of those with the most runs: a mean over fewer
            seeds is of other seeds) by the plan's test, corrected over the protocol. Which one is highest is seen first, so this is exploratory; with few seeds many are tied.
    """

    protocol: str
    strategy: str
    n: int
    mean: float
    sd: float
    answer: str
    top: Top


@dataclass(frozen=True)
class Scores:
    """A row per strategy, a column per protocol; as frame, Markdown and LaTeX."""

    rows: tuple[Score, ...]
    protocols: tuple[str, ...]
    strategies: tuple[str, ...]
    caption: str

    def to_frame(self) -> pd.DataFrame:
        """A row per score, unrounded."""
        return pd.DataFrame([asdict(row) for row in self.rows], columns=[f.name for f in fields(Score)])

    def formatted(self, bold: bool = False) -> pd.DataFrame:
        """Text cells: mean ± sd, the verdict's mark, and * for best and tied (bold instead, if asked)."""
        out = {"strategy": list(self.strategies)} | {
            p: [self._cell(p, s, bold) for s in self.strategies] for p in self.protocols
        }
        return pd.DataFrame(out)

    def _at(self, protocol: str, strategy: str) -> Score | None:
        return next((r for r in self.rows if (r.protocol, r.strategy) == (protocol, strategy)), None)

    def _cell(self, protocol: str, strategy: str, bold: bool) -> str:
        row = self._at(protocol, strategy)
        if row is None:
            return numbers.NOTHING
        number = (
            f"{numbers.plain(row.mean)} ± {numbers.plain(row.sd)}" if np.isfinite(row.sd) else numbers.plain(row.mean)
        )
        if row.top:
            number = f"**{number}**" if bold else f"{number} *"
        return f"{number} {MARKS.get(row.answer, '')}".rstrip()

    def to_markdown(self) -> str:
        """A pipe table and its caption."""
        return f"{tables.render_markdown(self.formatted(bold=True), 1)}\n{self.caption.replace('*:', 'Bold:')}\n"

    def to_latex(self) -> str:
        r"""A tabular for \usepackage{booktabs,siunitx}: means with the sd in brackets, 0.8123(42), aligned; marks beside them."""
        columns = "".join(
            f"{tables.s_column([self._tex(p, s)[0] for s in self.strategies])}@{{\\,}}l" for p in self.protocols
        )
        head = " & ".join(rf"\multicolumn{{2}}{{c}}{{{tables.tex(p)}}}" for p in self.protocols)
        body = [
            " & ".join([tables.tex(s), *(cell for p in self.protocols for cell in self._tex(p, s))]) + r" \\"
            for s in self.strategies
        ]
        lines = [
            rf"\begin{{tabular}}{{l{columns}}}",
            r"\toprule",
            rf"strategy & {head} \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join([*lines, f"% {self.caption}"]) + "\n"

    def _tex(self, protocol: str, strategy: str) -> tuple[str, str]:
        row = self._at(protocol, strategy)
        if row is None:
            return "{--}", ""
        spread = f"({round(row.sd * 1e4)})" if np.isfinite(row.sd) else ""
        marks = (r"\ast" if row.top else "") + TEX.get(row.answer, "")
        return numbers.plain(row.mean) + spread, f"${marks}$" if marks else ""


def scores(curves: Curves, comparison: Comparison) -> Scores:
    """Mean endpoints with their standard deviations over runs, the verdicts, and who is best or tied with it."""
    values = endpoints(curves)
    answers = {(v.protocol, v.strategy): v.answer for v in comparison.verdicts}
    rows = []
    for protocol in curves.protocols:
        own = values[values["protocol"] == protocol].groupby("strategy")["aubc"]
        means = {s: float(own.get_group(s).mean()) for s in curves.strategies if s in own.groups}
        runs = {s: len(own.get_group(s)) for s in means if s in curves.competitors}
        top = _top(curves, protocol, {s: means[s] for s in runs}, runs)
        for strategy, mean in means.items():
            found = own.get_group(strategy)
            sd = float(found.std(ddof=1)) if len(found) > 1 else float("nan")
            rows.append(
                Score(
                    protocol,
                    strategy,
                    len(found),
                    mean,
                    sd,
                    answers.get((protocol, strategy), ""),
                    top.get(strategy, ""),
                )
            )
    uneven = any(len({row.n for row in rows if row.protocol == p}) > 1 for p in curves.protocols)
    what = "area under the budget curve" if curves.has_curves else "value"
    caption = (
        f"Mean ± standard deviation over runs of the {what}. Against {curves.baseline}, by the verdict: ↑ better, ↓ worse, ≈ equivalent, no mark undecided. "
        f"*: highest mean{' of those with the most runs' * uneven}, or not worse than it ({sentences.test_name(comparison)}, {sentences.CORRECTIONS[curves.plan.correction]} within the protocol; exploratory)."
    )
    return Scores(tuple(rows), curves.protocols, curves.strategies, caption)


def _top(curves: Curves, protocol: str, means: dict[str, float], runs: dict[str, int]) -> dict[str, Top]:
    """The best by mean among those with the most runs, and whoever the plan's test does not show to be worse."""
    if not means:
        return {}
    best = max(means, key=lambda s: (runs[s], means[s]))
    alone = replace(
        curves,
        planned=tuple(k for k in curves.planned if k.protocol == protocol and k.strategy in means),
        missing=(),
        baseline=best,
        group=None,
        plan=curves.plan.model_copy(update={"looks": (), "family": "strategies"}),
    )
    tied: dict[str, Top] = {v.strategy: "tied" for v in compare(alone).verdicts if v.n and v.answer != "worse"}
    return tied | {best: "best"}

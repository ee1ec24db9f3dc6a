"""Tabulate scores of all strategies and protocols, marked by tests instead of bold maxima."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Final, Literal

import numpy as np
import pandas as pd

from analysis.formatting import numbers, tables
from analysis.loading.curves import Curves
from analysis.statistics.area import describe_area
from analysis.verdict import method
from analysis.verdict.comparison import Comparison
from analysis.verdict.decide import compare
from analysis.verdict.endpoint import endpoints

Top = Literal["best", "tied", ""]
MARKS: Final = {"better": "↑", "worse": "↓", "equivalent": "≈"}
TEX: Final = {"better": r"\uparrow", "worse": r"\downarrow", "equivalent": r"\approx"}


@dataclass(frozen=True)
class Score:
    """Score of one strategy under one protocol.

    Attributes:
        n: Number of runs.
        mean, sd: Mean and standard deviation of their endpoint; sd is NaN for one run.
        answer: Verdict against the baseline; empty for the baseline and for upper lines.
        top: "best" for the highest mean among the strategies with the most runs (a mean over fewer seeds is of
            different seeds). "tied" if the plan's test, corrected over the protocol, does not show the strategy to be
            worse than the best. This is exploratory, because the best is chosen from the data; with few seeds many
            are tied.
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
    """Scores, one row per strategy and one column per protocol, as frame, Markdown and LaTeX."""

    rows: tuple[Score, ...]
    protocols: tuple[str, ...]
    strategies: tuple[str, ...]
    caption: str

    def to_frame(self) -> pd.DataFrame:
        """Return one row per score, unrounded."""
        return pd.DataFrame([asdict(row) for row in self.rows], columns=[f.name for f in fields(Score)])

    def formatted(self, bold: bool = False) -> pd.DataFrame:
        """Return text cells: mean ± sd, the verdict's mark, and * (or bold) for best and tied."""
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
        """Return a pipe table and its caption."""
        return f"{tables.render_markdown(self.formatted(bold=True), 1)}\n{self.caption.replace('*:', 'Bold:')}\n"

    def to_latex(self) -> str:
        r"""Return a tabular for \usepackage{booktabs,siunitx}.

        Cells are means with the sd in brackets, 0.8123(42), and marks.
        """
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
    """Compute mean endpoints with standard deviations, verdicts, and best or tied strategies."""
    values = endpoints(curves)
    answers = {(v.protocol, v.strategy): v.answer for v in comparison.verdicts}
    rows = []
    for protocol in curves.protocols:
        areas = values[values["protocol"] == protocol].groupby("strategy")["aubc"]
        means = {s: float(areas.get_group(s).mean()) for s in curves.strategies if s in areas.groups}
        runs = {s: len(areas.get_group(s)) for s in means if s in curves.competitors}
        top = _top(curves, protocol, {s: means[s] for s in runs}, runs)
        for strategy, mean in means.items():
            area = areas.get_group(strategy)
            sd = float(area.std(ddof=1)) if len(area) > 1 else float("nan")
            rows.append(
                Score(
                    protocol,
                    strategy,
                    len(area),
                    mean,
                    sd,
                    answers.get((protocol, strategy), ""),
                    top.get(strategy, ""),
                )
            )
    uneven = any(len({row.n for row in rows if row.protocol == p}) > 1 for p in curves.protocols)
    what = describe_area(curves.area) if curves.has_curves else "value"
    caption = (
        f"Mean ± standard deviation over runs of the {what}. Against {curves.baseline}, by the verdict: "
        "↑ better, ↓ worse, ≈ equivalent, no mark undecided. "
        f"*: highest mean{' of those with the most runs' * uneven}, or not worse than it "
        f"({method.test_name(comparison)}, {method.CORRECTIONS[curves.plan.correction]} within the protocol; "
        "exploratory)."
    )
    return Scores(tuple(rows), curves.protocols, curves.strategies, caption)


def _top(curves: Curves, protocol: str, means: dict[str, float], runs: dict[str, int]) -> dict[str, Top]:
    """Return the best strategy and those that the plan's test does not show to be worse."""
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

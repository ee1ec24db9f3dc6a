"""A claim, what was found on it place by place, and what that amounts to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.across.setting import Setting
from analysis.statistics.arrays import Floats
from analysis.statistics.intervals import t_interval

Says = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Finding:
    """What one place says of a claim.

    Attributes:
        where: data set, regime or strategy.
        what: what was estimated, in words.
        value, low, high: the estimate and its 95 % interval, in the units that `what` names; NaN where it cannot be had.
        says: by the claim's rule.
        beside: numbers the estimate is made of, by name.
    """

    where: str
    what: str
    value: float
    low: float
    high: float
    says: Says
    n: int
    beside: dict[str, float]


@dataclass(frozen=True)
class Claim:
    """A statement, the rule by which it is judged, and the findings."""

    name: str
    statement: str
    rule: str
    findings: tuple[Finding, ...]

    @property
    def answer(self) -> str:
        """One of the three answers if all places agree; else how many say what."""
        counts = Counter(f.says for f in self.findings)
        if not counts:
            return "undecided"
        if len(counts) == 1:
            return next(iter(counts))
        total = len(self.findings)
        parts = [
            f"{says} in {counts[says]} of {total}" for says in ("holds", "does not hold", "undecided") if counts[says]
        ]
        return ", ".join(parts)

    def to_markdown(self) -> str:
        """The statement, the answer, the rule, and a row a finding."""
        extra = list(dict.fromkeys(name for f in self.findings for name in f.beside))
        head = ["where", "says", "n", "estimated", "value", "95 % interval", *extra]
        rows = [head, ["---"] * len(head)]
        for f in self.findings:
            numbers = [f"{f.beside[name]:.3g}" if name in f.beside else "" for name in extra]
            rows.append(
                [
                    f.where,
                    f"**{f.says}**",
                    str(f.n),
                    f.what,
                    f"{f.value:+.2f}",
                    f"[{f.low:+.2f}, {f.high:+.2f}]",
                    *numbers,
                ]
            )
        table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        return f"*{self.statement}*\n\n**Answer: {self.answer}.**\n\n{self.rule}\n\n{table}"

    def to_frame(self) -> pd.DataFrame:
        """A row a finding, unrounded."""
        rows = [{k: v for k, v in asdict(f).items() if k != "beside"} | f.beside for f in self.findings]
        return pd.DataFrame(rows)


def judged(low: float, high: float, *, above: float, below: float) -> Says:
    """`holds` if the whole interval lies above the one bound, `does not hold` if it lies below the other."""
    if low > above:
        return "holds"
    return "does not hold" if high < below else "undecided"


def jackknife(
    statistic: Callable[[NDArray[np.intp]], float], n: int, level: float = 0.95
) -> tuple[float, float, float]:
    """Estimate over all n seeds and a t interval from leaving out one seed at a time (Tukey 1958); NaN for n < 3.

    Args:
        statistic: of the seeds at these positions.
    """
    everything = np.arange(n)
    value = statistic(everything)
    if n < 3:
        return value, float("nan"), float("nan")
    pseudo = np.asarray([n * value - (n - 1) * statistic(np.delete(everything, i)) for i in range(n)])
    around = t_interval(pseudo, level)
    return value, around.low, around.high


def shared_areas(cells: list[tuple[Setting, str]]) -> Floats:
    """AUBC of each (setting, strategy), a column each, over the seeds that all have: (n, cells)."""
    seeds = sorted(set.intersection(*(set(setting.seeds[name]) for setting, name in cells)))
    columns = [setting.area(name)[np.searchsorted(setting.seeds[name], seeds)] for setting, name in cells]
    return np.column_stack(columns)


def common(settings: list[Setting]) -> list[str]:
    """Strategies that every setting has, in the first one's order."""
    return [name for name in settings[0].curves if all(name in s.curves for s in settings)]

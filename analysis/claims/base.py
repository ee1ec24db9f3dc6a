"""A claim, its findings, and the answer that they amount to."""

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

Judgement = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Finding:
    """Finding on a claim in one data set, regime or for one strategy.

    Attributes:
        where: data set, regime or strategy.
        what: what was estimated, in words.
        value, low, high: the estimate and its 95 % interval, in the units that `what` names; NaN if undefined.
        says: judgement by the claim's rule.
        n: number of seeds.
        components: numbers that the estimate is made of, by name.
    """

    where: str
    what: str
    value: float
    low: float
    high: float
    says: Judgement
    n: int
    components: dict[str, float]


@dataclass(frozen=True)
class Claim:
    """Statement, the rule that judges it, and its findings."""

    name: str
    statement: str
    rule: str
    findings: tuple[Finding, ...]

    @property
    def answer(self) -> str:
        """Return one of the three judgements if all findings agree, else the count of each."""
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
        """Return the statement, the answer, the rule, and a table with one row per finding."""
        extra = list(dict.fromkeys(name for f in self.findings for name in f.components))
        head = ["where", "says", "n", "estimated", "value", "95 % interval", *extra]
        rows = [head, ["---"] * len(head)]
        for f in self.findings:
            numbers = [f"{f.components[name]:.3g}" if name in f.components else "" for name in extra]
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
        """Return one row per finding, unrounded."""
        rows = [{k: v for k, v in asdict(f).items() if k != "components"} | f.components for f in self.findings]
        return pd.DataFrame(rows)


def judge(low: float, high: float, *, above: float, below: float) -> Judgement:
    """Return "holds" if the whole interval lies above `above`, "does not hold" if it lies below `below`."""
    if low > above:
        return "holds"
    return "does not hold" if high < below else "undecided"


def jackknife(
    statistic: Callable[[NDArray[np.intp]], float], n: int, level: float = 0.95
) -> tuple[float, float, float]:
    """Compute a statistic over n seeds and its jackknife t interval (Tukey 1958).

    Args:
        statistic: function of the positions of the seeds to use.
        n: number of seeds.
        level: level of the interval.

    Returns:
        The statistic over all seeds and the bounds of the interval, which are NaN for n < 3.
    """
    everything = np.arange(n)
    value = statistic(everything)
    if n < 3:
        return value, float("nan"), float("nan")
    pseudo = np.asarray([n * value - (n - 1) * statistic(np.delete(everything, i)) for i in range(n)])
    interval = t_interval(pseudo, level)
    return value, interval.low, interval.high


def shared_areas(cells: list[tuple[Setting, str]]) -> Floats:
    """Return the AUBC of each (setting, strategy) over the seeds that all have, shape (n, cells)."""
    seeds = sorted(set.intersection(*(set(setting.seeds[name]) for setting, name in cells)))
    columns = [setting.area(name)[np.searchsorted(setting.seeds[name], seeds)] for setting, name in cells]
    return np.column_stack(columns)


def common_strategies(settings: list[Setting]) -> list[str]:
    """Return the strategies that every setting has, in the order of the first setting."""
    return [name for name in settings[0].curves if all(name in s.curves for s in settings)]

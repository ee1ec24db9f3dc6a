"""Query costs: seconds and memory of queries, with the accuracy reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analysis.formatting.rows import Rows
from analysis.loading.curves import Curves
from analysis.verdict.endpoint import endpoints

TITLE: Final = "Accuracy and cost per query (seconds, MiB)"


@dataclass(frozen=True)
class QueryCost:
    """Mean cost over the queries of all complete runs of a strategy; nothing is tested.

    Attributes:
        runs, queries: number of complete runs, and of their queries.
        value: mean area under the budget curve.
        seconds: mean seconds per query.
        memory: largest memory of a process that performed such a run, training included, in MiB.
    """

    protocol: str
    strategy: str
    runs: int
    queries: int
    value: float
    seconds: float
    memory: float


def query_costs(curves: Curves) -> Rows[QueryCost]:
    """Return one row per protocol and strategy, in the study's order.

    Tables of curves without costs give no rows.
    """
    if curves.costs.empty:
        return Rows(QueryCost, TITLE, ())
    area = endpoints(curves)
    rows = []
    for (protocol, strategy), spent in curves.costs.groupby(["protocol", "strategy"], sort=False):
        own = area.loc[(area["protocol"] == protocol) & (area["strategy"] == strategy), "aubc"]
        seconds, memory = float(spent["seconds"].mean()), float(spent["memory"].max())
        rows.append(QueryCost(str(protocol), str(strategy), len(own), len(spent), float(own.mean()), seconds, memory))
    return Rows(QueryCost, TITLE, tuple(rows))

"""What choosing cost: seconds and memory of the queries beside the accuracy they bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analysis.formatting.rows import Rows
from analysis.loading.curves import Curves
from analysis.verdict.endpoint import endpoints

TITLE: Final = "Accuracy and what a query cost (seconds, MiB)"


@dataclass(frozen=True)
class QueryCost:
    """Mean over the queries of all complete runs of a strategy; nothing here is tested.

    Attributes:
        runs: complete runs; queries: in all of them.
        value: mean area under the budget curve.
        seconds: a query.
        memory: largest MiB of a process that made such a run, training included.
    """

    protocol: str
    strategy: str
    runs: int
    queries: int
    value: float
    seconds: float
    memory: float


def query_costs(curves: Curves) -> Rows[QueryCost]:
    """A row per protocol and strategy, in the study's order; empty for tables of curves, which say nothing of it."""
    if curves.costs.empty:
        return Rows(QueryCost, TITLE, ())
    area = endpoints(curves)
    rows = []
    for (protocol, strategy), spent in curves.costs.groupby(["protocol", "strategy"], sort=False):
        own = area.loc[(area["protocol"] == protocol) & (area["strategy"] == strategy), "aubc"]
        seconds, memory = float(spent["seconds"].mean()), float(spent["memory"].max())
        rows.append(QueryCost(str(protocol), str(strategy), len(own), len(spent), float(own.mean()), seconds, memory))
    return Rows(QueryCost, TITLE, tuple(rows))

"""What choosing cost: seconds and memory of the queries beside the accuracy they bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analysis.curves import endpoints
from analysis.rows import Rows
from analysis.runs import Curves
from protocol.record import Record

TITLE: Final = "Accuracy and what a query cost (seconds, MiB)"
PARTS: Final = ("members_s", "features_s", "prepare_s", "query_s")
"""What a query takes, as a round's record names it: an ensemble's further members, features, the strategy's own training, choosing."""


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


def of_record(record: Record, *run: object) -> list[tuple[object, ...]]:
    """Rows of `COST_COLUMNS` for every round that ended in a query, `run` first; rounds that recorded no cost are left out."""
    asked = [r for r in record.rounds if r.query and r.cost.keys() & set(PARTS)]
    return [(*run, r.budget, sum(r.cost.get(part, 0.0) for part in PARTS), r.cost.get("peak_memory_mib", float("nan"))) for r in asked]


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

"""What queries cost, beside what they bought."""

from __future__ import annotations

import math

import pytest

from analysis.loading.records import load_study
from analysis.secondary.query_cost import query_costs
from analysis.verdict.endpoint import endpoints
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from tests.analysis.conftest import Table
from tests.analysis.simulated import curve, write_run


def test_mean_seconds_largest_memory_and_mean_area_by_hand(folder: StudyFolder) -> None:
    curves = load_study(folder.path)
    rows = query_costs(curves).rows
    assert [(r.protocol, r.strategy) for r in rows] == [
        (p, s) for p in ("plain", "augmented") for s in ("random", "good", "bad")
    ]
    area = endpoints(curves)
    for row in rows:
        # three queries a run, the last round asks nothing: 0.5 + (0.25 + 0.5 + 0.75) / 3; training does not count
        assert (row.runs, row.queries, row.seconds, row.memory) == (6, 18, 1.0, 202.0)
        own = area[(area["protocol"] == row.protocol) & (area["strategy"] == row.strategy)]["aubc"]
        assert row.value == pytest.approx(own.mean())
    assert rows[1].value > rows[0].value > rows[2].value


def test_only_complete_runs_count(folder: StudyFolder, study: Study) -> None:
    events = folder.run(RunId("plain", "good", 2)).events
    events.unlink()
    write_run(folder, study.protocols[0], study.strategies[1], 2, curve(2, 0.05), "open")
    found = {(r.protocol, r.strategy): r for r in query_costs(load_study(folder.path)).rows}
    assert (found["plain", "good"].runs, found["plain", "good"].queries) == (5, 15)


def test_a_table_of_curves_says_nothing_of_costs(table: Table) -> None:
    rows = "".join(f"{s},{k},{b},0.{b}\n" for s in ("random", "x") for k in (0, 1) for b in (10, 20))
    curves = table(rows)
    assert query_costs(curves).rows == ()
    assert math.isfinite(endpoints(curves)["aubc"].sum())

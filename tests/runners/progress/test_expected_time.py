"""States at a glance, expected times, and the order in which runs are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.executors.inline import Inline
from runners.progress.expected_time import longest_first, seconds_left, seconds_of
from runners.progress.plan import planned_runs
from runners.progress.status import RunStatus, adopt, jobs, status


@pytest.fixture
def two(toy_study: Study) -> Study:
    long = toy_study.protocols[0].model_copy(
        update={"name": "long", "regime": toy_study.protocols[0].regime.model_copy(update={"steps": 12})}
    )
    return parse(
        Study,
        toy_study.model_dump(mode="json")
        | {"protocols": [p.model_dump(mode="json") for p in (*toy_study.protocols, long)]},
        "two",
    )


def names(statuses: list[RunStatus]) -> list[str]:
    return [f"{s.planned.protocol.name}/{s.planned.strategy.id}/{s.planned.seed}" for s in statuses]


def test_the_baseline_comes_first_then_the_longest(two: Study) -> None:
    every = [RunStatus(p, "missing", 0, 0) for p in planned_runs(two)]
    order = names(longest_first(every, seconds_of([s.planned for s in every], {})))
    assert order == [f"{p}/{s}/{seed}" for s in ("random", "margin") for p in ("long", "toy") for seed in (0, 1)]


def test_what_was_measured_counts_and_the_rest_is_scaled_by_its_work(two: Study) -> None:
    runs = [r for r in planned_runs(two) if r.seed == 0]
    assert [(r.strategy.id, r.protocol.name) for r in runs] == [
        ("random", "toy"),
        ("random", "long"),
        ("margin", "toy"),
        ("margin", "long"),
    ]
    assert seconds_of(runs, {("toy", "random"): 5.0}) == [5.0, 15.0, 5.0, 15.0]
    assert seconds_of(runs, {("toy", "random"): 5.0, ("toy", "margin"): 7.0}) == [5.0, 18.0, 7.0, 18.0]
    statuses = [RunStatus(r, "done" if not i else "partial", 3 if not i else 1, 0) for i, r in enumerate(runs)]
    assert seconds_left(statuses, [5.0, 15.0, 6.0, 30.0]) == pytest.approx((15 + 6 + 30) * 2 / 3)


def test_a_line_that_was_altered_is_seen_at_a_glance(toy_study: Study, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    adopt(folder, toy_study, tmp_path)
    list(Inline().execute(jobs(folder, toy_study, None, "cpu", 1, planned_runs(toy_study)[:2])))
    assert [s.state for s in status(folder, toy_study)] == ["done", "done", "missing", "missing"]
    first, second = (folder.run(RunId("toy", "random", seed)).events for seed in (0, 1))
    first.write_bytes(first.read_bytes().replace(b'"budget":30', b'"budget":31'))
    second.write_bytes(second.read_bytes()[:-40])
    seen = status(folder, toy_study)
    assert [(s.state, s.rounds) for s in seen[:2]] == [("unreadable", 3), ("partial", 3)]
    assert "events.jsonl:6" in seen[0].message

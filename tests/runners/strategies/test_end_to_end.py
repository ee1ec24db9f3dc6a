"""A study on real images with every registered strategy at toy size."""

from __future__ import annotations

import pytest

from protocol.record.chain import Record, read
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.executors.inline import Inline
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.strategies import STRATEGIES
from runners.tasks import TASKS
from tests.support.toy_strategies import TOY

SUITED = [name for name, kind in STRATEGIES.items() if TASKS["classification"].adapt(kind()) is not None]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """Two rounds of one seed on the digits for every strategy."""
    protocol = {
        "name": "toy",
        "data": {"name": "digits"},
        "splits": {"test_size": 1400},
        "budgets": [20, 30],
        "model": {"name": "small-cnn", "width": 4},
        "regime": {"name": "plain", "steps": 4, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}},
    }
    strategies = [{"name": name, "args": TOY.get(name, {})} for name in SUITED]
    study = parse(Study, {"name": "all", "protocols": [protocol], "strategies": strategies, "seeds": [0]}, "toy study")
    path = tmp_path_factory.mktemp("all")
    folder = StudyFolder(path)
    adopt(folder, study, path)
    results = list(Inline().execute(jobs(folder, study, None, "cpu", 1, planned_runs(study))))
    failed = [r for r in results if getattr(r, "state", "done") != "done"]
    assert not failed
    return {name: read(folder.run(RunId("toy", name, 0)).events) for name in SUITED}


def test_every_strategy_runs_to_the_seal_and_buys_ten(records: dict[str, Record]) -> None:
    for name, record in records.items():
        assert record.sealed, name
        assert len(set(record.rounds[0].query)) == 10, name


def test_no_strategy_changes_the_classifier_that_is_compared(records: dict[str, Record]) -> None:
    first = {
        name: (r.rounds[0].predictions, r.rounds[0].initial_weights, r.rounds[0].extra) for name, r in records.items()
    }
    weights = {r.rounds[1].initial_weights for r in records.values()}
    assert len({str(value) for value in first.values()}) == 1
    assert weights == {records["random"].rounds[0].initial_weights}


def test_what_a_query_cost_is_on_the_record_part_by_part(records: dict[str, Record]) -> None:
    for name, record in records.items():
        assert {"members_s", "features_s", "prepare_s", "query_s", "peak_memory_mib"} <= set(record.rounds[0].cost), (
            name
        )

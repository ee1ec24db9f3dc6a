"""The greedy label oracle: what it buys, who may see labels, and what becomes of it in the comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.figures import FIGURES, FigureInputs, StudyFigure
from analysis.loading.records import load_study
from analysis.verdict.decide import compare
from analysis.verdict.plan import plan_summary
from protocol.draws.splits import make_split
from protocol.errors import InputError, RuleBroken
from protocol.oracle.oracle import Oracle
from protocol.record.chain import read
from protocol.record.events import DisclosureEvent
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.executors.inline import Inline
from runners.loop import rounds
from runners.progress.job import Result
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.regimes import Resident
from runners.run.replay import replay_run
from runners.session import Session
from runners.strategies import Context, View
from runners.strategies.greedy_oracle import GreedyOracle
from runners.strategies.resolve import make, resolve_spec
from tests.support.toy_strategies import TOY

OWN = """
class Thief:
    needs = ("pool_labels",)
    def select(self, view, n, rng):
        return view.unlabelled[:n]
"""


def study_of(strategies: list[dict[str, object]]) -> Study:
    protocol = {
        "name": "toy",
        "data": {"name": "digits"},
        "splits": {"test_size": 1400},
        "budgets": [20, 30],
        "model": {"name": "small-cnn", "width": 4},
        "regime": {"name": "plain", "steps": 4, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}},
    }
    return parse(
        Study, {"name": "upper", "protocols": [protocol], "strategies": strategies, "seeds": [0, 1]}, "toy study"
    )


def run(path: Path, study: Study, *, isolate: bool = False) -> tuple[StudyFolder, list[str]]:
    study = study.model_copy(update={"strategies": tuple(resolve_spec(spec, path) for spec in study.strategies)})
    folder = StudyFolder(path)
    adopt(folder, study, path)
    results = list(Inline().execute(jobs(folder, study, None, "cpu", 1, planned_runs(study), isolate=isolate)))
    return folder, [r.message for r in results if isinstance(r, Result) and r.state == "failed"]


def trained_on(seen: list[list[int]], good: set[int]) -> Callable[..., Callable[..., torch.Tensor]]:
    """Return a training function that rewards `good` images.

    The classifier is the surer of the truth, the more of the `good` images it saw with their labels.
    """

    def train(indices: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], torch.Tensor]:
        seen.append(sorted(indices.tolist()))
        assert labels.tolist() == [1 + index % 2 for index in indices]
        sure = 0.2 + 0.7 * len(good & set(indices.tolist())) / len(good)
        return lambda wanted: torch.eye(3)[1 + wanted % 2] * (sure - 0.05) + 0.05

    return train


@pytest.mark.parametrize("parts", [1, 2])
def test_the_candidate_with_the_smallest_loss_is_bought(parts: int) -> None:
    index = np.arange(100, 120)
    features = {"probabilities": torch.full((20, 3), 1 / 3), "pool_labels": torch.tensor(1 + index % 2)}
    view = View(index, np.arange(3), np.zeros(3, np.int64), 3, 0, features)  # type: ignore[arg-type]  # keys are needs
    seen: list[list[int]] = []
    strategy = GreedyOracle(trials=6, parts=parts, judged=4)
    context = Context(view, torch.device("cpu"), torch.nn.Identity, lambda x: x, trained_on(seen, set(range(100, 110))))
    strategy.prepare(context, torch.Generator())
    bought = strategy.select(view, 4, np.random.default_rng(1))
    assert len(seen) == 7 * parts

    def good(batch: list[int]) -> int:
        return len(set(batch) & set(range(100, 110)))

    last = seen[-7:]
    assert sorted(bought.tolist()) in last
    assert good(bought.tolist()) == max(map(good, last)) > min(map(good, last))
    if parts == 2:
        first = bought[:2].tolist()
        assert good(first) == max(map(good, seen[:7])) > min(map(good, seen[:7]))
        assert all(set(first) <= set(batch) for batch in last)
    with pytest.raises(InputError) as caught:
        GreedyOracle(0, 0, 0)
    assert len(caught.value.faults) == 3


def test_only_the_upper_line_is_told_labels_and_it_is_on_the_record(tmp_path: Path) -> None:
    (tmp_path / "thief.py").write_text(OWN)
    thief: dict[str, object] = {"name": f"{tmp_path / 'thief.py'}:Thief", "label": "oracle-like"}
    upper: dict[str, object] = {"name": "oracle", "args": TOY["oracle"], "label": "ceiling"}
    study = study_of([{"name": "random"}, upper, {"name": "margin"}, thief])
    folder, failed = run(tmp_path / "study", study)
    assert len(failed) == 2
    assert [("BUD-06" in m, "only labels that were bought" in m) for m in failed] == [(True, True)] * 2, failed
    told = read(folder.run(RunId("toy", "ceiling", 0)).events).of(DisclosureEvent)
    assert [event.count for event in told] == [377]
    assert not read(folder.run(RunId("toy", "oracle-like", 0)).events).of(DisclosureEvent)
    assert not [f for f in check_study(folder.path).findings if f.rule == "BUD-06"]
    assert [again.answer for again in replay_run(folder.run(RunId("toy", "ceiling", 0)), None, None, None)] == [
        "equal"
    ] * 2


@pytest.mark.slow
def test_a_separate_oracle_tells_the_upper_line_alone(tmp_path: Path) -> None:
    folder, failed = run(
        tmp_path / "far", study_of([{"name": "random"}, {"name": "oracle", "args": TOY["oracle"]}]), isolate=True
    )
    assert not failed
    beside, _ = run(tmp_path / "near", study_of([{"name": "random"}, {"name": "oracle", "args": TOY["oracle"]}]))
    queries = [[r.query for r in read(f.run(RunId("toy", "oracle", 0)).events).rounds] for f in (folder, beside)]
    assert queries[0] == queries[1]
    assert len(read(folder.oracle(RunId("toy", "oracle", 0)).events).of(DisclosureEvent)) == 1


def test_it_is_shown_and_not_judged(tmp_path: Path) -> None:
    upper: dict[str, object] = {"name": "oracle", "args": TOY["oracle"], "label": "ceiling"}
    study = study_of([{"name": "random"}, upper, {"name": "margin"}])
    assert plan_summary(study).tests == 1
    folder, failed = run(tmp_path, study)
    assert not failed
    curves = load_study(folder.path)
    found = compare(curves)
    assert found.tests == 1
    assert [v.strategy for v in found.verdicts] == ["margin"]
    assert "toy/ceiling is an upper line that saw the pool's labels, not tested" in found.notes[-1]
    study_figure = FIGURES["learning-curves"](FigureInputs(curves, found))
    assert isinstance(study_figure, StudyFigure)
    assert set(study_figure.frame["strategy"]) == {"ceiling", "random", "margin"}


def test_without_the_name_the_oracle_refuses(toy_protocol: object) -> None:
    from protocol.spec.protocol import Protocol
    from protocol.spec.study import StrategySpec

    assert isinstance(toy_protocol, Protocol)
    images, labels = load(toy_protocol.data, None)
    split = make_split(toy_protocol, 0, images.train_size, images.test_size)
    oracle = Oracle(toy_protocol, 0, split, labels.for_oracle(), lambda *_: None)
    oracle.start()
    strategy = make(StrategySpec(name="oracle", args=dict(TOY["oracle"])), None)
    with pytest.raises(RuleBroken, match="BUD-06"):
        next(
            rounds(
                Session(toy_protocol, "x", 0, images, split, oracle, Resident.of(images, torch.device("cpu"))),
                strategy,
                0,
            )
        )

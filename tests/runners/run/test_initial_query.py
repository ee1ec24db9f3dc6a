"""Starting sets that strategies choose: which strategies can, and what is recorded.

Interruptions and other processes change nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.loading.records import load_study
from protocol.draws.seeds import generator
from protocol.draws.splits import make_split
from protocol.errors import InputError, RuleBroken
from protocol.formats.checklist import to_markdown
from protocol.oracle.oracle import Oracle
from protocol.record.chain import Record, essence, read
from protocol.record.events import LabelsEvent
from protocol.record.layout import RunFolder, StudyFolder
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt
from runners.progress.status import jobs as jobs_of
from runners.regimes import Learner, Resident, digest_of, prepare, untrained_learner
from runners.run import initial_query as module
from runners.run.initial_query import START, chooses, initial_query
from runners.run.perform import perform
from runners.run.replay import replay_run
from runners.session import Session
from runners.strategies import STRATEGIES, Strategy, View
from runners.strategies.core_set import k_center_greedy
from runners.study import StudySource
from runners.verbs.running.plan import starts as starts_told
from tests.support.study_builder import rewrite

NAMES = ("random", "margin", "core-set", "max-herding")


def table(initial: str = "strategy", **changes: Any) -> dict[str, Any]:
    regime = {"name": "plain", "steps": 4, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}}
    protocol = {"name": "toy", "data": {"name": "digits"}, "budgets": [20, 30, 45], "regime": regime}
    protocol |= {"splits": {"test_size": 200, "initial": initial}, "model": {"name": "small-cnn", "width": 4}}
    return protocol | changes


def study_of(names: tuple[str, ...] = NAMES, seeds: int = 1, **changes: Any) -> Study:
    told = {"name": "toy", "protocols": [table(**changes)], "seeds": list(range(seeds))}
    return parse(Study, told | {"strategies": [{"name": n} for n in names]}, "toy")


def job_of(path: Path, study: Study, strategy: str, *, isolate: bool = False) -> Job:
    adopt(StudyFolder(path), study, path)
    runs = [r for r in planned_runs(study) if r.strategy.id == strategy]
    return jobs_of(StudyFolder(path), study, None, "cpu", 1, runs, isolate)[0]


def folder_of(job: Job) -> RunFolder:
    return StudyFolder(job.study).run(job.run)


def start_of(record: Record) -> LabelsEvent:
    return next(e for e in record.of(LabelsEvent) if e.purpose == "initial")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, study = tmp_path_factory.mktemp("starts") / "study", study_of()
    for name in NAMES:
        assert perform(job_of(path, study, name)).state == "done"
    return path


@pytest.fixture
def study(made: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(made, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def record_of(study: StudyFolder | Path, strategy: str) -> Record:
    path = study.path if isinstance(study, StudyFolder) else study
    return read(StudyFolder(path).run(RunId("toy", strategy, 0)).events)


def broken(study: StudyFolder) -> list[str]:
    return [rule for rule in check_study(study.path).broken() if not rule.startswith(("ENV", "STA"))]


def test_who_can_chooses_and_all_others_share_randoms_start(made: Path, tmp_path: Path) -> None:
    started = {name: start_of(record_of(made, name)) for name in NAMES}
    assert {name: e.chosen for name, e in started.items()} == {
        "random": False,
        "margin": False,
        "core-set": True,
        "max-herding": True,
    }
    assert started["random"].indices == started["margin"].indices
    assert all(len(e.indices) == e.after == 20 for e in started.values())
    assert len({e.indices for e in started.values()}) == 3
    drawn = job_of(tmp_path / "drawn", study_of(("random",), initial="random"), "random")
    assert perform(drawn).state == "done"
    ours, theirs = record_of(made, "random"), read(folder_of(drawn).events)
    assert start_of(ours).indices == start_of(theirs).indices
    assert [r.predictions for r in ours.rounds] == [r.predictions for r in theirs.rounds]  # random is what it was
    assert broken(StudyFolder(made)) == []


def test_the_choice_is_made_on_the_embeddings_of_the_seeds_own_weights(made: Path) -> None:
    """Recompute the network that round 0 starts from, core-set on its embeddings, and the stream of the start."""
    protocol = study_of().protocols[0]
    images, _ = load(protocol.data, None)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    resident = Resident.of(images, torch.device("cpu"))
    learner = untrained_learner(protocol, images, split.pool, 0, resident)
    assert isinstance(learner, Learner)
    points = learner.predict(split.pool).embeddings
    rng = generator(protocol.root_seed, "query", 0, "start")
    expected = split.pool[k_center_greedy(points, points[:0], 20, rng)]
    assert start_of(record_of(made, "core-set")).indices == tuple(expected.tolist())


def test_untrained_means_the_weights_that_the_first_round_starts_from(made: Path) -> None:
    protocol = study_of().protocols[0]
    images, _ = load(protocol.data, None)
    resident = Resident.of(images, torch.device("cpu"))
    learner = untrained_learner(protocol, images, np.arange(100), 0, resident)
    assert (
        digest_of(protocol, learner.net.state_dict(), resident) == record_of(made, "random").rounds[0].initial_weights
    )


def test_a_pretrained_body_is_what_strategies_start_from(tmp_path: Path) -> None:
    sgd = {"name": "sgd", "lr": 0.05, "momentum": 0.9}
    own = {"method": "simsiam", "epochs": 1, "batch_size": 256, "optimizer": sgd}
    regime = table()["regime"] | {"pretraining": {"then": "linear-probe", "self_supervised": own}}
    protocol = parse(Protocol, table(regime=regime), "p")
    images, secret = load(protocol.data, None)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    plain = Resident.of(images, torch.device("cpu"))
    embedded, resident = prepare(protocol, images, plain, split.pool, None)
    oracle = Oracle(protocol, 0, split, secret.for_oracle(), lambda _: None)
    spec = StrategySpec(name="core-set")
    found = initial_query(
        Session(protocol, spec.id, 0, embedded, split, oracle, resident), spec, STRATEGIES["core-set"]()
    )
    features = torch.from_numpy(embedded.pixels[:, 0, 0])[torch.from_numpy(split.pool)]
    scaled = (features - features.mean(0)) / features.std(0)
    learner = untrained_learner(protocol, embedded, split.pool, 0, resident)
    assert isinstance(learner, Learner)
    points = learner.predict(split.pool).embeddings
    assert points.shape == scaled.shape  # the embeddings themselves, not a projection of them
    expected = k_center_greedy(points, points[:0], 20, generator(protocol.root_seed, "query", 0, "start"))
    assert found is not None
    assert (found == split.pool[expected]).all()


class ColdAndHungry(Strategy):
    """Can start without labels, but asks for a trained network's probabilities."""

    cold_start = True
    needs = ("probabilities",)

    def select(self, view: View, n: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        return view.unlabelled[:n]


def test_a_trained_network_is_not_there_yet() -> None:
    protocol = study_of().protocols[0]
    assert not chooses(protocol, StrategySpec(name="own.py:ColdAndHungry"), ColdAndHungry())
    can = [name for name, kind in STRATEGIES.items() if chooses(protocol, StrategySpec(name=name), kind())]
    assert can == ["core-set", "typiclust", "probcover", "facility-location", "max-herding"]
    drawn = study_of(initial="random").protocols[0]
    assert not [name for name, kind in STRATEGIES.items() if chooses(drawn, StrategySpec(name=name), kind())]


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_cut_after_any_line_it_continues_to_the_same_record(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    job = job_of(tmp_path / "cut", study_of(), "core-set")
    shutil.copytree(made / "records", job.study / "records")
    events = folder_of(job).events
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:cut]))
    if cut > 1:
        monkeypatch.setattr(module, "select", None)  # what is bought is not chosen a second time
    assert perform(job).state == "done"
    assert essence(read(folder_of(job).events)) == essence(record_of(made, "core-set"))


def test_it_works_with_the_labels_in_another_process(made: Path, tmp_path: Path) -> None:
    job = job_of(tmp_path / "apart", study_of(), "core-set", isolate=True)
    assert perform(job).state == "done"
    assert essence(read(folder_of(job).events)) == essence(record_of(made, "core-set"))
    ledger = read(StudyFolder(job.study).oracle(RunId("toy", "core-set", 0)).events)
    assert start_of(ledger).chosen


def test_replay_chooses_the_start_again(study: StudyFolder) -> None:
    run = study.run(RunId("toy", "max-herding", 0))
    assert [(o.round, o.answer) for o in replay_run(run, None, None, None)] == [
        (START, "equal"),
        (0, "equal"),
        (1, "equal"),
        (2, "equal"),
    ]
    assert [o.round for o in replay_run(run, [1], None, None)] == [1]
    margin = list(replay_run(study.run(RunId("toy", "margin", 0)), None, None, None))
    assert (margin[0].answer, "cannot choose" in margin[0].said) == ("equal", True)


def test_replay_finds_a_start_that_the_strategy_did_not_choose(study: StudyFolder) -> None:
    run = study.run(RunId("toy", "core-set", 0))
    other = next(
        i for i in range(1797) if not any(i in e.indices for e in record_of(study, "core-set").of(LabelsEvent))
    )
    rewrite(run.events, lambda e: e[1]["indices"].__setitem__(3, other))
    found = next(replay_run(run, None, None, None))
    assert found.answer == "differs"
    assert "19 of 20 labels reproduced, first difference at position 3" in found.said
    rewrite(run.events, lambda e: e[1].update(chosen=False))
    assert (
        "initial set recorded as drawn by the seed, but it is chosen by the strategy"
        in next(replay_run(run, None, None, None)).said
    )


@pytest.mark.parametrize(
    ("strategy", "line", "chosen", "rules"),
    [
        ("core-set", 1, False, ["SED-02", "SED-03"]),  # said to be drawn, and is not
        ("random", 1, True, ["SED-03"]),  # random's always is
        ("margin", 3, True, ["SED-03"]),  # a query is a strategy's in any case
    ],
)
def test_who_started_is_held_to_what_is_recorded(
    study: StudyFolder, strategy: str, line: int, chosen: bool, rules: list[str]
) -> None:
    rewrite(study.run(RunId("toy", strategy, 0)).events, lambda e: e[line].update(chosen=chosen))
    assert broken(study) == rules


def test_where_the_seed_draws_no_start_is_a_strategys_own(tmp_path: Path) -> None:
    drawn = study_of(("random", "margin"), initial="random")
    for name in ("random", "margin"):
        assert perform(job_of(tmp_path / "study", drawn, name)).state == "done"
    folder = StudyFolder(tmp_path / "study")
    assert broken(folder) == []
    other = next(i for i in range(1797) if not any(i in e.indices for e in record_of(folder, "margin").of(LabelsEvent)))
    rewrite(
        folder.run(RunId("toy", "margin", 0)).events,
        lambda e: (e[1].update(chosen=True), e[1]["indices"].__setitem__(0, other)),
    )
    assert [rule for rule in broken(folder) if rule.startswith("SED")] == ["SED-02", "SED-03"]


def test_equal_starts_of_two_seeds_are_no_replicate_counted_twice(tmp_path: Path) -> None:
    """Max-herding on one pool and frozen features chooses the same for every seed."""
    x = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    np.savez(tmp_path / "own.npz", features=x[:90], labels=labels[:90], test_features=x[90:], test_labels=labels[90:])
    changes = {"data": {"name": "features", "path": str(tmp_path / "own.npz")}, "model": {"name": "linear"}}
    study = study_of(("random", "max-herding"), seeds=2, splits={"initial": "strategy"}, **changes)
    adopt(folder := StudyFolder(tmp_path / "study"), study, tmp_path)
    for job in jobs_of(folder, study, None, "cpu", 1, planned_runs(study)):
        assert perform(job).state == "done", perform(job).message
    same = [start_of(read(folder.run(RunId("toy", "max-herding", seed)).events)).indices for seed in (0, 1)]
    assert set(same[0]) == set(same[1])
    assert broken(folder) == []


def test_the_oracle_lets_a_strategy_choose_only_where_the_protocol_does(study: StudyFolder) -> None:
    protocol = study_of(initial="random").protocols[0]
    images, secret = load(protocol.data, None)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    oracle = Oracle(protocol, 0, split, secret.for_oracle(), lambda _: None)
    with pytest.raises(RuleBroken, match="SED-03"):
        oracle.start(split.pool[:20])
    assert len(oracle.labelled) == 0


def test_readers_are_told_whose_starts_are_their_own(made: Path) -> None:
    [note] = load_study(made).notes
    assert note.startswith("toy: core-set, max-herding chose their own starting sets; all others share random's.")
    bought = load_study(made).bought
    sizes = {run.strategy: len(indices) for run, indices in bought.items()}
    assert sizes == {"random": 25, "margin": 25, "core-set": 45, "max-herding": 45}
    assert (
        "no: strategies that can choose their own do, all others share that of random, 20 labels | yes |"
        in to_markdown(check_study(made))
    )
    study = study_of()
    told = ["Initial sets of toy: chosen by core-set, max-herding; drawn by the seed for random, margin."]
    assert list(starts_told(StudySource(study, made, None))) == told


def test_regions_are_not_chosen_before_the_first_round() -> None:
    changes: dict[str, Any] = {
        "task": "segmentation",
        "metric": "mean_iou",
        "labelling": {"unit": "tile", "tile": [4, 4]},
    }
    with pytest.raises(InputError, match=r"set splits\.initial = 'random'"):
        parse(Protocol, table(**changes), "p")


def test_segmentation_starts_are_chosen_on_pooled_features(tmp_path: Path) -> None:
    protocol = {
        "name": "toy",
        "task": "segmentation",
        "metric": "mean_iou",
        "data": {"name": "digit-scenes"},
        "budgets": [5, 8],
    }
    protocol |= {
        "splits": {"initial": "strategy"},
        "model": {"name": "unet-small", "width": 4},
        "regime": table()["regime"],
    }
    study = parse(
        Study,
        {
            "name": "t",
            "protocols": [protocol],
            "seeds": [0],
            "strategies": [{"name": n} for n in ("random", "core-set")],
        },
        "t",
    )
    job = job_of(tmp_path / "study", study, "core-set")
    assert perform(job).state == "done", perform(job).message
    assert start_of(read(folder_of(job).events)).chosen

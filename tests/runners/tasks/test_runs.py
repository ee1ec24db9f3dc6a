"""Segmentation through the same loop, record, oracle and checker as classification."""

from __future__ import annotations

import dataclasses
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.figures import FIGURES, FigureInputs, StudyFigure
from analysis.loading.records import load_study
from analysis.secondary.changed_predictions import MapChange
from analysis.verdict.decide import compare
from protocol.digests import array_digest
from protocol.draws.shown_maps import draw_shown_maps, maps_digest
from protocol.draws.splits import make_split
from protocol.errors import InputError, RuleBroken
from protocol.metrics import VOID, confusion_matrices, segmentation_metrics
from protocol.oracle.oracle import Oracle
from protocol.record.chain import essence, read
from protocol.record.events import LabelsEvent
from protocol.record.layout import RunFolder, StudyFolder, predictions_digest, write_arrays
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.loop import rounds
from runners.progress.job import Stopped
from runners.purchases.load import load_purchases
from runners.regimes import Resident
from runners.run.perform import perform
from runners.run.replay import replay_run
from runners.session import Session
from runners.strategies import STRATEGIES
from runners.tasks import TASKS
from runners.verbs.running.plan import cost_of
from tests.support.made_jobs import made
from tests.support.study_builder import rewrite
from tests.support.toy_strategies import TOY


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    strategies = [{"name": "random"}, {"name": "entropy", "tuning": 0}, {"name": "core-set", "tuning": 0}]
    regime = {"name": "plain", "steps": 2, "batch_size": 4, "optimizer": {"name": "adam", "lr": 0.01}}
    table = {
        "name": "toy-maps",
        "task": "segmentation",
        "metric": "mean_iou",
        "data": {"name": "digit-scenes"},
        "budgets": [4, 6, 9],
        "model": {"name": "unet-small", "width": 2},
        "regime": regime | {"augmentation": {"flip": True, "zoom": [0.8, 1.25], "crop": 16, "colour": 0.2}},
    }
    study = parse(
        Study,
        {"name": "toy", "protocols": [table], "strategies": strategies, "seeds": [0, 1], "plan": {"test": "t"}},
        "toy",
    )
    path = tmp_path_factory.mktemp("maps") / "study"
    assert [perform(job).state for job in made(path, study)] == ["done"] * 6
    return path


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(finished, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def test_a_study_obeys_every_rule_and_queries_can_be_chosen_again(finished: Path) -> None:
    result = check_study(finished)
    not_this_machine = [r for r in result.results if not r.rule.id.startswith("ENV")]
    assert [r.rule.id for r in not_this_machine if r.answer != "obeyed"] == []
    again = list(replay_run(StudyFolder(finished).run(RunId("toy-maps", "entropy", 0)), None, None, None))
    assert [a.answer for a in again] == ["equal", "equal", "equal"]


def test_the_checker_counts_again_and_sees_what_was_altered(copied: StudyFolder) -> None:
    run = copied.run(RunId("toy-maps", "entropy", 0))
    with np.load(run.predictions(2)) as kept:
        counts = kept["confusion"].astype(np.int64)
    better = counts.copy()
    better[0, 0, 0] += better[0, 0, 1:].sum()  # rows keep their sums
    better[0, 0, 1:] = 0
    better[0, 1, 1] += 1  # and here one does not
    write_arrays(run.predictions(2), {"confusion": better})
    assert {"EVL-01", "EVL-02"} <= set(check_study(copied.path).broken())
    told = {"predictions": predictions_digest(better), "metrics": segmentation_metrics(better)}
    rewrite(run.events, lambda e: next(x for x in e if x["event"] == "round" and x["round"] == 2).update(told))
    assert "EVL-01" in check_study(copied.path).broken()
    assert "EVL-02" not in check_study(copied.path).broken()


def kept_maps(copied: StudyFolder) -> tuple[RunFolder, dict[str, np.ndarray[Any, Any]]]:
    """The sidecar of round 1 of one run, to be altered."""
    run = copied.run(RunId("toy-maps", "entropy", 0))
    with np.load(run.predictions(1)) as kept:
        return run, {name: kept[name].copy() for name in kept.files}


def alter(run: RunFolder, arrays: dict[str, np.ndarray[Any, Any]], *, digest: bool = True) -> None:
    """With `digest`, the record tells that of the altered maps."""
    write_arrays(run.predictions(1), arrays)
    if digest:
        told = {"maps": maps_digest(arrays["place"], arrays["map"])}
        rewrite(run.events, lambda e: next(x for x in e if x["event"] == "round" and x["round"] == 1).update(told))


def answers(copied: StudyFolder) -> tuple[list[str], list[str]]:
    found = [f for f in check_study(copied.path).findings if not f.rule.startswith("ENV")]
    return sorted({f.rule for f in found if f.answer == "broken"}), sorted(
        {f.rule for f in found if f.answer == "unverifiable"}
    )


def test_maps_of_the_same_few_test_images_are_kept(finished: Path) -> None:
    folder, protocol = StudyFolder(finished), protocol_of(finished)
    images, hidden = load(protocol.data, None)
    split = make_split(protocol, 1, images.train_size, images.test_size)
    for strategy in ("random", "core-set"):
        run = folder.run(RunId("toy-maps", strategy, 1))
        for event in read(run.events).rounds:
            with np.load(run.predictions(event.round)) as kept:
                places, maps, counts = kept["place"], kept["map"], kept["confusion"]
            assert places.tolist() == draw_shown_maps(protocol, 1, len(split.test), *images.pixels.shape[1:3]).tolist()
            assert event.maps == maps_digest(places, maps)
            truth = hidden.for_oracle()[split.test[places]]
            np.testing.assert_array_equal(confusion_matrices(maps, truth, len(images.classes)), counts[places])


def test_maps_exchanged_without_their_digest_are_seen(copied: StudyFolder) -> None:
    run, arrays = kept_maps(copied)
    arrays["map"][0, 0, 0] ^= 1
    alter(run, arrays, digest=False)
    assert answers(copied) == (["EVL-02"], [])


def test_maps_that_were_not_counted_are_seen(copied: StudyFolder) -> None:
    run, arrays = kept_maps(copied)
    arrays["map"][0] = arrays["map"][0].max() ^ 1
    alter(run, arrays)
    assert answers(copied) == (["EVL-02"], [])


@pytest.mark.parametrize("change", [lambda p: (p + 1) % 40, lambda p: p[::-1], lambda p: p[:-1], lambda p: p + 10**6])
def test_maps_of_other_images_are_seen(copied: StudyFolder, change: Callable[[Any], Any]) -> None:
    run, arrays = kept_maps(copied)
    alter(run, arrays | {"place": change(arrays["place"])})
    assert answers(copied) == (["EVL-02"], [])


@pytest.mark.parametrize("change", [lambda m: m.astype(np.int64), lambda m: m[0], lambda m: m[:0]])
def test_maps_that_are_none_cannot_be_verified(copied: StudyFolder, change: Callable[[Any], Any]) -> None:
    run, arrays = kept_maps(copied)
    alter(run, arrays | {"map": change(arrays["map"])})
    assert answers(copied) == ([], ["EVL-02"])


def test_a_record_without_maps_is_as_good(copied: StudyFolder) -> None:
    run, arrays = kept_maps(copied)
    write_arrays(run.predictions(1), {"confusion": arrays["confusion"]})
    assert answers(copied) == ([], ["EVL-02"])
    rewrite(run.events, lambda e: [x.pop("maps") for x in e if x["event"] == "round"])  # as older versions wrote it
    assert answers(copied) == ([], [])


def test_a_replay_sees_maps_that_training_does_not_give(copied: StudyFolder) -> None:
    rewrite(
        copied.run(RunId("toy-maps", "entropy", 0)).events,
        lambda e: next(x for x in e if x["event"] == "round").update(maps="0" * 64),
    )
    again = list(replay_run(copied.run(RunId("toy-maps", "entropy", 0)), [0], None, None))
    assert [(a.answer, "other predictions" in a.said) for a in again] == [("differs", True)]


def test_predictions_only_keeps_no_maps(finished: Path, tmp_path: Path) -> None:
    plan = StudyFolder(finished).read_plan()
    job = dataclasses.replace(next(j for j in made(tmp_path / "lean", plan) if j.strategy.id == "random"), tables=False)
    assert perform(job).state == "done"
    run = StudyFolder(tmp_path / "lean").run(RunId("toy-maps", "random", 0))
    assert {e.maps for e in read(run.events).rounds} == {""}
    with np.load(run.predictions(0)) as kept:
        assert kept.files == ["confusion"]


def test_a_metric_that_the_counts_do_not_give_is_seen(copied: StudyFolder) -> None:
    run = copied.run(RunId("toy-maps", "core-set", 1))
    rewrite(run.events, lambda e: next(x for x in e if x["event"] == "round")["metrics"].update(mean_iou=0.99))
    assert [r for r in check_study(copied.path).broken() if not r.startswith("ENV")] == ["EVL-01"]


def test_an_interrupted_run_gives_the_same_record(finished: Path, tmp_path: Path) -> None:
    job = next(j for j in made(tmp_path / "again", StudyFolder(finished).read_plan()) if j.strategy.id == "entropy")

    def stop(done: int, _: int) -> None:
        if done == 1:
            raise Stopped

    assert perform(job, stop).state == "stopped"
    assert perform(job).state == "done"
    again, before = (
        read(StudyFolder(p).run(RunId("toy-maps", "entropy", 0)).events) for p in (tmp_path / "again", finished)
    )
    assert essence(again) == essence(before)


def test_with_the_oracle_apart_the_record_is_the_same(finished: Path, tmp_path: Path) -> None:
    plan = StudyFolder(finished).read_plan()
    job = next(j for j in made(tmp_path / "apart", plan, isolate=True) if j.strategy.id == "entropy")
    assert perform(job).state == "done"
    apart, together = (
        read(StudyFolder(p).run(RunId("toy-maps", "entropy", 0)).events) for p in (tmp_path / "apart", finished)
    )
    assert essence(apart) == essence(together)


def protocol_of(finished: Path) -> Protocol:
    return StudyFolder(finished).read_plan().protocols[0]


def test_every_strategy_works_on_maps_or_is_refused_with_what_is_missing(finished: Path) -> None:
    protocol = protocol_of(finished)
    images, hidden = load(protocol.data, None)
    protocol = parse(Protocol, protocol.model_dump(mode="json") | {"budgets": [4, 7]}, "short")
    split = make_split(protocol, 0, images.train_size, images.test_size)
    split = dataclasses.replace(split, pool=split.pool[:40], test=split.test[:5])
    resident = Resident.of(images, torch.device("cpu"))
    works, refused = [], []
    for name, kind in STRATEGIES.items():
        accepted = inspect.signature(kind).parameters
        few = TOY.get(name, {}) | {key: value for key, value in (("samples", 3), ("members", 2)) if key in accepted}
        oracle = Oracle(protocol, 0, split, hidden.for_oracle(), lambda *_: None, classes=len(images.classes))
        oracle.start()
        run = rounds(Session(protocol, name, 0, images, split, oracle, resident), kind(**few), 0)
        if TASKS["segmentation"].adapt(kind(**few)) is None:
            with pytest.raises(InputError, match="a strategy for segmentation"):
                next(run)
            refused.append(name)
            continue
        outcome = next(run)
        assert len(set(outcome.query.tolist())) == 3
        assert np.isin(outcome.query, split.pool).all()
        works.append(name)
    assert {
        "random",
        "entropy",
        "margin",
        "least-confidence",
        "core-set",
        "typiclust",
        "badge",
        "bald",
        "ensemble-entropy",
        "cdal",
        "equal",
        "random-foreground",
    } <= set(works)
    assert {"oracle", "learning-loss", "batch-bald", "random-balanced"} <= set(refused)


def test_the_mean_over_pixels_is_what_an_uncertainty_strategy_ranks_by(finished: Path) -> None:
    entropy = TASKS["segmentation"].adapt_or_refuse(STRATEGIES["entropy"](), "entropy")
    p = torch.softmax(torch.randn(3, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0)), 2)
    by_hand = -(p[:, 0] * p[:, 0].log()).sum(1).mean((1, 2))
    torch.testing.assert_close(entropy.score_maps(p), by_hand)  # type: ignore[attr-defined]
    several = TASKS["segmentation"].adapt_or_refuse(STRATEGIES["bald"](), "bald")
    draws = torch.softmax(torch.randn(2, 7, 4, 5, 6, generator=torch.Generator().manual_seed(1)), 2)
    mean = draws.mean(1)
    total = -(mean * mean.log()).sum(1) + (draws * draws.log()).sum(2).mean(1)
    torch.testing.assert_close(several.score_maps(draws), total.mean((1, 2)))  # type: ignore[attr-defined]


def test_the_oracle_sells_whole_masks_and_reveals_no_other(finished: Path) -> None:
    protocol = protocol_of(finished)
    images, hidden = load(protocol.data, None)
    labels = hidden.for_oracle()
    split = make_split(protocol, 0, images.train_size, images.test_size)
    oracle = Oracle(protocol, 0, split, labels, lambda *_: None, classes=len(images.classes))
    oracle.start()
    assert oracle.labels_of(oracle.labelled)[1].shape == (4, 24, 24)
    np.testing.assert_array_equal(oracle.labels_of(oracle.labelled)[1], labels[oracle.labelled])
    with pytest.raises(RuleBroken, match="BUD-01"):
        oracle.buy(oracle.unlabelled[:3])
    with pytest.raises(RuleBroken, match="BUD-06"):
        oracle.disclose()


def test_a_protocol_of_another_task_is_refused() -> None:
    from runners.datasets.registry import refuse_other_task

    base = {"name": "x", "data": {"name": "digits"}, "budgets": [4], "model": {"name": "unet-small"}}
    regime = {"name": "plain", "steps": 1, "batch_size": 4, "optimizer": {"name": "adam", "lr": 0.01}}
    wrong = parse(Protocol, base | {"regime": regime, "task": "segmentation", "metric": "mean_iou"}, "p")
    with pytest.raises(InputError, match="digit-scenes"):
        refuse_other_task(wrong)
    with pytest.raises(InputError, match="mean_iou"):
        parse(Protocol, base | {"regime": regime, "task": "segmentation"}, "p")
    with pytest.raises(InputError, match="has no colour"):
        parse(Protocol, base | {"regime": regime | {"augmentation": {"colour": 0.1}}}, "p")


def test_two_data_sets_of_one_size_keep_their_own_test_labels(tmp_path: Path) -> None:
    from runners.run.open_oracle import LabelledData, SessionSpec, write_split

    study = StudyFolder(tmp_path)
    order = {"study": str(tmp_path), "plan": "", "strategy": StrategySpec(name="random"), "seed": 0, "data_root": None}
    base = {"name": "x", "splits": {"test_size": 50}, "budgets": [4], "model": {"name": "linear"}}
    regime = {"name": "plain", "steps": 1, "batch_size": 4, "optimizer": {"name": "adam", "lr": 0.01}}
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        np.savez(
            tmp_path / f"{seed}.npz",
            images=rng.integers(256, size=(90, 4, 4), dtype=np.uint8),
            labels=rng.integers(3, size=90),
        )
    loaded = []
    for seed in (0, 1):
        protocol = parse(
            Protocol, base | {"regime": regime, "data": {"name": "npz", "path": str(tmp_path / f"{seed}.npz")}}, "p"
        )
        spec = SessionSpec(protocol=protocol, **order)  # type: ignore[arg-type]
        loaded.append(LabelledData.load(spec))
        write_split(study, loaded[-1])
    assert loaded[0].split.digest == loaded[1].split.digest
    plain, own = study.split(loaded[0].split.digest), study.split(loaded[1].split.digest, loaded[1].targets)
    for path, data in zip((plain, own), loaded, strict=True):
        with np.load(path) as kept:
            assert array_digest(kept["targets"]) == data.targets


def test_metrics_are_those_of_scikit_learn_on_maps_with_void() -> None:
    from sklearn.metrics import accuracy_score, jaccard_score

    rng = np.random.default_rng(3)
    for classes in (2, 5, 11):
        target = rng.integers(classes, size=(4, 9, 7)).astype(np.uint8)
        predicted = np.where(rng.random(target.shape) < 0.4, target, rng.integers(classes, size=target.shape)).astype(
            np.uint8
        )
        target[rng.random(target.shape) < 0.2] = VOID
        known = target != VOID
        got = segmentation_metrics(confusion_matrices(predicted, target, classes))
        assert got["mean_iou"] == pytest.approx(jaccard_score(target[known], predicted[known], average="macro"))
        assert got["pixel_accuracy"] == pytest.approx(accuracy_score(target[known], predicted[known]))
        each = jaccard_score(target[known], predicted[known], average=None)
        assert [got[f"iou_{k}"] for k in range(classes)] == pytest.approx(each.tolist())


def test_a_class_in_neither_has_no_part_in_the_mean_and_void_alone_is_refused() -> None:
    counts = np.zeros((1, 3, 3), np.int64)
    counts[0, 0, 0], counts[0, 1, 0] = 6, 2
    assert segmentation_metrics(counts) == {"mean_iou": 0.375, "pixel_accuracy": 0.75, "iou_0": 0.75, "iou_1": 0.0}
    with pytest.raises(ValueError, match="not void"):
        segmentation_metrics(counts * 0)


def test_the_device_counts_as_the_checker_does() -> None:
    from runners.tasks.segmentation import count_confusions

    rng = np.random.default_rng(4)
    target = rng.choice([0, 1, 2, VOID], size=(5, 8, 6)).astype(np.uint8)
    predicted = rng.integers(3, size=target.shape)
    on_device = count_confusions(torch.from_numpy(predicted), torch.from_numpy(target), 3).numpy()
    np.testing.assert_array_equal(on_device, confusion_matrices(predicted, target, 3))


def test_what_a_plan_costs_is_measured(finished: Path) -> None:
    cost = cost_of(protocol_of(finished), None, "cpu", 1)
    assert cost.run > 0
    assert cost.pretraining == 0


def test_pictures_are_of_what_the_ledger_says_with_the_masks_of_those_frames(finished: Path) -> None:
    folder = StudyFolder(finished)
    bought = load_purchases(folder.path)
    assert [(s.strategy, s.seed, len(s.queries)) for s in bought.sheets] == [
        ("random", 0, 2),
        ("entropy", 0, 2),
        ("core-set", 0, 2),
    ]
    images, labels = load(folder.read_plan().protocols[0].data, None)
    for sheet in bought.sheets:
        ledger = [
            e
            for e in read(folder.run(RunId(sheet.protocol, sheet.strategy, 0)).events).of(LabelsEvent)
            if e.purpose == "query"
        ]
        for event, query in zip(ledger, sheet.queries, strict=True):
            assert query.indices == event.indices[: len(query.indices)]
            assert (query.before, query.after) == (event.before, event.after)
            np.testing.assert_array_equal(query.pixels, images.pixels[list(query.indices)])
            np.testing.assert_array_equal(query.masks, labels.for_oracle()[list(query.indices)])
    curves = load_study(finished)
    inputs = FigureInputs(curves, compare(curves), bought)
    study_figure = FIGURES["contact-sheet"](inputs)
    assert isinstance(study_figure, StudyFigure)
    assert len(study_figure.frame) == 3 * (2 + 3)
    classes = FIGURES["class-iou"](inputs)
    assert isinstance(classes, StudyFigure)
    assert set(classes.frame["label"]) == set(images.classes)


def test_changed_maps_are_those_of_the_first_and_the_last_round(finished: Path, copied: StudyFolder) -> None:
    folder = StudyFolder(finished)
    protocol = protocol_of(finished)
    images, labels = load(protocol.data, None)
    bought = load_purchases(folder.path)
    assert [(c.strategy, c.seed, c.budgets) for c in bought.changes] == [
        (s, 0, (4, 9)) for s in ("random", "entropy", "core-set")
    ]
    test = make_split(protocol, 0, images.train_size, images.test_size).test
    for change in bought.changes:
        assert isinstance(change, MapChange)
        run = folder.run(RunId("toy-maps", change.strategy, 0))
        first, last = (np.load(run.predictions(k)) for k in (0, 2))
        np.testing.assert_array_equal(change.before, first["map"][:3])
        np.testing.assert_array_equal(change.after, last["map"][:3])
        shown = test[first["place"][:3]]
        assert change.indices == tuple(shown.tolist())
        np.testing.assert_array_equal(change.pixels, images.pixels[shown])
        np.testing.assert_array_equal(change.truth, labels.for_oracle()[shown])
    curves = load_study(finished)
    study_figure = FIGURES["changed-predictions"](FigureInputs(curves, compare(curves), bought))
    assert isinstance(study_figure, StudyFigure)
    assert len(study_figure.frame) == 3 * 3
    run, arrays = kept_maps(copied)  # sidecars that hold no maps, or none of these images, are passed over
    write_arrays(run.predictions(0), {"confusion": arrays["confusion"]})
    write_arrays(copied.run(RunId("toy-maps", "random", 0)).predictions(2), arrays | {"place": arrays["place"] + 10**6})
    write_arrays(copied.run(RunId("toy-maps", "core-set", 0)).predictions(2), arrays | {"map": arrays["map"][:, 1:]})
    assert {c.seed for c in load_purchases(copied.path).changes} == {1}


def test_pictures_of_another_data_set_are_not_shown(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "other")
    folder = StudyFolder(tmp_path / "other")
    for events in folder.records.rglob("events.jsonl"):
        rewrite(events, lambda lines: lines[0]["data"].update(digest="0" * 64))
    bought = load_purchases(folder.path)
    assert bought.sheets == ()
    assert "is not the one of the runs" in bought.absent["toy-maps"]

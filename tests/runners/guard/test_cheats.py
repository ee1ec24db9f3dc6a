"""A gallery of cheats and careless mistakes: each is prevented or detected, and protocol/CHEATS.md says how."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.digests import array_digest
from protocol.draws.splits import make_split
from protocol.errors import Fault, InputError
from protocol.metrics import classification_metrics
from protocol.record.chain import read
from protocol.record.events import FailureEvent
from protocol.record.layout import StudyFolder, predictions_digest, write_arrays
from protocol.rules import check_study
from protocol.seal.manifest import differences, manifest_of, seal
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, resolve
from runners.run.perform import perform
from runners.run.replay import replay_run
from tests.runners.confine.test_walls import ATTEMPTS, PATCHES
from tests.support.own_strategy import job_of
from tests.support.study_builder import IMAGES, build_study, lines, make_labels, make_study, predict_otherwise, rewrite

PAGE = Path(__file__).resolve().parents[3] / "protocol" / "CHEATS.md"
Lines = list[dict[str, Any]]

# Strategies, run for real: the run refuses them, and the failed attempt stays in the record.
PREVENTED = {
    "asks for more labels than it may": ("return view.unlabelled[: n + 1]", "10 indices"),
    "asks for fewer and keeps them for later": ("return view.unlabelled[: n - 1]", "10 indices"),
    "asks for the same image twice": (
        "return list(view.unlabelled[: n - 1]) + [view.unlabelled[0]]",
        "distinct indices",
    ),
    "buys labels that it has already": (
        "return list(view.unlabelled[: n - 1]) + [view.labelled[0]]",
        "labelled already",
    ),
    "buys a test or validation image": (
        "pool = set(view.unlabelled) | set(view.labelled); "
        "return list(view.unlabelled[: n - 1]) + [next(i for i in range(1797) if i not in pool)]",
        "not in the pool",
    ),
    "accesses the oracle through its view": ("return view.oracle.labels[:n]", "no attribute 'oracle'"),
    "reads data that it did not declare": ("return view.members.argsort()[:n]", "members"),
    "asks for the labels of the pool": (
        "return view.unlabelled[:n]\n\nselect.needs = ('pool_labels',)",
        "only labels that were bought",
    ),
    "alters the labels it was given": ("view.labels[:] = 0; return view.unlabelled[:n]", "read-only"),
    "makes the labelled set writeable": ("object.__setattr__(view, 'labelled', []); view.labels += 1", "read-only"),
    "returns nothing and hopes for random": ("return None", "10 integers"),
    "ends its process before a failure can be noted": ("raise SystemExit(0)", "SystemExit"),
    "pretends to have been interrupted": ("from runners.progress.job import Stopped; raise Stopped", "Stopped"),
}


@pytest.mark.parametrize("name", PREVENTED)
def test_a_cheating_strategy_is_refused(name: str, toy_study: Study, tmp_path: Path) -> None:
    source, said = PREVENTED[name]
    job = job_of(tmp_path / "run", toy_study, source)
    result = perform(job)
    assert result.state == "failed"
    assert said in result.message
    record = read(StudyFolder(job.study).run(RunId("toy", job.strategy.id, 0)).events)
    assert len(record.of(FailureEvent)) == 1
    assert [e.purpose for e in record.events if e.event == "labels"] == ["initial"]


def test_draws_random_numbers_outside_its_generator(toy_study: Study, tmp_path: Path) -> None:
    job = job_of(
        tmp_path / "run",
        toy_study,
        "import numpy, os; return numpy.random.default_rng().choice(view.unlabelled, n, False)",
    )
    assert perform(job).state == "done"
    run = StudyFolder(job.study).run(RunId("toy", job.strategy.id, 0))
    assert [r.answer for r in replay_run(run, None, None, None)] == ["differs", "differs", "equal"]


def forged(path: Path, study: Study, forge: Callable[[StudyFolder], object]) -> StudyFolder:
    """Random and margin, run for real; then the same, as a forger wishes, with every digest and the chain to match."""
    folder = StudyFolder(path / "study")
    whole = resolve(study.model_copy(update={"seeds": (0,)}), path)
    adopt(folder, whole, path)
    assert {perform(job).state for job in jobs(folder, whole, None, "cpu", 1, planned_runs(whole))} == {"done"}
    forge(folder)
    assert {r.rule.id for r in check_study(folder.path).results if r.answer == "broken"} <= {"STA-01", "ENV-01"}
    return folder


def weaken_random_later(study: StudyFolder) -> None:
    """All but its first round."""
    run = study.run(RunId("toy", "random", 0))
    split = next(e for e in lines(run.events) if e["event"] == "run")["split"]
    with np.load(study.split(split["digest"])) as arrays:
        targets = arrays["targets"]
    told = {}
    for number in (1, 2):
        predicted = (targets + (np.arange(len(targets)) % 2)) % 10  # half of them right
        told[number] = {
            "predictions": run.write_predictions(number, predicted),
            "metrics": classification_metrics(predicted, targets),
        }
    rewrite(run.events, lambda e: [x.update(told[x["round"]], probabilities="") for x in e if x.get("round") in told])


def retarget(targets: str, rounds: dict[int, dict[str, Any]], events: list[dict[str, Any]]) -> None:
    """Set the digest of the targets, and what changes with them in every round."""
    events[0]["split"].update(targets=targets)
    for event in events:
        if event["event"] == "round":
            event.update(rounds[event["round"]])


def let_the_test_labels_be_what_margin_predicts(study: StudyFolder) -> None:
    """In the end; metrics of all runs follow."""
    path = study.split(
        next(e for e in lines(study.run(RunId("toy", "margin", 0)).events) if e["event"] == "run")["split"]["digest"]
    )
    with np.load(path) as arrays, np.load(study.run(RunId("toy", "margin", 0)).predictions(2)) as last:
        split = dict(arrays) | {"targets": last["prediction"].astype(np.int64)}
    write_arrays(path, split)
    for strategy in ("random", "margin"):
        run = study.run(RunId("toy", strategy, 0))
        told = {}
        for number in range(3):
            with np.load(run.predictions(number)) as arrays:
                metrics = classification_metrics(arrays["prediction"], split["targets"])
            told[number] = {"metrics": metrics, "probabilities": ""}
        rewrite(run.events, partial(retarget, array_digest(split["targets"]), told))


REPLAYED: dict[str, tuple[Callable[[StudyFolder], object], str, list[str], str]] = {
    "weakens random after its first round": (
        weaken_random_later,
        "random",
        ["equal", "differs", "differs"],
        "gave other predictions",
    ),
    "replaces test labels by its predictions": (
        let_the_test_labels_be_what_margin_predicts,
        "margin",
        ["differs", "differs", "differs"],
        "accuracy of the same predictions is",
    ),
}


@pytest.mark.parametrize("name", REPLAYED)
def test_a_forgery_that_obeys_every_rule_is_found_by_making_it_again(
    name: str, toy_study: Study, tmp_path: Path
) -> None:
    forge, strategy, answers, said = REPLAYED[name]
    folder = forged(tmp_path, toy_study, forge)
    outcomes = list(replay_run(folder.run(RunId("toy", strategy, 0)), None, None, None))
    assert [o.answer for o in outcomes] == answers
    assert said in outcomes[-1].said


def test_a_forgery_of_random_is_not_found_where_the_data_are_not(
    toy_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise InputError(Fault("data set", "the files", "nothing"))

    folder = forged(tmp_path, toy_study, weaken_random_later)
    monkeypatch.setattr("runners.run.kept_data.load", absent)
    outcomes = list(replay_run(folder.run(RunId("toy", "random", 0)), None, None, None))
    assert [(o.round, o.answer, "not trained again" in o.said) for o in outcomes] == [
        (0, "equal", True),
        (1, "equal", True),
    ]


def test_tries_again_until_it_likes_the_result(toy_study: Study, tmp_path: Path) -> None:
    job = job_of(tmp_path / "run", toy_study, "return view.unlabelled[:n]")
    assert perform(job).state == "done"
    record = StudyFolder(job.study).run(RunId("toy", job.strategy.id, 0)).events
    first = read(record)
    assert perform(job).state == "done"
    assert read(record).head == first.head  # a sealed run is never made again
    record.unlink()
    assert perform(job).state == "done"
    again = read(record)
    assert [r.metrics for r in again.rounds] == [r.metrics for r in first.rounds]  # and made anew it is the same


# Edits of a finished study: 0 run, 1 validation, 2 initial, 3 round, 4 query, 5 round, 6 query, 7 round, 8 seal.
def of_first(edit: Callable[[Lines], object], *, rechain: bool = True) -> Callable[[StudyFolder], object]:
    return lambda s: rewrite(s.run(RunId("small", "first", 0)).events, edit, rechain=rechain)


def image_of_test(events: Lines) -> int:
    return int(make_split(parse(Protocol, events[0]["protocol"], "p"), events[0]["replicate"], IMAGES, 0).test[0])


def train_on_test(events: Lines) -> None:
    events[3]["query"][0] = events[4]["indices"][0] = image_of_test(events)


def buy_more(events: Lines) -> None:
    bought = {i for e in events if e["event"] == "labels" for i in e["indices"]}
    pool = make_split(parse(Protocol, events[0]["protocol"], "p"), 0, IMAGES, 0).pool
    extra = [int(i) for i in pool if i not in bought][:4]
    events[4]["indices"] += extra
    events[3]["query"] += extra


def swap(study: StudyFolder) -> None:
    a, b = (study.run(RunId("small", "first", seed)).path for seed in (0, 1))
    a.rename(a.with_name("aside"))
    b.rename(a)
    a.with_name("aside").rename(b)


def copy_curve(study: StudyFolder) -> None:
    target = study.run(RunId("small", "first", 0)).path
    shutil.rmtree(target)
    shutil.copytree(study.run(RunId("small", "last", 0)).path, target)


def edit_plan(study: StudyFolder, change: Callable[[dict[str, Any]], object]) -> None:
    plan = json.loads(study.plan.read_bytes())
    change(plan)
    study.plan.write_text(json.dumps(plan))


def drop_seed(study: StudyFolder) -> None:
    edit_plan(study, lambda plan: plan["seeds"].remove(1))
    for strategy in ("random", "first", "last"):
        shutil.rmtree(study.run(RunId("small", strategy, 1)).path)


def bring_from_another_study(study: StudyFolder) -> None:
    """One with the same protocol, strategies and seeds, and other settings tried before."""
    target = study.run(RunId("small", "first", 0)).path
    tried = [{"name": "random"}, {"name": "first", "tuning": 50}, {"name": "last"}]
    other = build_study(study.path.with_name("other"), make_study(strategies=tried))
    shutil.rmtree(target)
    shutil.copytree(other.run(RunId("small", "first", 0)).path, target)


def forge_predictions(study: StudyFolder, *, metric: bool) -> None:
    """Perfect predictions in the last round; with `metric` the whole record is made to go with them."""
    run = study.run(RunId("small", "first", 0))
    events = lines(run.events)
    targets = make_labels()[make_split(parse(Protocol, events[0]["protocol"], "p"), 0, IMAGES, 0).test]
    write_arrays(run.predictions(2), {"prediction": targets.astype(np.uint8)})
    if metric:
        better = {"metrics": classification_metrics(targets, targets), "predictions": predictions_digest(targets)}
        rewrite(run.events, lambda e: e[7].update(better))


DETECTED: dict[str, tuple[Callable[[StudyFolder], object], str]] = {
    "edits a metric": (of_first(lambda e: e[7]["metrics"].update(accuracy=0.99), rechain=False), "QRY-01 EVL-01"),
    "edits a metric and repairs the chain": (of_first(lambda e: e[7]["metrics"].update(accuracy=0.99)), "EVL-01"),
    "replaces the predictions": (lambda s: forge_predictions(s, metric=False), "EVL-01 EVL-02"),
    "trains on a test image": (of_first(train_on_test), "BUD-04"),
    "buys past the budget": (of_first(buy_more), "BUD-01"),
    "replaces what was bought": (of_first(lambda e: e[4]["indices"].reverse()), "QRY-02"),
    "uses a larger validation set for free": (of_first(lambda e: e[1].update(after=0)), "BUD-05"),
    "has the labels of the pool disclosed": (
        of_first(lambda e: e.insert(3, {"event": "disclosure", "count": 9, "images": "1" * 64, "time": e[3]["time"]})),
        "BUD-06",
    ),
    "keeps weights from round to round": (of_first(lambda e: e[5].update(initial_weights="1" * 64)), "TRN-02"),
    "starts from lucky weights": (
        of_first(lambda e: [e[k].update(initial_weights="1" * 64) for k in (3, 5, 7)]),
        "TRN-03",
    ),
    "tunes only itself": (of_first(lambda e: [e[k].update(recipe="1" * 64) for k in (3, 5, 7)]), "TRN-01"),
    "trains all strategies, random too, for fewer steps": (
        lambda s: [
            rewrite(p, lambda e: [e[k].update(steps=1) for k in (3, 5, 7)]) for p in s.records.rglob("events.jsonl")
        ],
        "TRN-04",
    ),
    "weakens random from the start": (
        lambda s: predict_otherwise(s.run(RunId("small", "random", 0)), lambda p, _: p.fill(0)),
        "TRN-11",
    ),
    "starts from another pretrained body": (
        of_first(lambda e: [e[k].update(pretrained="1" * 64) for k in (3, 5, 7)]),
        "TRN-03",
    ),
    "plans some of the seeds that it ran": (lambda s: edit_plan(s, lambda p: p.update(seeds=[1])), "SED-05"),
    "picks its own seeds": (of_first(lambda e: e[0]["seeds"].update(batches=7)), "SED-01"),
    "picks its own starting set": (
        of_first(lambda e: e[2]["indices"].__setitem__(0, image_of_test(e))),
        "SED-02 SED-03",
    ),
    "drops a bad seed": (lambda s: shutil.rmtree(s.run(RunId("small", "first", 1)).path), "CMP-01"),
    "drops random where it was good": (
        lambda s: shutil.rmtree(s.run(RunId("small", "random", 1)).path),
        "CMP-01 CMP-04",
    ),
    "adds a lucky seed": (
        lambda s: shutil.copytree(s.run(RunId("small", "first", 1)).path, s.run(RunId("small", "first", 7)).path),
        "CMP-02",
    ),
    "swaps the seeds of two runs": (swap, "PRO-03"),
    "copies another strategy's curve": (copy_curve, "PRO-03"),
    "stops while it is ahead": (of_first(lambda e: e.__delitem__(slice(6, 9))), "CMP-03"),
    "stops while it is ahead and seals": (
        of_first(lambda e: (e.__delitem__(slice(6, 8)), e[-1].update(rounds=2))),
        "BUD-02",
    ),
    "changes the protocol for itself": (of_first(lambda e: e[0]["protocol"].update(root_seed=5)), "PRO-01"),
    "inserts a run of another protocol": (of_first(lambda e: e[0].update(fingerprint="1" * 64)), "PRO-02"),
    "changes the plan after the results": (lambda s: edit_plan(s, lambda p: p["plan"].update(delta=0.2)), "PRO-03"),
    "takes a losing strategy out of the plan": (
        lambda s: edit_plan(s, lambda p: p["strategies"].pop()),
        "PRO-03 CMP-02",
    ),
    "takes a bad seed out of plan and records": (drop_seed, "PRO-03"),
    "inserts a record from another study": (bring_from_another_study, "PRO-03"),
    "sets its arguments seed by seed": (of_first(lambda e: e[0]["strategy"].update(args={"k": 3})), "PRO-03"),
    "uses another strategy's name": (of_first(lambda e: e[0]["strategy"].update(name="last")), "PRO-03"),
    "removes a line it dislikes": (of_first(lambda e: e.pop(5), rechain=False), "QRY-01"),
    "reorders lines": (of_first(lambda e: e.insert(4, e.pop(5)), rechain=False), "QRY-01"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_study(tmp_path_factory.mktemp("cheats") / "study", make_study()).path


@pytest.fixture
def study(built: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(built, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


@pytest.mark.parametrize("name", DETECTED)
def test_a_cheat_with_the_files_is_detected(name: str, built: Path, study: StudyFolder) -> None:
    do, rules = DETECTED[name]
    before = set(check_study(built).broken())
    do(study)
    result = check_study(study.path)
    assert set(rules.split()) <= set(result.broken()) - before
    assert result.exit_code == 1


ONLY_SEALED: dict[str, Callable[[StudyFolder], object]] = {
    "rewrites predictions, metric and chain": lambda s: forge_predictions(s, metric=True),
    "changes the plan after the results, and all records with it": lambda s: (
        edit_plan(s, lambda plan: plan["plan"].update(delta=0.2)),
        [
            rewrite(path, lambda e: e[0].update(study=s.read_plan().fingerprint))
            for path in s.records.rglob("events.jsonl")
        ],
    ),
    "removes a failed attempt and repairs the chain": lambda s: rewrite(
        s.run(RunId("small", "last", 1)).events, lambda e: [e.remove(x) for x in list(e) if x["event"] == "failure"]
    ),
}


@pytest.mark.parametrize("name", ONLY_SEALED)
def test_a_perfect_forgery_is_seen_against_the_seal_alone(name: str, study: StudyFolder) -> None:
    failed = {"event": "failure", "round": 1, "kind": "Diverged", "message": "once", "details": ""}
    rewrite(study.run(RunId("small", "last", 1)).events, lambda e: e.insert(4, failed | {"time": e[4]["time"]}))
    sealed, before = seal(study), set(check_study(study.path).broken())
    ONLY_SEALED[name](study)
    assert set(check_study(study.path).broken()) <= before
    assert differences(sealed, manifest_of(study))


def test_the_page_names_every_cheat_of_the_gallery() -> None:
    page = PAGE.read_text(encoding="utf-8")
    further = ["draws random numbers outside its generator", "tries again until it likes the result"]
    names = [*PREVENTED, *ATTEMPTS, *PATCHES, *DETECTED, *REPLAYED, *ONLY_SEALED, *further]
    assert len(names) >= 20
    assert [name for name in names if f"| {name} |" not in page] == []


def test_the_page_names_tests_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    tests = {path.name for path in PAGE.parents[1].joinpath("tests").rglob("test_*.py")}
    named = set(re.findall(r"`(test_\w+\.py)`", page))
    assert len(named) >= 8
    assert named <= tests

"""Break exactly one thing in a valid study: exactly the rules that must fire do.

Lines of a record: 0 run, 1 validation, 2 initial, 3 round, 4 query, 5 round, 6 query, 7 round, 8 seal.
Every forger repairs the hash chain unless the case says otherwise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.digests import array_digest, sha256
from protocol.draws.seeds import stream_seeds
from protocol.draws.splits import Split, make_split
from protocol.metrics import classification_metrics
from protocol.record.amendments import amend
from protocol.record.events import FailureEvent, ResumeEvent
from protocol.record.layout import predictions_digest, write_arrays, write_atomically
from protocol.rules import RULES, check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from tests.support.study_builder import (
    ENVIRONMENT,
    IMAGES,
    build_study,
    lines,
    make_labels,
    obedient_study,
    predict_otherwise,
    protocol_table,
    rewrite,
)

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A change, and the rules that are then broken and unverifiable."""

    name: str
    do: Callable[[Any], object]
    broken: str
    unverifiable: str = ""


def edit(
    name: str, change: Callable[[Lines], object], broken: str, unverifiable: str = "", *, rechain: bool = True
) -> Case:
    return Case(name, lambda v: v.edit(change, rechain=rechain), broken, unverifiable)


NEEDS_FILE = "CMP-03 QRY-01"
NEEDS_RUN = " ".join(r.id for r in RULES.values() if r.needs == "run")


def flip(digest: str) -> str:
    return ("0" if digest[0] != "0" else "1") + digest[1:]


def flip_at(event: dict[str, Any], key: str) -> None:
    event[key] = flip(event[key])


def split_of(events: Lines) -> Split:
    """Draw the split of a record again."""
    return make_split(parse(Protocol, events[0]["protocol"], "p"), events[0]["replicate"], IMAGES, 0)


def unbought(events: Lines) -> int:
    """Return an image of the pool that the run never bought."""

    return not_bought([events])


def not_bought(records: list[Lines]) -> int:
    bought = {i for events in records for e in events if e["event"] == "labels" for i in e["indices"]}
    return int(next(i for i in split_of(records[0]).pool[::-1] if i not in bought))


def both(events: Lines, round_: int, change: Callable[[list[int]], object]) -> None:
    """Make the same change to a round's query and to the purchase after it."""
    change(events[round_]["query"])
    events[round_ + 1]["indices"] = list(events[round_]["query"])


def replace_first(value: Callable[[Lines], int], round_: int = 3) -> Callable[[Lines], None]:
    def change(events: Lines) -> None:
        new = value(events)
        both(events, round_, lambda q: q.__setitem__(0, new))

    return change


def of_part(part: str) -> Callable[[Lines], int]:
    def pick(events: Lines) -> int:

        return int(getattr(split_of(events), part)[0])

    return pick


def overbuy(events: Lines) -> None:
    new = unbought(events)
    both(events, 5, lambda q: q.append(new))
    events[6]["after"] += 1


def swap_initial(events: Lines) -> None:
    events[2]["indices"][0] = unbought(events)


def other_predictions(victim: Any, *, digest: bool, metrics: bool) -> None:
    predicted = np.zeros(40, np.int64)
    write_arrays(victim.run.predictions(1), {"prediction": predicted})

    def change(events: Lines) -> None:
        if digest:
            events[5]["predictions"] = predictions_digest(predicted)
        if metrics:
            events[5]["metrics"] = {"accuracy": 1.0}

    victim.edit(change)


def change_split(victim: Any, change: Callable[[dict[str, Any]], object], *, digest: bool) -> None:
    """Change the split file of seed 0; with `digest` all three records that use it are forged to agree."""
    old = victim.split
    with np.load(old) as arrays:
        content: dict[str, Any] = {key: arrays[key] for key in arrays}
    change(content)
    if not digest:
        write_arrays(old, content)
        return
    new = array_digest(content["pool"], content["validation"], content["test"])
    write_arrays(victim.folder.split(new), content)
    for strategy in victim.study.strategies:

        def forge(events: Lines) -> None:
            events[0]["split"] = {
                **{part: len(content[part]) for part in ("pool", "validation", "test")},
                "digest": new,
                "targets": array_digest(content["targets"]),
            }

        rewrite(victim.folder.run(RunId("small", strategy.id, 0)).events, forge)


def move(content: dict[str, Any], source: str, target: str, *, keep: bool) -> None:
    """Add the last image of one part to another part; without `keep` remove it from the first."""
    image = content[source][-1]
    if not keep:
        content[source] = content[source][:-1]
    content[target] = np.sort(np.append(content[target], image))


def forge_protocol(victim: Any, *, fingerprint: bool) -> None:
    def change(events: Lines) -> None:

        events[0]["protocol"]["regime"]["steps"] = 50
        if fingerprint:
            events[0]["fingerprint"] = parse(Protocol, events[0]["protocol"], "p").fingerprint

    victim.edit(change)


def failure(events: Lines) -> None:
    events.insert(
        5, json.loads(FailureEvent(round=1, kind="OSError", message="full").model_dump_json(exclude={"time"}))
    )


def first_image_is(image: int) -> Callable[[Lines], None]:
    """Return an edit that puts this image first in the start."""

    def edit(events: Lines) -> None:
        events[2]["indices"][0] = image

    return edit


def choose_all_starts(victim: Any) -> None:
    """Replace the first image of the start by a hand-picked one, the same for every strategy of a seed."""
    for seed in victim.study.seeds:
        paths = [victim.folder.run(RunId("small", s.id, seed)).events for s in victim.study.strategies]
        image = not_bought([lines(path) for path in paths])
        for path in paths:
            rewrite(path, first_image_is(image))


def replan(victim: Any, **changes: Any) -> None:
    table = json.loads(victim.folder.plan.read_bytes())
    victim.folder.plan.write_text(json.dumps(table | changes))


def refer(victim: Any, reference: dict[str, Any]) -> None:
    """Add a reference for random, which the protocol did not have."""
    replan(
        victim,
        protocols=[
            obedient_study().protocols[0].model_dump(mode="json") | {"reference": {"source": "Nobody 2026"} | reference}
        ],
    )


def forget_reference(victim: Any) -> None:
    """Remove from the plan the reference for random that the runs recorded."""
    for path in victim.folder.records.rglob("events.jsonl"):
        rewrite(path, lambda e: e[0]["protocol"].update(reference={"source": "Nobody 2026", "values": {"22": 0.99}}))


def own_source(victim: Any, kept: bytes | None) -> None:
    """Make `first` a user-defined strategy with source b"one", and keep `kept` as its source in the study."""
    specs = [s.model_dump(mode="json") for s in victim.study.strategies]
    specs[1] |= {"name": "mine.py:first", "label": "first", "source_digest": sha256(b"one")}
    replan(victim, strategies=specs)
    study = victim.folder.read_plan()
    for path in victim.folder.records.rglob("events.jsonl"):

        def forge(events: Lines) -> None:
            events[0]["study"] = study.fingerprint
            if events[0]["strategy"]["name"] == "first":
                events[0]["strategy"] = specs[1]

        rewrite(path, forge)
    if kept is not None:
        write_atomically(victim.folder.source("first", sha256(b"one")), kept)


DATA = array_digest(make_labels())


def tune(victim: Any, settings: int | None, last: int = 2) -> None:
    """Change the number of settings tried for one strategy, in the plan and in all records."""
    study = obedient_study(
        strategies=[{"name": "random"}, {"name": "first", "tuning": settings}, {"name": "last", "tuning": last}]
    )
    victim.folder.plan.write_text(study.model_dump_json())
    for path in victim.folder.records.rglob("events.jsonl"):

        def forge(events: Lines) -> None:
            events[0]["study"] = study.fingerprint
            if events[0]["strategy"]["name"] == "first":
                events[0]["strategy"]["tuning"] = settings

        rewrite(path, forge)


def everywhere(victim: Any, change: Callable[[dict[str, Any]], object]) -> None:
    """Make the same change to every round of every run."""
    for path in victim.folder.records.rglob("events.jsonl"):
        rewrite(path, lambda e: [change(x) for x in e if x["event"] == "round"])


def begin_worse(victim: Any, strategy: str, seed: int) -> None:
    """Predict the first test image that was right wrong, in every round."""

    def worse(predicted: Any, targets: Any) -> None:
        at = np.flatnonzero(predicted == targets)[0]
        predicted[at] = (targets[at] + 1) % 3

    predict_otherwise(victim.folder.run(RunId("small", strategy, seed)), worse)


def resumed(next_round: int, dropped: int = 0, **environment: Any) -> dict[str, Any]:
    event = ResumeEvent(next_round=next_round, dropped_bytes=dropped, environment=ENVIRONMENT | environment)
    line: dict[str, Any] = json.loads(event.model_dump_json(exclude={"time"}))
    return line


def at_once(events: Lines) -> None:
    """Give all lines one time, though training took seconds."""
    for event in events:
        event["time"] = events[0]["time"]
        if event["event"] == "round":
            event["cost"]["train_s"] = 9.0


def torn(victim: Any, change: Callable[[dict[str, Any]], object]) -> None:
    """Interrupt the run while it writes round 1, changed by `change`; only the end of the line is missing."""
    event = lines(victim.run.events)[5]
    change(event)
    tail = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()[:-90]
    (victim.run.path / "events.torn-0").write_bytes(tail)
    victim.edit(lambda e: e.insert(5, resumed(1, len(tail))))


def start_of_another_seed(victim: Any) -> None:
    """Start every strategy of seed 0 from the images of seed 1."""
    start = lines(victim.folder.run(RunId("small", "first", 1)).events)[2]["indices"]
    for strategy in victim.study.strategies:
        rewrite(victim.folder.run(RunId("small", strategy.id, 0)).events, lambda e: e[2].update(indices=start))


def curve_of_another_seed(victim: Any) -> None:
    """Forge predictions of seed 1 that give the metrics of seed 0."""
    mine, other = victim.run, victim.folder.run(RunId("small", "first", 1))
    digests = []
    for number, event in enumerate(e for e in lines(mine.events) if e["event"] == "round"):
        with np.load(mine.predictions(number)) as arrays:
            right = arrays["prediction"] == make_labels()[split_of(lines(mine.events)).test]
        targets = make_labels()[split_of(lines(other.events)).test]
        predicted = np.where(right, targets, (targets + 1) % 3)
        digests.append(
            (predictions_digest(predicted), event["metrics"]["accuracy"], classification_metrics(predicted, targets))
        )
        write_arrays(other.predictions(number), {"prediction": predicted})

    def forge(events: Lines, *, both_metrics: bool) -> None:
        for k, (digest, accuracy, metrics) in zip((3, 5, 7), digests, strict=True):
            if both_metrics:
                events[k]["predictions"] = digest
            events[k]["metrics"] = {"accuracy": accuracy if not both_metrics else metrics["accuracy"]}

    rewrite(mine.events, lambda e: forge(e, both_metrics=False))
    rewrite(other.events, lambda e: forge(e, both_metrics=True))


def alike(victim: Any, kind: str, *, digest: bool) -> None:
    """Give a test image of seed 0 and an image of its pool one group number."""
    split, other = (
        split_of(lines(victim.run.events)),
        split_of(lines(victim.folder.run(RunId("small", "first", 1)).events)),
    )
    pool_of_both = np.intersect1d(split.pool, other.pool)
    content = {"content": np.arange(IMAGES), "look": np.arange(IMAGES)}
    content[kind][split.test[0]] = content[kind][pool_of_both[0]]
    write_arrays(victim.folder.twins(DATA), content)
    if digest:
        for path in victim.folder.records.rglob("events.jsonl"):
            rewrite(path, lambda e: e[0]["data"].update(twins=array_digest(content["content"], content["look"])))


def replanned(**plan: Any) -> Study:
    return obedient_study(plan={"test": "t"} | plan)


def history_is_cut(victim: Any) -> None:
    """Make two amendments and delete the first."""
    amend(victim.folder, replanned(delta=0.2), "too strict")
    amend(victim.folder, replanned(delta=0.3), "still too strict")
    kept = victim.folder.amendments.read_bytes().splitlines(keepends=True)
    victim.folder.amendments.write_bytes(kept[0].replace(b'"after":"', b'"after":"0') + kept[1])


DISCLOSED = {"event": "disclosure", "seq": 3, "prev": "", "count": 30, "images": "0" * 64}
SPLIT_USERS = "SPL-03 SPL-04 SPL-06 SPL-07 SPL-08 BUD-04 SED-03 EVL-01"
CASES = [
    # completeness
    Case("a run is missing", lambda v: shutil.rmtree(v.run.path), "CMP-01", f"{NEEDS_FILE} {NEEDS_RUN}"),
    Case("only the record is missing", lambda v: v.run.events.unlink(), "CMP-01", f"{NEEDS_FILE} {NEEDS_RUN}"),
    Case(
        "a random run is missing",
        lambda v: shutil.rmtree(v.folder.run(RunId("small", "random", 0)).path),
        "CMP-01 CMP-04",
        f"{NEEDS_FILE} {NEEDS_RUN}",
    ),
    Case("no run at all", lambda v: shutil.rmtree(v.folder.records), "CMP-01 CMP-04", f"{NEEDS_FILE} {NEEDS_RUN}"),
    Case("a further seed", lambda v: shutil.copytree(v.run.path, v.run.path.parent / "seed-7"), "CMP-02"),
    Case("an attempt set aside", lambda v: shutil.copytree(v.run.path, v.run.path / "old"), "CMP-02"),
    Case(
        "a further strategy", lambda v: shutil.copytree(v.run.path.parent, v.run.path.parent.parent / "best"), "CMP-02"
    ),
    edit("the seal is missing", lambda e: e.pop(), "CMP-03"),
    edit("the tail is cut", lambda e: e.__delitem__(slice(5, None)), "CMP-03"),
    Case("the last line is torn", lambda v: v.run.events.write_bytes(v.run.events.read_bytes()[:-3]), "CMP-03"),
    Case("the file is empty", lambda v: v.run.events.write_bytes(b""), "CMP-03", NEEDS_RUN),
    Case(
        "random is unfinished",
        lambda v: rewrite(v.folder.run(RunId("small", "random", 1)).events, lambda e: e.pop()),
        "CMP-03 CMP-04",
    ),
    edit("a seal over too few rounds", lambda e: e[8].update(rounds=2), "CMP-03"),
    edit("a failed attempt", failure, "CMP-05"),
    # protocols
    Case("the recorded protocol is altered", lambda v: forge_protocol(v, fingerprint=False), "PRO-01"),
    Case("another protocol was run", lambda v: forge_protocol(v, fingerprint=True), "PRO-02"),
    edit("the fingerprint is altered", lambda e: flip_at(e[0], "fingerprint"), "PRO-01 PRO-02"),
    edit("names in the recorded protocol differ", lambda e: e[0]["protocol"].update(title="x", source="y"), "PRO-06"),
    edit("the strategy got arguments", lambda e: e[0]["strategy"]["args"].update(k=3), "PRO-03"),
    edit("another strategy was run", lambda e: e[0]["strategy"].update(name="last"), "PRO-03"),
    edit("another replicate was run", lambda e: e[0].update(replicate=1), "PRO-03"),
    edit("another study planned it", lambda e: flip_at(e[0], "study"), "PRO-03"),
    edit("no study planned it", lambda e: e[0].update(study=""), "", "PRO-03"),
    Case("the plan was changed after the runs", lambda v: replan(v, plan={"delta": 0.2, "test": "t"}), "PRO-03"),
    Case("the reference of the runs is gone from the plan", forget_reference, "PRO-02"),
    Case("the source of a user-defined strategy is replaced", lambda v: own_source(v, b"another"), "PRO-05", "ISO-05"),
    Case("the source of a user-defined strategy exists", lambda v: own_source(v, b"one"), "", "ISO-05"),
    Case("the source of a user-defined strategy is missing", lambda v: own_source(v, None), "", "PRO-05 ISO-05"),
    Case("seeds were dropped from the plan", lambda v: replan(v, seeds=[0]), "CMP-02 PRO-03 STA-01"),
    Case(
        "a run was copied from another seed",
        lambda v: (
            shutil.rmtree(v.run.path),
            shutil.copytree(v.folder.run(RunId("small", "first", 1)).path, v.run.path),
        ),
        "PRO-03 SPL-02 SPL-06 SED-01 SED-02 SED-03 SED-04 STA-02 TRN-03",
    ),
    # splits
    Case("the split file is missing", lambda v: v.split.unlink(), "", f"SPL-01 {SPLIT_USERS}"),
    Case("the split file is garbage", lambda v: v.split.write_bytes(b"PK\x03\x04 no"), "", f"SPL-01 {SPLIT_USERS}"),
    Case(
        "the split file is altered",
        lambda v: change_split(v, lambda c: move(c, "test", "pool", keep=False), digest=False),
        "SPL-01",
        SPLIT_USERS,
    ),
    Case(
        "test labels are altered",
        lambda v: change_split(v, lambda c: c.update(targets=(c["targets"] + 1) % 3), digest=False),
        "SPL-01",
        SPLIT_USERS,
    ),
    Case(
        "the split file has another key",
        lambda v: change_split(v, lambda c: c.update(poool=c.pop("pool")), digest=False),
        "",
        f"SPL-01 {SPLIT_USERS}",
    ),
    Case(
        "the split file holds fractions",
        lambda v: change_split(v, lambda c: c.update(pool=c["pool"] + 0.5), digest=False),
        "",
        f"SPL-01 {SPLIT_USERS}",
    ),
    edit("sizes differ from the split file's", lambda e: e[0]["split"].update(pool=200), "SPL-01"),
    edit("a split digest is altered", lambda e: flip_at(e[0]["split"], "digest"), "SPL-02", f"SPL-01 {SPLIT_USERS}"),
    edit(
        "a split digest leads elsewhere",
        lambda e: e[0]["split"].update(digest="../../../etc/passwd"),
        "SPL-01 SPL-02",
        SPLIT_USERS,
    ),
    edit(
        "the digest of the test labels is altered", lambda e: flip_at(e[0]["split"], "targets"), "SPL-01", SPLIT_USERS
    ),
    Case(
        "a test image is in the pool",
        lambda v: change_split(v, lambda c: move(c, "test", "pool", keep=True), digest=True),
        "SPL-03 SPL-06 SED-03",
    ),
    Case(
        "a validation image is in the pool",
        lambda v: change_split(v, lambda c: move(c, "validation", "pool", keep=True), digest=True),
        "SPL-03 SPL-06 SED-03",
    ),
    Case(
        "the validation set is larger",
        lambda v: change_split(v, lambda c: move(c, "pool", "validation", keep=False), digest=True),
        "SPL-04 SPL-06 SED-03 BUD-04",
    ),
    Case(
        "a test image was swapped",
        lambda v: change_split(v, exchange_test_image, digest=True),
        "SPL-06 SED-03 EVL-01",
    ),
    edit("other data under the same name", lambda e: flip_at(e[0]["data"], "digest"), "SPL-05", "SPL-07 SPL-08"),
    # budgets
    edit("one label more than the budget", overbuy, "BUD-01"),
    edit("costs do not add up", lambda e: e[4].update(after=23), "BUD-02"),
    edit("the round says another budget", lambda e: e[5].update(budget=23), "BUD-02"),
    edit("the round says another number", lambda e: e[5].update(round=4), "BUD-02", "EVL-01 EVL-02"),
    edit("the round says fewer labels", lambda e: e[5].update(training_labels=15), "BUD-02"),
    edit("a query is called initial", lambda e: e[4].update(purpose="initial"), "BUD-02 SED-03"),
    edit(
        "a finished run with too few rounds",
        lambda e: (e.__delitem__(slice(6, 8)), e[5].update(query=[]), e[6].update(rounds=2)),
        "BUD-02",
    ),
    edit("one label is bought twice in a query", lambda e: both(e, 3, lambda q: q.__setitem__(0, q[1])), "BUD-03"),
    edit("one label is bought in two queries", replace_first(lambda e: int(e[4]["indices"][0]), 5), "BUD-03"),
    edit("a test image is bought", replace_first(of_part("test")), "BUD-04"),
    edit("a validation image is bought for training", replace_first(of_part("validation")), "BUD-04"),
    edit("a negative index is bought", replace_first(lambda e: -1), "BUD-04"),
    edit("an index beyond all images is bought", replace_first(lambda e: 2**53 - 1), "BUD-04"),
    edit(
        "an index beyond all integers is bought",
        replace_first(lambda e: 10**300),
        "BUD-01 BUD-02 CMP-03 EVL-04 QRY-01 QRY-03 TRN-11",
    ),
    edit("validation labels from the pool", lambda e: e[1]["indices"].__setitem__(0, unbought(e)), "BUD-04"),
    edit("validation labels are not charged", lambda e: e[1].update(after=0), "BUD-02 BUD-05"),
    edit("validation labels are not bought", lambda e: e.pop(1), "BUD-02 BUD-05"),
    edit("validation labels are bought twice", lambda e: e.insert(2, dict(e[1])), "BUD-01 BUD-02 BUD-03 BUD-05"),
    edit("fewer validation labels are bought", lambda e: e[1]["indices"].pop(), "BUD-02 BUD-05"),
    edit(
        "the labels of the pool are disclosed to a strategy",
        lambda e: e.insert(3, {**DISCLOSED, "time": e[3]["time"]}),
        "BUD-06",
    ),
    edit("validation labels are bought late", lambda e: e.insert(3, e.pop(1)), "BUD-02 BUD-05 QRY-05"),
    # queries
    edit(
        "a metric is edited, the chain is not",
        lambda e: e[3].update(initial_weights="x"),
        "QRY-01 TRN-02 TRN-03",
        rechain=False,
    ),
    edit("a line is removed, the chain is not", lambda e: e.pop(4), "QRY-01 QRY-02 QRY-03 BUD-02", rechain=False),
    edit(
        "lines are swapped, the chain is not",
        lambda e: e.insert(5, e.pop(4)),
        "QRY-01 QRY-02 QRY-03 QRY-05",
        rechain=False,
    ),
    edit("a line is unknown", lambda e: e.insert(5, {"event": "gift"}), "QRY-01"),
    edit("another label than the one asked for", lambda e: e[4]["indices"].__setitem__(0, unbought(e)), "QRY-02"),
    edit("the labels asked for in another order", lambda e: e[4]["indices"].reverse(), "QRY-02"),
    edit("the query was changed after the purchase", lambda e: e[3]["query"].__setitem__(0, unbought(e)), "QRY-02"),
    edit("the purchase is missing", lambda e: e.pop(4), "QRY-02 QRY-03 BUD-02"),
    edit("the last round asks for more", lambda e: e[7]["query"].append(unbought(e)), "QRY-02"),
    edit("labels are bought after the round", lambda e: e.insert(5, e.pop(4)), "QRY-02 QRY-03 QRY-05"),
    # seeds
    edit("a seed is chosen by hand", lambda e: e[0]["seeds"].update(query=42), "SED-01"),
    edit("a stream is missing", lambda e: e[0]["seeds"].pop("model"), "SED-01"),
    edit("seeds of another replicate", lambda e: e[0].update(seeds=dict(stream_seeds(0, 1))), "SED-01 SED-04"),
    edit("the initial set is chosen by hand", swap_initial, "SED-02 SED-03"),
    Case("the initial set of every strategy is chosen by hand", choose_all_starts, "SED-03"),
    # evaluation
    edit("a metric is edited", lambda e: e[7]["metrics"].update(accuracy=0.95), "EVL-01"),
    edit(
        "a metric is edited a little",
        lambda e: e[7]["metrics"].update(accuracy=e[7]["metrics"]["accuracy"] + 1e-6),
        "EVL-01",
    ),
    edit("a secondary metric is edited", lambda e: e[7]["metrics"].update(balanced_accuracy=0.95), "EVL-01"),
    edit("a metric that cannot be computed", lambda e: e[7]["metrics"].update(quality=0.5), "", "EVL-01"),
    edit("the protocol's metric is missing", lambda e: e[7]["metrics"].pop("accuracy"), "EVL-03"),
    edit("a metric out of range", lambda e: e[7]["metrics"].update(accuracy=95.0), "EVL-01 EVL-03"),
    edit("the predictions digest is altered", lambda e: flip_at(e[5], "predictions"), "EVL-02"),
    Case("predictions are replaced", lambda v: other_predictions(v, digest=False, metrics=False), "EVL-01 EVL-02"),
    Case("predictions and digest are replaced", lambda v: other_predictions(v, digest=True, metrics=False), "EVL-01"),
    Case(
        "predictions are replaced for perfect metrics",
        lambda v: other_predictions(v, digest=True, metrics=True),
        "EVL-01",
    ),
    Case("predictions are missing", lambda v: v.run.predictions(2).unlink(), "", "EVL-01 EVL-02"),
    Case("predictions are garbage", lambda v: v.run.predictions(2).write_bytes(b"\x00" * 99), "", "EVL-01 EVL-02"),
    Case("one prediction is missing", lambda v: shorten(v), "EVL-01 EVL-02"),
    # training
    edit("another recipe in one round", lambda e: flip_at(e[5], "recipe"), "TRN-01"),
    edit("another recipe in all rounds", lambda e: [flip_at(e[k], "recipe") for k in (3, 5, 7)], "TRN-01"),
    edit("no recipe", lambda e: e[5].update(recipe=""), "", "TRN-01"),
    edit("weights kept from the round before", lambda e: flip_at(e[5], "initial_weights"), "TRN-02"),
    edit("lucky weights of one strategy", lambda e: [flip_at(e[k], "initial_weights") for k in (3, 5, 7)], "TRN-03"),
    edit("no weights", lambda e: e[5].update(initial_weights=""), "", "TRN-02"),
    Case("another recipe for all strategies", lambda v: everywhere(v, lambda e: flip_at(e, "recipe")), "TRN-01"),
    Case(
        "fewer steps for all strategies",
        lambda v: everywhere(v, lambda e: (e.update(steps=4), e["extra"].update(selected_step=4))),
        "TRN-04",
    ),
    edit("another pretrained body", lambda e: [e[k].update(pretrained="1" * 64) for k in (3, 5, 7)], "TRN-03"),
    Case("random begins worse", lambda v: begin_worse(v, "random", 1), "TRN-11"),
    Case(
        "random begins worse on another processor",
        lambda v: (
            begin_worse(v, "random", 1),
            rewrite(
                v.folder.run(RunId("small", "random", 1)).events,
                lambda e: e[0]["environment"].update(device_name="another"),
            ),
        ),
        "ENV-03",
    ),
    edit("more steps in one round", lambda e: (e[5].update(steps=6), e[5]["extra"].update(selected_step=6)), "TRN-04"),
    Case("one strategy was tuned more", lambda v: tune(v, 30), "TRN-05"),
    Case("the tuning of one strategy is not declared", lambda v: tune(v, None), "", "TRN-05"),
    # evaluation, continued: what the test labels were used for
    edit("the test labels were read twice", lambda e: e[5].update(examined=3), "EVL-04"),
    edit(
        "the test labels were read before training",
        lambda e: [e[k].update(examined=n) for k, n in ((3, 2), (5, 3), (7, 4))],
        "EVL-04",
    ),
    edit("reads of the test labels were not counted", lambda e: e[5].update(examined=None), "", "EVL-04"),
    edit("earlier weights were evaluated", lambda e: e[5]["extra"].update(selected_step=3), "EVL-05"),
    edit("the evaluated weights are not recorded", lambda e: e[5].update(extra={}), "", "EVL-05"),
    edit("no validation metric although labels were bought for it", lambda e: e[5].update(validation={}), "", "EVL-05"),
    # interruptions and clocks
    edit("an interruption", lambda e: e.insert(5, resumed(1)), "CMP-06"),
    edit("two rounds repeated after an interruption", lambda e: e.insert(7, resumed(1)), "CMP-06 QRY-04"),
    edit("a round left out after an interruption", lambda e: e.insert(5, resumed(2)), "CMP-06 QRY-04"),
    edit("bytes set aside in no file", lambda e: e.insert(5, resumed(1, 77)), "CMP-06", "QRY-04"),
    Case(
        "a round repeated with a better result",
        lambda v: torn(v, lambda e: e["metrics"].update(accuracy=0.2)),
        "CMP-06 QRY-04",
    ),
    Case("a round repeated with another query", lambda v: torn(v, lambda e: e["query"].reverse()), "CMP-06 QRY-04"),
    Case("a round repeated with the same result", lambda v: torn(v, lambda e: None), "CMP-06"),
    edit("a line older than the one before", lambda e: e[5].update(time="2025-12-31T23:59:59.000+00:00"), "QRY-05"),
    edit("lines of a far future", lambda e: [x.update(time="2099-01-01T00:00:00.000+00:00") for x in e], "QRY-05"),
    edit("a time that is none", lambda e: e[-1].update(time="yesterday"), "QRY-05"),
    edit("lines without time", lambda e: [x.update(time="") for x in e[3:]], "", "QRY-05"),
    edit("all lines of one moment", at_once, "QRY-05"),
    edit(
        "a failure, an interruption, and a continuation",
        lambda e: (failure(e), e.insert(6, resumed(1))),
        "CMP-05 CMP-06",
    ),
    # replicates
    Case("seeds that were picked", lambda v: replan(v, seeds=[1]), "CMP-02 PRO-03 SED-05 STA-01"),
    Case("the start of another seed", start_of_another_seed, "SED-03 SED-04 BUD-03 BUD-04"),
    Case("the curve of another seed", curve_of_another_seed, "STA-02 TRN-11"),
    # content of images
    Case("a copy of a test image is in the pool", lambda v: alike(v, "content", digest=True), "SPL-07"),
    Case("a near-duplicate of a test image is in the pool", lambda v: alike(v, "look", digest=True), "SPL-08"),
    Case("the groups of images are altered", lambda v: alike(v, "content", digest=False), "", "SPL-07 SPL-08"),
    Case("the groups of images are missing", lambda v: v.folder.twins(DATA).unlink(), "", "SPL-07 SPL-08"),
    edit("copies were not searched", lambda e: e[0]["data"].update(twins=""), "", "SPL-07 SPL-08"),
    # environment
    edit("uncommitted code", lambda e: e[0]["environment"].update(dirty=True), "ENV-01"),
    edit("the state of the code is not recorded", lambda e: e[0]["environment"].pop("dirty"), "", "ENV-01"),
    edit("another commit", lambda e: e[0]["environment"].update(commit="abd"), "ENV-02"),
    edit("another numpy", lambda e: e[0]["environment"]["packages"].update(numpy="2.2"), "ENV-02"),
    edit("another Python after an interruption", lambda e: e.insert(5, resumed(1, python="3.13.0")), "CMP-06 ENV-02"),
    edit(
        "no versions",
        lambda e: [e[0]["environment"].pop(key) for key in ("python", "packages", "commit")],
        "",
        "ENV-02",
    ),
    edit("another device", lambda e: e[0]["environment"].update(device="cuda:0"), "ENV-03"),
    edit("more threads", lambda e: e[0]["environment"].update(threads=8), "ENV-03"),
    edit("an empty environment", lambda e: e[0].update(environment={}), "", "ENV-01 ENV-02 ENV-03"),
    # the plan
    Case(
        "seeds were added, openly",
        lambda v: amend(v.folder, obedient_study(seeds=[0, 1, 2]), "nearly"),
        "PRO-04 CMP-01 CMP-04",
        f"{NEEDS_FILE} {NEEDS_RUN}",
    ),
    Case("delta was changed, openly", lambda v: amend(v.folder, replanned(delta=0.2), "too strict"), "PRO-04"),
    Case("the history of an open change was cut", history_is_cut, "PRO-04"),
    Case("too few seeds for the planned test", lambda v: replan(v, plan={"test": "sign-flip"}), "PRO-03 STA-01"),
    # a weak random
    Case("random is far from its reference", lambda v: refer(v, {"values": {"22": 0.99}}), "STA-03"),
    Case("random's whole curve is far from its reference", lambda v: refer(v, {"aubc": 0.99}), "STA-03"),
    # an unreadable record is not a success
    edit("a newer version wrote it", lambda e: e[0].update(schema_version=9, news=1), "", f"{NEEDS_FILE} {NEEDS_RUN}"),
    Case(
        "the record is a folder",
        lambda v: (v.run.events.unlink(), v.run.events.mkdir()),
        "",
        f"{NEEDS_FILE} {NEEDS_RUN}",
    ),
    Case("the record is noise", lambda v: v.run.events.write_bytes(b"\x80\x00\n" * 50), "CMP-03 QRY-01", NEEDS_RUN),
]


def exchange_test_image(content: dict[str, Any]) -> None:
    """Swap a test image for an unbought image of the pool, with its label."""
    out, image = content["test"][-1], content["pool"][np.searchsorted(content["pool"], 80)]
    content["test"] = np.sort(np.append(content["test"][:-1], image))
    content["pool"] = np.sort(np.append(content["pool"][content["pool"] != image], out))
    content["targets"] = make_labels()[content["test"]]


def shorten(victim: Any) -> None:
    with np.load(victim.run.predictions(2)) as arrays:
        predicted = arrays["prediction"][:-1]
    write_arrays(victim.run.predictions(2), {"prediction": predicted})


def test_the_untouched_study_is_compliant(victim: Any) -> None:
    result = check_study(victim.folder.path)
    assert result.findings == ()
    assert (result.exit_code, result.answer) == (0, "obeyed")
    assert {(r.evaluated, r.planned) for r in result.results} == {(6, 6)}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name.replace(" ", "-"))
def test_exactly_the_rules_that_must_fire_do(victim: Any, case: Case) -> None:
    case.do(victim)
    result = check_study(victim.folder.path)
    answers = {a: {r.rule.id for r in result.results if r.answer == a} for a in ("broken", "unverifiable")}
    assert answers == {
        "broken": set(case.broken.split()),
        "unverifiable": set(case.unverifiable.split()) - set(case.broken.split()),
    }
    errors = {a: {i for i in ids if RULES[i].severity == "error"} for a, ids in answers.items()}
    assert result.exit_code == (1 if errors["broken"] else 3 if errors["unverifiable"] else 0)
    assert not [f for f in result.findings if "can read" in f.expected], "a rule failed on the evidence"


@pytest.mark.parametrize(("settings", "found"), [(3, "3 settings of first"), (1, "1 setting of first")])
def test_settings_are_counted_in_words(victim: Any, settings: int, found: str) -> None:
    tune(victim, settings, last=0)
    (finding,) = (f for f in check_study(victim.folder.path).findings if f.rule == "TRN-05")
    assert finding.found == found


@pytest.mark.parametrize(("steps", "broken"), [(3, set()), (6, {"TRN-04"})])
def test_rounds_that_end_by_accuracy_may_differ_in_length_up_to_the_recipes_most(
    tmp_path: Path, steps: int, broken: set[str]
) -> None:
    regime = protocol_table()["regime"] | {"stop_at": 0.9}
    study = obedient_study(protocols=[protocol_table(regime=regime)])
    folder = build_study(tmp_path / "study", study)
    run = folder.run(RunId("small", "first", 1))
    rewrite(run.events, lambda e: (e[5].update(steps=steps), e[5]["extra"].update(selected_step=steps)))
    assert {r.rule.id for r in check_study(folder.path).results if r.answer == "broken"} - {"CMP-03"} == broken


def test_every_rule_is_broken_by_some_case() -> None:
    elsewhere = {"QRY-06", "BUD-07"}  # need replays, or budgets in pixels: test_replay.py, test_regions.py
    elsewhere |= {"TRN-06", "TRN-07", "TRN-08", "TRN-09"}  # need trials: groups/test_tuning.py
    elsewhere |= {"TRN-10"}  # needs an encoder: test_encoders.py
    elsewhere |= {"TRN-12"}  # needs a solver: test_solved.py
    elsewhere |= {rule for rule in RULES if rule.startswith("ISO")}  # need oracles: groups/test_isolation.py
    assert {rule for case in CASES for rule in case.broken.split()} | elsewhere == set(RULES)


def test_random_near_its_reference_is_no_weak_baseline(victim: Any) -> None:
    rounds = [
        e
        for seed in (0, 1)
        for e in lines(victim.folder.run(RunId("small", "random", seed)).events)
        if e["event"] == "round"
    ]
    at = {
        budget: np.mean([e["metrics"]["accuracy"] for e in rounds if e["budget"] == budget]) for budget in (16, 22, 30)
    }
    area = (6 * (at[16] + at[22]) / 2 + 8 * (at[22] + at[30]) / 2) / 14
    near = {"values": {str(b): float(v) + 0.009 for b, v in at.items()}, "aubc": float(area) - 0.009, "tolerance": 0.01}
    refer(victim, near)
    assert check_study(victim.folder.path).findings == ()
    refer(victim, near | {"tolerance": 0.008})
    assert len([f for f in check_study(victim.folder.path).findings if f.rule == "STA-03"]) == 4


def test_without_random_at_a_budget_its_reference_cannot_be_verified(victim: Any) -> None:
    for seed in (0, 1):
        rewrite(victim.folder.run(RunId("small", "random", seed)).events, lambda e: e.__delitem__(slice(6, 9)))
    refer(victim, {"values": {"30": 0.1}, "aubc": 0.1})
    assert {f.answer for f in check_study(victim.folder.path).findings if f.rule == "STA-03"} == {"unverifiable"}

"""ISO: what a separate oracle wrote down, where there was one (`run --isolate`), against what the run says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from protocol.errors import RecordError
from protocol.record.chain import Record, read
from protocol.record.events import ExaminedEvent, LabelsEvent, ResumeEvent, RoundEvent
from protocol.record.layout import StudyFolder
from protocol.rules.evidence import RunEvidence, StudyEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, StudyRule, unverifiable
from protocol.spec.run_id import RunId


def _place(root: Path, key: RunId) -> Path:
    return StudyFolder(root).oracle(key).events


def _ledger(run: RunEvidence) -> Record | Observation | None:
    """The oracle's ledger, None if the run was not isolated, or what is wrong with it."""
    path, key = _place(run.root, run.key), str(run.key)
    name = str(path.relative_to(run.root))
    claimed = run.run is not None and run.run.environment.get("isolated") is True
    if not path.exists():
        return (
            Observation(
                name, "the ledger of the separate oracle, since the record says it was isolated", "no file", key
            )
            if claimed
            else None
        )
    if not claimed:
        return Observation(
            run.path, "a record that says it was isolated, since the oracle kept a ledger", "none of it", key
        )
    try:
        ledger = read(path)
    except RecordError as error:
        return unverifiable(name, error.faults[0].expected, error.faults[0].found, key)
    if ledger.breaks:
        fault = ledger.breaks[0]
        return Observation(fault.where.replace(str(path), name), fault.expected, fault.found, key)
    return ledger


def _both_ledgers_agree(run: RunEvidence) -> Observations:
    for where, _ in run.of(ExaminedEvent):
        yield Observation(
            where, "events of a run", "an 'examined' event, which only the oracle's ledger has", str(run.key)
        )
    ledger, key = _ledger(run), str(run.key)
    if ledger is None:
        return
    if isinstance(ledger, Observation):
        yield ledger
        return
    name = str(ledger.path.relative_to(run.root))
    same = ("fingerprint", "study", "strategy", "replicate", "seeds", "data", "split")
    differ = [field for field in same if getattr(ledger.run, field, None) != getattr(run.run, field)]
    if differ:
        yield Observation(f"{name}:1", "a ledger of this very run", f"other {', '.join(differ)}", key)
    sold, bought = ledger.of(LabelsEvent), run.of(LabelsEvent)
    for number, (where, event) in enumerate(bought):
        theirs = sold[number] if number < len(sold) else None
        if theirs is None or (theirs.purpose, theirs.indices, theirs.before, theirs.after) != (
            event.purpose,
            event.indices,
            event.before,
            event.after,
        ):
            found = f"{len(theirs.indices)} labels ({theirs.purpose}), other ones" if theirs else "nothing"
            yield Observation(where, f"sold by the oracle: {len(event.indices)} labels ({event.purpose})", found, key)
    if len(sold) > len(bought):
        yield Observation(name, f"{len(bought)} purchases, as in the record", f"{len(sold)}", key)


def _test_labels_were_looked_at_once(run: RunEvidence) -> Observations:
    ledger, key = _ledger(run), str(run.key)
    if not isinstance(ledger, Record):
        return  # ISO-01 has said so
    name = str(ledger.path.relative_to(run.root))
    looks, sessions = ledger.of(ExaminedEvent), 1 + len(ledger.of(ResumeEvent))
    for number, times in sorted(Counter(look.round for look in looks).items()):
        if times > sessions:
            yield Observation(
                name, f"round {number}: one look at the test labels in each of {sessions} sessions", f"{times}", key
            )
    last = {look.round: look for look in looks}
    rounds = run.of(RoundEvent)
    for where, event in rounds:
        look = last.pop(event.round, None)
        if look is None:
            yield Observation(where, "a look at the test labels in the oracle's ledger", "none", key)
        elif (look.predictions, look.metrics) != (event.predictions, event.metrics):
            yield Observation(
                where, f"the predictions the oracle marked, {look.predictions[:16]}", event.predictions[:16], key
            )
    finished = run.record is not None and run.record.sealed
    for number in sorted(last) if finished else ():
        yield Observation(
            name, f"{len(rounds)} rounds, as in the record", f"a look at the test labels in round {number}", key
        )


def _one_set_of_predictions_a_round(run: RunEvidence) -> Observations:
    ledger = _ledger(run)
    if not isinstance(ledger, Record):
        return
    marked: dict[int, set[str]] = {}
    for look in ledger.of(ExaminedEvent):
        marked.setdefault(look.round, set()).add(look.predictions)
    for number, digests in sorted(marked.items()):
        if len(digests) > 1:
            name = str(ledger.path.relative_to(run.root))
            yield Observation(
                name,
                f"round {number}: the same predictions in every session",
                f"{len(digests)} different ones",
                str(run.key),
            )


def _all_or_none_are_isolated(study: StudyEvidence) -> Observations:
    there = {fact.key: _place(study.folder.path, fact.key).exists() for fact in study.facts if fact.present}
    if any(there.values()):
        for key, kept in there.items():
            if not kept:
                yield Observation(str(key), "a separate oracle, as other runs of the study had", "none", str(key))


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="ISO-01",
        title="the separate oracle, where there was one, sold what the record says",
        why="a record is written by the run itself; the oracle's ledger is not",
        evidence="oracle/<run>/events.jsonl against the purchases of the record; without --isolate there is nothing to compare",
        fix="run it again in a new folder with --isolate",
        reads=frozenset({"oracle"}),
        function=_both_ledgers_agree,
    ),
    RunRule(
        id="ISO-02",
        title="the separate oracle, where there was one, marked each round once",
        why="whoever may ask for the test metric twice can choose the better answer",
        evidence="'examined' events of oracle/<run>/events.jsonl against the rounds of the record",
        fix="run it again in a new folder with --isolate",
        reads=frozenset({"oracle"}),
        function=_test_labels_were_looked_at_once,
    ),
    RunRule(
        id="ISO-03",
        title="a round trained again gave the same predictions",
        severity="warning",
        why="after an interruption the same training must give the same predictions; others may have been chosen",
        evidence="'examined' events of oracle/<run>/events.jsonl",
        fix="nothing, if the run was interrupted on a device that does not repeat exactly; else run it again in a new folder",
        reads=frozenset({"oracle"}),
        function=_one_set_of_predictions_a_round,
    ),
    StudyRule(
        id="ISO-04",
        title="all runs of the study were isolated, or none",
        severity="warning",
        why="isolation proves nothing for a comparison if only some of its runs had it",
        evidence="files under oracle/",
        fix="run the study again in a new folder with --isolate",
        reads=frozenset({"oracle"}),
        function=_all_or_none_are_isolated,
    ),
)

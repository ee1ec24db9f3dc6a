"""ISO: the ledger of a separate oracle process (`run --isolate`), compared with the record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from protocol.errors import RecordError
from protocol.record.chain import Record, read
from protocol.record.events import ExaminedEvent, LabelsEvent, ResumeEvent, RoundEvent, RunEvent
from protocol.record.layout import StudyFolder
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import StudyEvidence
from protocol.rules.rule import (
    AnyRule,
    Observation,
    Observations,
    broken,
    differences,
    run_rule,
    study_rule,
    unverifiable,
)
from protocol.rules.strength import is_own, missing_walls
from protocol.spec.run_id import RunId


def _ledger_path(root: Path, key: RunId) -> Path:
    return StudyFolder(root).oracle(key).events


def _ledger(run: RunEvidence) -> Record | Observation | None:
    """Return the oracle's ledger, None if the run was not isolated, or what is wrong with it."""
    path = _ledger_path(run.root, run.key)
    name = str(path.relative_to(run.root))
    isolated = run.run is not None and run.run.environment.get("isolated") is True
    if not path.exists():
        expected = "the ledger of the separate oracle, since the record says that the run was isolated"
        return broken(name, expected, "no file") if isolated else None
    if not isolated:
        expected = "a record that says that the run was isolated, since the oracle kept a ledger"
        return broken(run.path, expected, "a record without isolated = true")
    try:
        ledger = read(path, run.root)
    except RecordError as error:
        return unverifiable(name, error.faults[0].expected, error.faults[0].found)
    if ledger.breaks:
        fault = ledger.breaks[0]
        return broken(fault.where.replace(str(path), name), fault.expected, fault.found)
    return ledger


@run_rule(
    "ISO-01",
    "the separate oracle, if there was one, sold what the record says",
    why="a record is written by the run itself; the oracle's ledger is not",
    evidence="oracle/<run>/events.jsonl against the purchases of the record; without --isolate there is nothing to "
    "compare",
    fix="run it again in a new folder with --isolate",
    reads={"oracle"},
    judges="a separate oracle",
)
def ledger_contradictions(run: RunEvidence) -> Observations:
    for where, _ in run.of(ExaminedEvent):
        yield broken(where, "events of a run", "an 'examined' event, which only the oracle's ledger has")
    ledger = _ledger(run)
    if isinstance(ledger, Observation):
        yield ledger
    if not isinstance(ledger, Record):
        return
    name = str(ledger.path.relative_to(run.root))
    fields = ("fingerprint", "study", "strategy", "replicate", "seeds", "data", "split")
    heads = [{field: getattr(head, field, None) for field in fields} for head in (run.run, ledger.run)]
    if heads[0] != heads[1]:
        expected, found = differences(*heads)
        yield broken(f"{name}:1", f"the ledger of this run: {expected}", found)
    sold, bought = ledger.of(LabelsEvent), run.of(LabelsEvent)
    for number, (where, event) in enumerate(bought):
        sale = sold[number] if number < len(sold) else None
        if sale is None or _sale(sale) != _sale(event):
            found = f"the oracle sold {_labels(sale)}" if sale else f"only {len(sold)} purchases in the ledger"
            yield broken(where, f"sold by the oracle: {_labels(event)}", found)
    if len(sold) > len(bought):
        yield broken(name, f"{len(bought)} purchases, as in the record", len(sold))


def _sale(event: LabelsEvent) -> tuple[object, ...]:
    return event.purpose, event.indices, event.before, event.after


def _labels(event: LabelsEvent) -> str:
    first = ", ".join(map(str, event.indices[:5])) + (", …" if len(event.indices) > 5 else "")
    return f"{len(event.indices)} labels ({event.purpose}: {first}), cost {event.before} to {event.after}"


@run_rule(
    "ISO-02",
    "the separate oracle, if there was one, evaluated each round once",
    why="a run that may ask for the test metric twice can choose the better answer",
    evidence="'examined' events of oracle/<run>/events.jsonl against the rounds of the record",
    fix="run it again in a new folder with --isolate",
    reads={"oracle"},
    judges="a separate oracle",
)
def repeated_evaluations(run: RunEvidence) -> Observations:
    ledger = _ledger(run)
    if not isinstance(ledger, Record):
        return  # ISO-01 reports what is wrong with it
    name = str(ledger.path.relative_to(run.root))
    evaluations, sessions = ledger.of(ExaminedEvent), 1 + len(ledger.of(ResumeEvent))
    for number, times in sorted(Counter(e.round for e in evaluations).items()):
        if times > sessions:
            expected = f"round {number}: at most one test evaluation in each of {sessions} sessions"
            yield broken(name, expected, f"{times} evaluations")
    last = {e.round: e for e in evaluations}
    rounds = run.of(RoundEvent)
    for where, event in rounds:
        evaluation = last.pop(event.round, None)
        if evaluation is None:
            yield broken(where, "a test evaluation in the oracle's ledger", "none")
        elif evaluation.predictions != event.predictions:
            expected = f"the predictions that the oracle evaluated, {evaluation.predictions[:16]}"
            yield broken(where, expected, event.predictions[:16])
        elif evaluation.metrics != event.metrics:
            expected, found = differences(evaluation.metrics, event.metrics)
            yield broken(where, f"the metrics that the oracle computed: {expected}", found)
    for number in sorted(last) if run.sealed else ():
        yield broken(name, f"{len(rounds)} rounds, as in the record", f"a test evaluation in round {number}")


@run_rule(
    "ISO-03",
    "a round trained again gave the same predictions",
    severity="warning",
    why="after an interruption the same training must give the same predictions; different ones may have been chosen",
    evidence="'examined' events of oracle/<run>/events.jsonl",
    fix="nothing, if the run was interrupted on a device without reproducible arithmetic; otherwise run it again in a "
    "new "
    "folder",
    reads={"oracle"},
    judges="a separate oracle",
)
def changed_predictions(run: RunEvidence) -> Observations:
    ledger = _ledger(run)
    if not isinstance(ledger, Record):
        return
    name = str(ledger.path.relative_to(run.root))
    digests: dict[int, dict[str, None]] = {}
    for evaluation in ledger.of(ExaminedEvent):
        digests.setdefault(evaluation.round, {})[evaluation.predictions] = None
    for number, seen in sorted(digests.items()):
        if len(seen) > 1:
            found = " and ".join(digest[:16] for digest in seen)
            yield broken(name, f"round {number}: the same predictions in every session", found)


@study_rule(
    "ISO-04",
    "all runs of the study were isolated, or none",
    severity="warning",
    why="isolation proves nothing for a comparison if only some of its runs had it",
    evidence="files under oracle/",
    fix="run the study again in a new folder with --isolate",
    reads={"oracle"},
    judges="a separate oracle",
)
def unisolated_runs(study: StudyEvidence) -> Observations:
    isolated = {f.key: _ledger_path(study.folder.path, f.key).exists() for f in study.facts if f.present}
    example = next((key for key, exists in isolated.items() if exists), None)
    for key, exists in isolated.items() if example else ():
        if not exists:
            yield broken(str(key), f"a separate oracle, as {example} had", "no ledger under oracle/", key)


@run_rule(
    "ISO-05",
    "strategies that are not built in ran behind walls",
    severity="warning",
    since="0.3.0",
    why="code that can open files can read labels and notes; in its own process it can at least not touch training",
    evidence="'confined' in the environment of 'run' and 'resume' events: process, files, network",
    fix="run the study on Linux with Landlock (kernel 5.13 or later), or replay it there",
    reads={"environment"},
    judges="a strategy that is not built in",
)
def unconfined_strategies(run: RunEvidence) -> Observations:
    for where, event in run.of(RunEvent):
        if not is_own(run.strategy) and "confined" not in event.environment:
            continue
        missing = missing_walls(event.environment.get("confined"))
        if missing is None:
            yield unverifiable(where, "the walls around the strategy's process", "nothing recorded")
        elif missing:
            yield broken(
                where, "a process of its own without files and network of others", f"none for: {', '.join(missing)}"
            )


RULES: tuple[AnyRule, ...] = (
    ledger_contradictions,
    repeated_evaluations,
    changed_predictions,
    unisolated_runs,
    unconfined_strategies,
)

"""QRY: what was asked for is what was bought, in that order, in a chain that shows edits."""

from __future__ import annotations

import json
import re
from collections import Counter

from protocol.errors import Fault, InputError
from protocol.record.events import Event, ResumeEvent, RoundEvent
from protocol.record.layout import StudyFolder
from protocol.record.replay_answers import read_replays
from protocol.rules.evidence import RunEvidence
from protocol.rules.recount import Purchase, Training, ledger
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, unverifiable


def _chain_is_intact(run: RunEvidence) -> Observations:
    if run.record is None:
        if run.problem is not None:
            yield unverifiable(run.problem.where, run.problem.expected, run.problem.found, str(run.key))
        return
    for fault in run.record.breaks:
        where = fault.where.replace(str(run.folder.events), run.path)
        found = f"{fault.found} ({fault.fix})" if fault.fix else fault.found
        yield Observation(where, fault.expected, found, str(run.key))


def _purchase_is_the_query(run: RunEvidence) -> Observations:
    purchases, trainings = ledger(run)
    finished = run.record is not None and run.record.sealed
    for training in trainings:
        asked = training.event.query
        bought = [p for p in purchases if p.trains and p.rounds == training.number + 1]
        indices = tuple(i for p in bought for i in p.event.indices)
        if run.protocol.metered:  # in the order of preference, as far as the budget reaches
            yield from _bought_as_far_as_it_reaches(run, training, bought, finished)
        elif bought and indices != asked:
            found = f"{len(indices)} labels, {len(set(indices) - set(asked))} of them not asked for"
            yield Observation(
                bought[0].where,
                f"the {len(asked)} labels that {training.where} asked for, in that order",
                found,
                str(run.key),
            )
        elif asked and not bought and (finished or training is not trainings[-1]):
            yield Observation(
                training.where,
                f"the {len(asked)} labels asked for bought before the next round",
                "no purchase",
                str(run.key),
            )


def _bought_as_far_as_it_reaches(
    run: RunEvidence, training: Training, bought: list[Purchase], finished: bool
) -> Observations:
    key, asked, budgets = str(run.key), training.event.query, run.protocol.budgets
    if not bought:
        if finished and training.number + 1 < len(budgets):
            yield Observation(training.where, "a purchase before the next round", "none", key)
        return
    last, indices = bought[-1], tuple(i for p in bought for i in p.event.indices)
    if indices != asked[: len(indices)]:
        found = f"{len(indices)} labels, {len(set(indices) - set(asked))} of them not asked for"
        yield Observation(
            bought[0].where, f"the first of the {len(asked)} labels that {training.where} asked for", found, key
        )
        return
    labelling, units = run.protocol.labelling, run.units
    if len(indices) == len(asked) or isinstance(units, Fault) or labelling is None or labelling.cost != "pixel":
        return
    following, left = asked[len(indices)], budgets[min(training.number + 1, len(budgets) - 1)] - last.event.after
    if 0 <= following < len(units.pixels) and units.pixels[following] <= left:
        yield Observation(
            last.where,
            f"to buy on: {left} {labelling.currency} were left",
            f"the next costs {units.pixels[following]}",
            key,
        )


def _labels_are_bought_before_use(run: RunEvidence) -> Observations:
    for training in ledger(run)[1]:
        used = training.event.training_labels
        if training.owned < used:
            yield Observation(
                training.where, f"{used} training labels bought before this line", str(training.owned), str(run.key)
            )


def _went_on_where_it_stopped(run: RunEvidence) -> Observations:
    key, done = str(run.key), 0
    tails = Counter(len(data) for _, data in run.torn if data is not None)
    for where, event in run.of(Event):
        done += isinstance(event, RoundEvent)
        if not isinstance(event, ResumeEvent):
            continue
        if event.next_round != done:
            yield Observation(
                where, f"to go on with round {done}, after the {done} that are there", f"round {event.next_round}", key
            )
        if event.dropped_bytes and tails[event.dropped_bytes] <= 0:
            yield unverifiable(
                where, f"the {event.dropped_bytes} bytes that were set aside", "no events.torn-* file of that size", key
            )
        tails[event.dropped_bytes] -= 1
    for where, data in run.torn:
        if data is None:
            yield unverifiable(where, "the bytes that were set aside", "no file that can be read", key)
            continue
        yield from _made_again_alike(run, where, data)


_TORN_RESULT = re.compile(rb'"metrics":(\{[^{}]*\}).*?"query":(\[[^\[\]]*\]),"recipe".*?"round":(\d{1,9}),')
"""Keys of a line are sorted, so a torn round that names its number has told its metrics and query before."""


def _made_again_alike(run: RunEvidence, where: str, data: bytes) -> Observations:
    found = _TORN_RESULT.search(data)
    again = {event.round: (place, event) for place, event in run.of(RoundEvent)}
    if found is None or int(found[3]) not in again:
        return
    place, event = again[int(found[3])]
    try:
        metrics, query = json.loads(found[1]), json.loads(found[2])
    except ValueError:
        return
    if metrics != event.metrics or tuple(query) != event.query:
        what = "metrics" if metrics != event.metrics else "query"
        yield Observation(
            place,
            f"the {what} that round {event.round} had before the interruption ({where})",
            f"other {what}",
            str(run.key),
        )


def _clock_runs_forward(run: RunEvidence) -> Observations:
    latest = ""
    for where, event in run.of(Event):
        if event.time and event.time < latest:
            yield Observation(where, f"a time after {latest}", event.time[:40], str(run.key))
        latest = max(latest, event.time[:40])


def _no_replay_differs(run: RunEvidence) -> Observations:
    path = StudyFolder(run.root).replays(run.key)
    name, key = str(path.relative_to(run.root)), str(run.key)
    try:
        kept = read_replays(path)
    except InputError as error:
        yield unverifiable(name, error.faults[0].expected, error.faults[0].found, key)
        return
    for attempt in kept.attempts:
        if run.record is not None and attempt.head != run.record.head:
            yield Observation(
                name, f"a replay of the record as it is, {run.record.head[:16]}", f"of {attempt.head[:16]}", key
            )
        for outcome in attempt.rounds:
            if outcome.answer == "differs":
                yield Observation(f"{name}, round {outcome.round}", "what is recorded", outcome.said, key)


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="QRY-01",
        title="the record's chain is intact",
        why="an edited, removed or moved line shows in the hash of the next; a whole rewritten file does not",
        evidence="sequence numbers and hashes of the record's lines",
        fix="restore the record from a copy, or move the run's folder out of the study and run it again",
        reads=frozenset({"chain"}),
        needs="file",
        function=_chain_is_intact,
    ),
    RunRule(
        id="QRY-02",
        title="what was bought is what the strategy asked for",
        why="a purchase that the strategy did not ask for is somebody else's strategy",
        evidence="query of each round and the purchase after it",
        fix="run it again in a new folder",
        reads=frozenset({"queries"}),
        function=_purchase_is_the_query,
    ),
    RunRule(
        id="QRY-03",
        title="labels are bought before they are used",
        why="a label used before its purchase was not paid for when it helped",
        evidence="order of purchases and rounds in the record",
        fix="run it again in a new folder through the oracle, which sells before it reveals",
        reads=frozenset({"queries"}),
        function=_labels_are_bought_before_use,
    ),
    RunRule(
        id="QRY-04",
        title="an interrupted run went on where it stopped",
        why="whoever may do a round again may do it until it is good",
        evidence="resume events, and the torn lines that were set aside as events.torn-<n>",
        fix="run it again in a new folder",
        reads=frozenset({"attempts"}),
        function=_went_on_where_it_stopped,
    ),
    RunRule(
        id="QRY-05",
        title="the times of a record run forward",
        severity="warning",
        why="a line that is older than the one before it was written, or put there, later",
        evidence="time of every line (ISO 8601, UTC)",
        fix="nothing, if the machine's clock was set back meanwhile; else restore the record from a copy",
        reads=frozenset({"chain"}),
        function=_clock_runs_forward,
    ),
    RunRule(
        id="QRY-06",
        title="no replay that was kept contradicts the record",
        why="a query or predictions that the same seeds do not give again may have been made by somebody else",
        evidence="replays/<run>.json, written by `beatrandom replay --keep`; without one there is nothing to contradict",
        fix="run it again in a new folder; a strategy must draw from the generator it is given and from nothing else",
        reads=frozenset({"replays"}),
        function=_no_replay_differs,
    ),
)

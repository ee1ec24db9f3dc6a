"""QRY: what the strategy queried is what was bought, in that order, in a chain that shows edits."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from protocol.errors import Fault, InputError
from protocol.record.events import Event, ResumeEvent, RoundEvent
from protocol.record.layout import StudyFolder
from protocol.record.replay_answers import read_replays
from protocol.rules.evidence import RunEvidence
from protocol.rules.recount import CountedPurchase, CountedRound, recount
from protocol.rules.rule import AnyRule, Observations, broken, differences, run_rule, unverifiable

_CLOCK_S: Final = 2.0
"""Seconds by which two clocks of one machine may differ during a round."""


@run_rule(
    "QRY-01",
    "the record's chain is intact",
    why="an edited, removed or moved line shows in the hash of the next; a file rewritten as a whole does not",
    evidence="sequence numbers and hashes of the record's lines",
    fix="restore the record from a copy, or move the run's folder out of the study and run it again",
    reads={"chain"},
    needs="file",
)
def chain_breaks(run: RunEvidence) -> Observations:
    if run.record is None:
        if run.problem is not None:
            yield unverifiable(run.problem)
        return
    for fault in run.record.breaks:
        where = fault.where.replace(str(run.folder.events), run.path)
        yield broken(where, fault.expected, f"{fault.found} ({fault.fix})" if fault.fix else fault.found)


@run_rule(
    "QRY-02",
    "what was bought is what the strategy queried",
    why="a purchase that the strategy did not query is the result of a different strategy",
    evidence="query of each round and the purchase after it",
    fix="run it again in a new folder",
    reads={"queries"},
)
def purchases_without_query(run: RunEvidence) -> Observations:
    purchases, rounds = recount(run)
    for counted in rounds:
        query = counted.event.query
        bought = [p for p in purchases if p.for_training and p.rounds == counted.number + 1]
        indices = tuple(i for p in bought for i in p.event.indices)
        if run.protocol.metered:  # in the order of preference, as far as the budget reaches
            yield from _metered(run, counted, bought, indices)
        elif bought and indices != query:
            expected = f"the {len(query)} labels queried at {counted.where}, in that order"
            yield broken(bought[0].where, expected, _unlike(query, indices))
        elif query and not bought and (run.sealed or counted is not rounds[-1]):
            yield broken(counted.where, f"the {len(query)} queried labels bought before the next round", "no purchase")


def _metered(
    run: RunEvidence, counted: CountedRound, bought: list[CountedPurchase], indices: tuple[int, ...]
) -> Observations:
    query, budgets, following = counted.event.query, run.protocol.budgets, counted.number + 1
    if not bought:
        if run.sealed and following < len(budgets):
            yield broken(counted.where, "a purchase before the next round", "none")
        return
    if indices != query[: len(indices)]:
        expected = f"the first of the {len(query)} labels queried at {counted.where}"
        yield broken(bought[0].where, expected, _unlike(query, indices))
        return
    labelling, units = run.protocol.labelling, run.units
    if len(indices) == len(query) or isinstance(units, Fault) or labelling is None or labelling.cost != "pixel":
        return
    unit, left = query[len(indices)], budgets[min(following, len(budgets) - 1)] - bought[-1].event.after
    if 0 <= unit < len(units.pixels) and units.pixels[unit] <= left:
        found = f"a stop before region {unit}, which costs {units.pixels[unit]}"
        yield broken(bought[-1].where, f"further purchases: {left} {labelling.currency} were left", found)


def _unlike(query: tuple[int, ...], indices: tuple[int, ...]) -> str:
    """Return where a purchase departs from the query."""
    at = next(
        (n for n, (a, b) in enumerate(zip(query, indices, strict=False)) if a != b), min(len(query), len(indices))
    )
    wanted, got = (str(values[at]) if at < len(values) else "none" for values in (query, indices))
    unasked = len(set(indices) - set(query))
    return f"{len(indices)} labels, {unasked} of them not queried; at position {at} bought {got}, queried {wanted}"


@run_rule(
    "QRY-03",
    "labels are bought before they are used",
    why="a label used before its purchase was not paid for when it helped",
    evidence="order of purchases and rounds in the record",
    fix="run it again in a new folder through the oracle, which sells before it reveals",
    reads={"queries"},
)
def labels_used_before_purchase(run: RunEvidence) -> Observations:
    for counted in recount(run)[1]:
        used = counted.event.training_labels
        if counted.labelled < used:
            yield broken(counted.where, f"{used} training labels bought before this line", counted.labelled)


@run_rule(
    "QRY-04",
    "an interrupted run continued where it stopped",
    why="a run that may repeat a round may repeat it until the result is good",
    evidence="resume events, and the torn lines that were set aside as events.torn-<n>",
    fix="run it again in a new folder",
    reads={"attempts"},
    judges="an interruption",
)
def changes_after_interruption(run: RunEvidence) -> Observations:
    rounds = 0
    tails = Counter(len(data) for _, data in run.torn_tails if data is not None)
    for where, event in run.of(Event):
        rounds += isinstance(event, RoundEvent)
        if not isinstance(event, ResumeEvent):
            continue
        if event.next_round != rounds:
            expected = f"to continue with round {rounds}, after the {rounds} recorded rounds"
            yield broken(where, expected, f"round {event.next_round}")
        if event.dropped_bytes and tails[event.dropped_bytes] <= 0:
            expected = f"the {event.dropped_bytes} bytes that were set aside"
            yield unverifiable(where, expected, "no events.torn-* file of that size")
        tails[event.dropped_bytes] -= 1
    for where, data in run.torn_tails:
        if data is None:
            yield unverifiable(where, "the bytes that were set aside", "no file that can be read")
        else:
            yield from _changed_round(run, where, data)


_TORN_RESULT = re.compile(rb'"metrics":(\{[^{}]*\}).*?"query":(\[[^\[\]]*\]),"recipe".*?"round":(\d{1,9}),')
"""Keys of a line are sorted, so a torn round that names its number has named metrics and query before."""


def _changed_round(run: RunEvidence, where: str, data: bytes) -> Observations:
    """Yield a round that has other metrics or another query than it had in the torn line `data`."""
    torn = _TORN_RESULT.search(data)
    repeated = {event.round: (place, event) for place, event in run.of(RoundEvent)}
    if torn is None or int(torn[3]) not in repeated:
        return
    place, event = repeated[int(torn[3])]
    try:
        metrics, query = json.loads(torn[1]), tuple(json.loads(torn[2]))
    except ValueError:
        return
    before = f"that round {event.round} had before the interruption ({where})"
    if metrics != event.metrics:
        expected, found = differences(metrics, event.metrics)
        yield broken(place, f"the metrics {before}: {expected}", found)
    elif query != event.query:
        yield broken(place, f"the query {before}: {query}"[:300], str(event.query)[:200])


@run_rule(
    "QRY-05",
    "the times of a record are possible",
    severity="warning",
    why="a line older than the line before it was inserted later, a line of tomorrow was not written by a clock, and a "
    "round cannot be over before its training",
    evidence="time of every line (ISO 8601, UTC) and the seconds of every round, against the checker's clock",
    fix="nothing, if the machine's clock was wrong; otherwise restore the record from a copy",
    reads={"chain"},
)
def decreasing_times(run: RunEvidence) -> Observations:
    latest, before = "", None
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for where, event in run.of(Event):
        if not event.time:
            yield unverifiable(where, "a time (ISO 8601, UTC)", "none")
            continue
        if event.time < latest:
            yield broken(where, f"a time after {latest}", event.time[:40])
        latest = max(latest, event.time[:40])
        now = _moment(event.time)
        if now is None:
            yield broken(where, "a time (ISO 8601, UTC)", event.time[:40])
        elif now > tomorrow:
            yield broken(where, "a time before tomorrow", event.time[:40])
        elif isinstance(event, RoundEvent) and before is not None:
            trained, passed = event.cost.get("train_s", 0.0), (now - before).total_seconds()
            if trained > passed + _CLOCK_S:
                yield broken(
                    where, f"{trained:.1f} s of training since the line before", f"{max(passed, 0):.1f} s passed"
                )
        before = now or before


def _moment(time: str) -> datetime | None:
    """Return the moment, or None if the text is no time with a zone."""
    try:
        moment = datetime.fromisoformat(time[:40])
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


@run_rule(
    "QRY-06",
    "no kept replay contradicts the record",
    why="a query or predictions that the same seeds do not reproduce may come from elsewhere",
    evidence="replays/<run>.json, written by `beatrandom replay --keep`; without one there is nothing to contradict",
    fix="run it again in a new folder; a strategy must draw random numbers only from the generator that it is given",
    reads={"replays"},
    judges="a replay",
)
def contradicting_replays(run: RunEvidence) -> Observations:
    path = StudyFolder(run.root).replays(run.key)
    name = str(path.relative_to(run.root))
    try:
        kept = read_replays(path, run.root)
    except InputError as error:
        yield unverifiable(name, error.faults[0].expected, error.faults[0].found)
        return
    for attempt in kept.attempts:
        if run.record is not None and attempt.head != run.record.head:
            expected = f"a replay of the record as it is, {run.record.head[:16]}"
            yield broken(name, expected, f"of {attempt.head[:16]}")
        for outcome in attempt.rounds:
            if outcome.answer == "differs":
                yield broken(f"{name}, round {outcome.round}", "what is recorded", outcome.said)


RULES: tuple[AnyRule, ...] = (
    chain_breaks,
    purchases_without_query,
    labels_used_before_purchase,
    changes_after_interruption,
    decreasing_times,
    contradicting_replays,
)

"""BUD: the same labels for everyone, at the same prices."""

from __future__ import annotations

import numpy as np

from protocol.errors import Fault
from protocol.record.events import DisclosureEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.recount import ledger
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, unverifiable


def _never_over_budget(run: RunEvidence) -> Observations:
    budgets = run.protocol.budgets
    for purchase in ledger(run)[0]:
        limit = budgets[min(purchase.rounds, len(budgets) - 1)]
        after = purchase.spent + purchase.charge
        if purchase.trains and after > limit:
            yield Observation(
                purchase.where,
                f"at most {limit} labels paid for before round {purchase.rounds}",
                str(after),
                str(run.key),
            )


def _schedule_is_followed(run: RunEvidence) -> Observations:
    key, budgets, training = str(run.key), run.protocol.budgets, run.protocol.training_labels
    purchases, rounds = ledger(run)
    for purchase in purchases:
        told, counted = (
            (purchase.event.before, purchase.event.after),
            (purchase.spent, purchase.spent + purchase.charge),
        )
        if told != counted:
            yield Observation(
                purchase.where, f"cost {counted[0]} before and {counted[1]} after", f"{told[0]} and {told[1]}", key
            )
        purpose = "query" if purchase.rounds else "initial"
        if purchase.trains and purchase.event.purpose != purpose:
            yield Observation(
                purchase.where,
                f"a purchase for {purpose!r} after {purchase.rounds} rounds",
                purchase.event.purpose,
                key,
            )
    for done in rounds:
        if done.number >= len(budgets):
            yield Observation(done.where, f"{len(budgets)} rounds", f"round number {done.number + 1}", key)
            continue
        event = done.event
        expected = (done.number, budgets[done.number], done.owned if run.protocol.metered else training[done.number])
        if (event.round, event.budget, event.training_labels) != expected:
            yield Observation(
                done.where, _round(*expected), _round(event.round, event.budget, event.training_labels), key
            )
    if run.record is not None and run.record.sealed and len(rounds) < len(budgets):
        yield Observation(
            run.path, f"{len(budgets)} rounds, up to the budget of {budgets[-1]}", f"{len(rounds)} rounds", key
        )


def _round(number: int, budget: int, labels: int) -> str:
    return f"round {number} at budget {budget} with {labels} training labels"


def _nothing_bought_twice(run: RunEvidence) -> Observations:
    owned: set[int] = set()
    validated = False
    for purchase in ledger(run)[0]:
        if not purchase.trains:
            if validated:
                yield Observation(
                    purchase.where, "the validation labels bought once", "a second purchase", str(run.key)
                )
            validated = True
            continue
        indices = purchase.event.indices
        again = owned.intersection(indices)
        twice = len(indices) - len(set(indices))
        if again or twice:
            found = f"{len(again)} owned already {_few(again)}, {twice} repeated within the purchase"
            yield Observation(purchase.where, "every label bought once", found, str(run.key))
        owned.update(indices)


def _nothing_from_outside_the_pool(run: RunEvidence) -> Observations:
    split = run.split
    if split.split is None:
        problem = split.problem
        yield unverifiable(
            run.path, "the split's pool", f"{problem.where}: {problem.found}" if problem else "nothing", str(run.key)
        )
        return
    for purchase in ledger(run)[0]:
        allowed, name = (split.pool, "pool") if purchase.trains else (split.validation, "validation set")
        if run.protocol.labelling is None:
            strangers = set(purchase.event.indices) - allowed
        elif isinstance(units := run.units, Fault):
            yield unverifiable(
                run.path, "which images the regions are of", f"{units.where}: {units.found}", str(run.key)
            )
            return
        else:
            bought = np.asarray(purchase.event.indices, np.int64)
            there = np.isin(
                bought, units.of(np.asarray([i for i in sorted(allowed) if 0 <= i < len(units.first) - 1], np.int64))
            )
            strangers = set(bought[~there].tolist())
        if strangers:
            yield Observation(
                purchase.where, f"images of the {name}", f"{len(strangers)} others {_few(strangers)}", str(run.key)
            )


def _validation_labels_are_paid(run: RunEvidence) -> Observations:
    key, size = str(run.key), run.protocol.splits.validation_size
    counted = run.protocol.splits.validation_counted
    purchases, rounds = ledger(run)
    bought = [p for p in purchases if not p.trains]
    for purchase in bought:
        charged = purchase.event.after - purchase.event.before
        if charged != purchase.charge:
            how = "charged" if counted else "not charged (splits.validation_counted = false)"
            yield Observation(
                purchase.where, f"{len(purchase.event.indices)} validation labels {how}", f"{charged} charged", key
            )
    total = sum(len(p.event.indices) for p in bought)
    before_training = sum(len(p.event.indices) for p in bought if p.rounds == 0)
    if total != size and (bought or rounds):
        yield Observation(bought[0].where if bought else run.path, f"{size} validation labels bought", str(total), key)
    elif total != before_training:
        yield Observation(
            bought[0].where, "validation labels bought before the first round", f"{total - before_training} later", key
        )


def _prices_are_the_protocols(run: RunEvidence) -> Observations:
    key, labelling = str(run.key), run.protocol.labelling
    if labelling is None:
        return
    for purchase in ledger(run)[0]:
        event = purchase.event
        priced = len(event.costs) if purchase.trains and labelling.metered else len(event.indices)
        if priced != len(event.indices) or (
            event.costs and (min(event.costs) < 1 or not labelling.metered or not purchase.trains)
        ):
            yield Observation(
                purchase.where, "a cost of at least 1 for everything bought", f"{len(event.costs)} costs", key
            )
    if labelling.cost == "click":
        yield unverifiable(run.path, "what clicks come to, which the masks say", "a record, which holds no masks", key)
    elif labelling.cost == "pixel":
        yield from _pixels_are_paid(run)


def _pixels_are_paid(run: RunEvidence) -> Observations:
    key, units = str(run.key), run.units
    if isinstance(units, Fault):
        yield unverifiable(run.path, "how many pixels the regions have", f"{units.where}: {units.found}", key)
        return
    for purchase in ledger(run)[0]:
        bought = np.asarray(purchase.event.indices, np.int64)
        known = (bought >= 0) & (bought < len(units.pixels))
        wrong = [c for c, n in zip(purchase.event.costs, units.pixels[bought[known]].tolist(), strict=False) if c != n]
        if purchase.trains and (wrong or not known.all()):
            yield Observation(
                purchase.where,
                "every region at the number of its pixels",
                f"{len(wrong) or 'some'} at other prices",
                key,
            )


def _few(indices: set[int]) -> str:
    return str(sorted(indices)[:5]) if indices else ""


def _disclosed_to_the_upper_line_alone(run: RunEvidence) -> Observations:
    if run.strategy.upper_line:
        return
    for where, event in run.of(DisclosureEvent):
        yield Observation(
            where, f"no label told unpaid to {run.strategy.id}", f"{event.count} labels told", str(run.key)
        )


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="BUD-01",
        title="no purchase goes past the budget",
        why="more labels are the strongest lever of all",
        evidence="purchases of the record, counted again, against the protocol's budgets",
        fix="run it again in a new folder through the oracle, which refuses this",
        reads=frozenset({"ledger"}),
        function=_never_over_budget,
    ),
    RunRule(
        id="BUD-02",
        title="the schedule of budgets is followed exactly",
        why="curves are compared point by point, at equal cost",
        evidence="rounds and purchases of the record against the protocol's budgets",
        fix="run it again in a new folder",
        reads=frozenset({"budgets"}),
        function=_schedule_is_followed,
    ),
    RunRule(
        id="BUD-03",
        title="nothing is bought twice",
        why="a label counted twice is a training set smaller than it says",
        evidence="indices of the purchases",
        fix="mend the strategy: it may only return indices of unlabelled images, each once",
        reads=frozenset({"ledger"}),
        function=_nothing_bought_twice,
    ),
    RunRule(
        id="BUD-04",
        title="nothing is bought from outside the pool",
        why="a label of the test or validation set in training makes the measurement worthless",
        evidence="indices of the purchases and splits/<digest>.npz",
        fix="mend the strategy: it may only return indices of the pool",
        reads=frozenset({"ledger", "split"}),
        function=_nothing_from_outside_the_pool,
    ),
    RunRule(
        id="BUD-05",
        title="validation labels are bought, and charged as the protocol says",
        why="a validation set that nobody pays for is a hidden budget",
        evidence="validation purchase of the record",
        fix="run it again in a new folder, or set splits.validation_counted and say so",
        reads=frozenset({"validation"}),
        function=_validation_labels_are_paid,
    ),
    RunRule(
        id="BUD-06",
        title="labels are told without payment to the upper line alone",
        why="a competitor that has seen the pool's labels did not choose without them",
        evidence="disclosure events of the record, and the name of the run's strategy",
        fix="run it again in a new folder through the oracle, which discloses labels only to the strategy named 'oracle'",
        reads=frozenset({"ledger", "chain"}),
        function=_disclosed_to_the_upper_line_alone,
    ),
    RunRule(
        id="BUD-07",
        title="everything is sold at the protocol's prices",
        why="a discount buys more labels for the same budget",
        evidence="costs in the purchases, and of pixels data/units-<digest>.npz",
        fix="run it again in a new folder through the oracle, which sets the prices",
        reads=frozenset({"ledger", "chain"}),
        function=_prices_are_the_protocols,
    ),
)

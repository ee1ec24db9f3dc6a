"""BUD: every strategy pays for the same number of labels, at the same prices."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from protocol.record.events import DisclosureEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.recount import CountedPurchase, recount
from protocol.rules.rule import AnyRule, Observations, broken, need, run_rule, unverifiable

_MOST_SHOWN = 5


@run_rule(
    "BUD-01",
    "no purchase exceeds the budget",
    why="more labels help more than any strategy",
    evidence="purchases of the record, counted again, against the protocol's budgets",
    fix="run it again in a new folder through the oracle, which refuses such purchases",
    reads={"ledger"},
)
def purchases_over_budget(run: RunEvidence) -> Observations:
    budgets, currency = run.protocol.budgets, run.protocol.currency
    for purchase in recount(run)[0]:
        limit = budgets[min(purchase.rounds, len(budgets) - 1)]
        after = purchase.spent + purchase.charge
        if purchase.for_training and after > limit:
            expected = f"at most {limit} {currency} paid for before round {purchase.rounds}"
            yield broken(purchase.where, expected, f"{after} {currency}")


@run_rule(
    "BUD-02",
    "the schedule of budgets is followed exactly",
    why="curves are compared point by point, at equal cost",
    evidence="rounds and purchases of the record against the protocol's budgets",
    fix="run it again in a new folder",
    reads={"budgets"},
)
def deviations_from_schedule(run: RunEvidence) -> Observations:
    budgets, training = run.protocol.budgets, run.protocol.training_labels
    purchases, rounds = recount(run)
    for purchase in purchases:
        labels, spent = purchase.event, purchase.spent
        if (labels.before, labels.after) != (spent, spent + purchase.charge):
            expected = f"cost {spent} before and {spent + purchase.charge} after"
            yield broken(purchase.where, expected, f"{labels.before} and {labels.after}")
        purpose = "query" if purchase.rounds else "initial"
        if purchase.for_training and labels.purpose != purpose:
            yield broken(purchase.where, f"a purchase for {purpose!r} after {purchase.rounds} rounds", labels.purpose)
    for counted in rounds:
        n, event = counted.number, counted.event
        if n >= len(budgets):
            yield broken(counted.where, f"{len(budgets)} rounds", f"round number {n + 1}")
            continue
        expected = _round(n, budgets[n], counted.labelled if run.protocol.metered else training[n])
        if (actual := _round(event.round, event.budget, event.training_labels)) != expected:
            yield broken(counted.where, expected, actual)
    if run.sealed and len(rounds) < len(budgets):
        yield broken(run.path, f"{len(budgets)} rounds, up to the budget of {budgets[-1]}", f"{len(rounds)} rounds")


def _round(number: int, budget: int, labels: int) -> str:
    return f"round {number} at budget {budget} with {labels} training labels"


@run_rule(
    "BUD-03",
    "nothing is bought twice",
    why="with a label counted twice the training set is smaller than recorded",
    evidence="indices of the purchases",
    fix="fix the strategy: it may only return indices of unlabelled images, each once",
    reads={"ledger"},
)
def repeated_purchases(run: RunEvidence) -> Observations:
    labelled: set[int] = set()
    validated = ""
    for purchase in recount(run)[0]:
        if not purchase.for_training:
            if validated:
                yield broken(purchase.where, "the validation labels bought once", f"bought already at {validated}")
            validated = validated or purchase.where
            continue
        indices = purchase.event.indices
        again = labelled.intersection(indices)
        repeated = len(indices) - len(set(indices))
        if again or repeated:
            found = f"{len(again)} labelled already{_examples(again)}, {repeated} repeated within the purchase"
            yield broken(purchase.where, "every label bought once", found)
        labelled.update(indices)


@run_rule(
    "BUD-04",
    "nothing is bought from outside the pool",
    why="a label of the test or validation set in training makes the measurement worthless",
    evidence="indices of the purchases and splits/<digest>.npz",
    fix="fix the strategy: it may only return indices of the pool",
    reads={"ledger", "split"},
)
def purchases_outside_pool(run: RunEvidence) -> Observations:
    need(run.split.indices)
    for purchase in recount(run)[0]:
        allowed, name = (run.split.pool, "pool") if purchase.for_training else (run.split.validation, "validation set")
        outside = set(purchase.event.indices) - _buyable(run, allowed, purchase)
        if outside:
            yield broken(purchase.where, f"images of the {name} only", f"{len(outside)} not in it{_examples(outside)}")


def _buyable(run: RunEvidence, images: Set[int], purchase: CountedPurchase) -> Set[int]:
    """Return the candidates among `images`: the images, or the purchase's regions in them."""
    if run.protocol.labelling is None:
        return images
    units = need(run.units)
    known = [image for image in sorted(images) if 0 <= image < len(units.first) - 1]
    bought = np.asarray(purchase.event.indices, np.int64)
    return set(bought[np.isin(bought, units.of(np.asarray(known, np.int64)))].tolist())


@run_rule(
    "BUD-05",
    "validation labels are bought, and charged as the protocol says",
    why="a validation set without cost is a hidden budget",
    evidence="validation purchase of the record",
    fix="run it again in a new folder, or set splits.validation_counted and report it",
    reads={"validation"},
)
def unpaid_validation_labels(run: RunEvidence) -> Observations:
    size, counted = run.protocol.splits.validation_size, run.protocol.splits.validation_counted
    purchases, rounds = recount(run)
    bought = [p for p in purchases if not p.for_training]
    for purchase in bought:
        charged = purchase.event.after - purchase.event.before
        if charged != purchase.charge:
            how = "charged" if counted else "not charged (splits.validation_counted = false)"
            yield broken(purchase.where, f"{len(purchase.event.indices)} validation labels {how}", f"{charged} charged")
    total = sum(len(p.event.indices) for p in bought)
    late = sum(len(p.event.indices) for p in bought if p.rounds > 0)
    if total != size and (bought or rounds):
        yield broken(bought[0].where if bought else run.path, f"{size} validation labels bought", total)
    elif late:
        yield broken(bought[0].where, "validation labels bought before the first round", f"{late} later")


@run_rule(
    "BUD-06",
    "only the oracle strategy sees labels without payment",
    why="a strategy that has seen the pool's labels did not choose without them",
    evidence="disclosure events of the record, and the name of the run's strategy",
    fix="run it again in a new folder through the oracle, which discloses labels only to the strategy named 'oracle'",
    reads={"ledger", "chain"},
)
def disclosed_labels(run: RunEvidence) -> Observations:
    if run.strategy.upper_line:
        return
    for where, event in run.of(DisclosureEvent):
        yield broken(where, f"no unpaid label disclosed to {run.strategy.id}", f"{event.count} labels disclosed")


@run_rule(
    "BUD-07",
    "everything is sold at the protocol's prices",
    why="a discount buys more labels for the same budget",
    evidence="costs in the purchases, and for pixels data/units-<digest>.npz",
    fix="run it again in a new folder through the oracle, which sets the prices",
    reads={"ledger", "chain"},
    judges="prices",
)
def wrong_prices(run: RunEvidence) -> Observations:
    labelling = run.protocol.labelling
    if labelling is None:
        return
    purchases = recount(run)[0]
    for purchase in purchases:
        costs, n = purchase.event.costs, len(purchase.event.indices)
        priced = n if purchase.for_training and labelling.metered else 0
        if len(costs) != priced or min(costs, default=1) < 1:
            found = f"{len(costs)} costs, the least {min(costs, default=0)}" if costs else "no costs"
            yield broken(purchase.where, f"{priced} costs of at least 1 for {n} labels", found)
    if labelling.cost == "click":
        yield unverifiable(run.path, "the number of clicks, which only the masks show", "a record without masks")
    elif labelling.cost == "pixel":
        pixels = need(run.units).pixels
        for purchase in purchases:
            if purchase.for_training:
                yield from _wrong_pixel_costs(purchase, pixels)


def _wrong_pixel_costs(purchase: CountedPurchase, pixels: NDArray[np.int64]) -> Observations:
    wrong: list[str] = []
    for unit, cost in zip(purchase.event.indices, purchase.event.costs, strict=False):
        size = int(pixels[unit]) if 0 <= unit < len(pixels) else None
        if cost != size:
            wrong.append(f"region {unit} at {cost}, " + ("no such region" if size is None else f"{size} pixels"))
    if wrong:
        more = f" and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
        yield broken(purchase.where, "every region at the number of its pixels", "; ".join(wrong[:_MOST_SHOWN]) + more)


def _examples(indices: Set[int]) -> str:
    return f", e.g. {sorted(indices)[:_MOST_SHOWN]}" if indices else ""


RULES: tuple[AnyRule, ...] = (
    purchases_over_budget,
    deviations_from_schedule,
    repeated_purchases,
    purchases_outside_pool,
    unpaid_validation_labels,
    disclosed_labels,
    wrong_prices,
)

"""The only way to a label: bought by index, written to the ledger first, refused past the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from protocol.draws.seeds import generator
from protocol.draws.splits import Indices, Split, starting_set
from protocol.errors import Fault, RuleBroken
from protocol.metrics import VOID, calibration_metrics, classification_metrics, confusion_matrices
from protocol.record.events import LabelsEvent
from protocol.spec.protocol import Protocol
from protocol.spec.units import PricedUnits, Units

Purpose = Literal["initial", "validation", "query"]
WriteAhead = Callable[[LabelsEvent], None]
"""Called with a purchase; must have reached the disk when it returns."""
Disclosure = Callable[[Indices], None]
"""Called with indices before labels are told that nobody pays for; must have reached the disk when it returns."""


class Seller(Interface):
    """What a run needs of whoever sells the labels, in this process or another. What is sold are units: images, or regions of them."""

    examinations: int

    @property
    def pool(self) -> Indices:
        """All images of the pool, sorted."""
        ...

    @property
    def unlabelled(self) -> Indices:
        """Units of the pool not bought yet, sorted."""
        ...

    @property
    def owned(self) -> Indices:
        """Units of training images bought so far, in the order of purchase."""
        ...

    def owned_at(self, round_: int) -> Indices:
        """What of `owned` round `round_`, from 0, is trained on."""
        ...

    def labels_of(self, units: Indices) -> tuple[Indices, NDArray[np.integer]]:
        """(images, labels) of owned units: images in the order of purchase, each once; of masks what was not bought is void."""
        ...

    def affordable(self, budget: int) -> int:
        """Most units that can be bought up to a budget, as far as prices are known before they are paid."""
        ...

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Validation images and labels; empty until bought."""
        ...

    def start(self, chosen: Indices | None = None) -> None:
        """Buy what is missing of the validation labels and the starting set: what the strategy has `chosen`, or else what the seed draws."""
        ...

    def buy(self, units: NDArray[np.integer]) -> None:
        """Buy one query's labels; where units differ in cost, in the given order as far as the next budget reaches."""
        ...

    def restore(self, purpose: Purpose, units: Indices) -> None:
        """Hand over again what was paid for."""
        ...

    def examine(
        self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> dict[str, float]:
        """Metrics of test predictions and, if given, of their log-probabilities."""
        ...

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Confusion matrices (n_test, classes, classes) of predicted test maps (n_test, height, width)."""
        ...

    def disclose(self) -> NDArray[np.integer]:
        """Labels of `unlabelled`, in its order, unpaid; on the record, and to the strategy `oracle` alone."""
        ...


class Holdings:
    """Which units of a split's pool are bought, what was spent, and which are left."""

    def __init__(self, protocol: Protocol, split: Split, units: Units) -> None:
        self._protocol: Final = protocol
        self._split: Final = split
        self.units: Final = units
        self._bought: list[Indices] = []
        self._validation: Indices = np.empty(0, np.int64)
        self._spent = 0
        self.examinations = 0
        """How often test predictions were compared with the test labels; a resumed run starts from its whole rounds."""

    @property
    def pool(self) -> Indices:
        """All images of the pool, sorted."""
        return self._split.pool

    @property
    def spent(self) -> int:
        """Budget charged so far."""
        return self._spent

    @property
    def owned(self) -> Indices:
        """Units of training images bought so far, in the order of purchase."""
        return self._together(self._bought)

    @property
    def unlabelled(self) -> Indices:
        """Units of the pool not bought yet, sorted."""
        return np.setdiff1d(self.units.of(self._split.pool), self.owned, assume_unique=True)

    def owned_at(self, round_: int) -> Indices:
        """What of `owned` round `round_`, from 0, is trained on: the starting set and the queries of the rounds before."""
        if self._protocol.metered:
            return self._together(self._bought[: round_ + 1])
        return self.owned[: self._protocol.training_labels[round_]]

    def affordable(self, budget: int) -> int:
        """Most units that can be bought up to a budget: by their pixels; or if clicks are the price, at one click each."""
        left = budget - self._spent
        if not self._protocol.metered:
            return left
        unlabelled = self.unlabelled
        if self._protocol.labelling is not None and self._protocol.labelling.cost == "pixel":
            return int(np.searchsorted(np.cumsum(np.sort(self.units.pixels[unlabelled])), left, side="right"))
        return min(left, len(unlabelled))

    @staticmethod
    def _together(parts: list[Indices]) -> Indices:
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def keep(self, purpose: Purpose, units: Indices, after: int) -> None:
        """Note a purchase, and what is spent after it."""
        self._spent = after
        if purpose == "validation":
            self._validation = units
        else:
            self._bought.append(units)


def as_told(protocol: Protocol, replicate: int, labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Labels as the oracle tells them: some wrong where the protocol has label noise, by the seed alone.

    Args:
        labels: true classes of all images, -1 for none of the task's.
    """
    if not protocol.label_noise:
        return labels
    rng = generator(protocol.root_seed, "initial", replicate, "label-noise")
    classes = int(labels.max()) + 1
    wrong = (rng.random(len(labels)) < protocol.label_noise) & (labels >= 0)
    return np.where(wrong, (labels + rng.integers(1, classes, len(labels))) % classes, labels)


class Oracle(Holdings):
    """Sells the labels of one run. Knows every label; gives away only what has been paid for.

    A label is a class, or -1: none of the task's; of segmentation a map (height, width) of classes and `VOID`.

    Args:
        classes: number of classes; needed for segmentation.
        tell: writes down that labels are disclosed; given only to a run of the upper line, None for every competitor.
        goods: what is sold, and at what price; None: whole images, one label each.
    """

    def __init__(
        self,
        protocol: Protocol,
        replicate: int,
        split: Split,
        labels: NDArray[np.integer],
        write: WriteAhead,
        tell: Disclosure | None = None,
        classes: int = 0,
        goods: PricedUnits | None = None,
    ) -> None:
        self._goods: Final = goods or PricedUnits.images(len(labels))
        super().__init__(protocol, split, self._goods.division.units)
        self._classes: Final = classes
        self._tell: Final = tell
        self._replicate: Final = replicate
        self._labels: Final = labels
        self._told: Final = as_told(protocol, replicate, labels)
        self._write: Final = write

    def labels_of(self, units: Indices) -> tuple[Indices, NDArray[np.integer]]:
        """(images, labels) of owned units: images in the order of purchase, each once; of masks what was not bought is void.

        Raises:
            RuleBroken: BUD-06, not all of them are owned.
        """
        if (strangers := np.setdiff1d(units, self.owned)).size:
            found = f"{strangers.size} others, e.g. {strangers[:5].tolist()}"
            raise RuleBroken(
                "BUD-06", Fault(f"labels of {len(units)} units", "units that are paid for", found, "buy them first")
            )
        if (maps := self._goods.division.maps) is None:
            return units, self._told[units]
        images = self.units.image_of(units)
        images = images[np.sort(np.unique(images, return_index=True)[1])]
        paid = np.isin(maps(images), units)
        return images, np.where(paid, self._told[images], VOID).astype(self._told.dtype)

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Validation images and labels; empty until bought."""
        images = self._split.validation if len(self._validation) else self._validation
        return images, self._told[images]

    def start(self, chosen: Indices | None = None) -> None:
        """Buy the validation labels, if any, and the starting set.

        Args:
            chosen: what the strategy chose to start from; None: what the seed draws.

        Raises:
            RuleBroken: SED-03 the protocol leaves no strategy that choice; or as `buy`.
        """
        if chosen is not None and self._protocol.splits.initial != "strategy":
            fix = "declare splits.initial = 'strategy'"
            raise RuleBroken(
                "SED-03",
                Fault(_purchase("initial", chosen), "a start drawn from the seed", "one that a strategy chose", fix),
            )
        if not len(self._validation) and len(self._split.validation):
            self._sell("validation", self.units.of(self._split.validation), record=True)
        if not self._bought:
            drawn = (
                starting_set(self._protocol, self._replicate, self._split, self._labels, self.units)
                if chosen is None
                else chosen
            )
            self._sell("initial", np.asarray(drawn, np.int64), record=True, chosen=chosen is not None)

    def buy(self, units: NDArray[np.integer]) -> None:
        """Buy one query's labels; where units differ in cost, in the given order up to the first that the budget does not reach.

        Raises:
            RuleBroken: BUD-03 bought twice, BUD-04 outside the pool, BUD-01 past the next budget.
        """
        self._sell("query", np.asarray(units, np.int64), record=True)

    def restore(self, purpose: Purpose, units: Indices) -> None:
        """Hand over again what the ledger says was paid for; nothing is written."""
        self._sell(purpose, units, record=False)

    def examine(
        self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> dict[str, float]:
        """Metrics of test predictions, shape (n_test,), in the order of the split's sorted test indices.

        With log-probabilities, shape (n_test, classes), those of calibration, too.
        """
        self.examinations += 1
        targets = self._labels[self._split.test]
        metrics = classification_metrics(predicted, targets)
        return (
            metrics
            if log_probabilities is None
            else metrics | calibration_metrics(log_probabilities, predicted, targets)
        )

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Confusion matrices of predicted test maps, in the order of the split's sorted test indices; void is not counted.

        Args:
            predicted: classes, shape (n_test, height, width).

        Returns:
            (n_test, classes, classes), rows the true class; `metrics.segmentation_metrics` makes numbers of them.
        """
        self.examinations += 1
        return confusion_matrices(predicted, self._labels[self._split.test], self._classes)

    def disclose(self) -> NDArray[np.integer]:
        """Labels of `unlabelled`, in its order, unpaid.

        Raises:
            RuleBroken: BUD-06, unless the run is the upper line's.
        """
        if self._tell is None:
            raise undisclosed()
        indices = self.unlabelled
        self._tell(indices)
        return self._told[indices]

    def _sell(self, purpose: Purpose, units: Indices, *, record: bool, chosen: bool = False) -> None:
        charged = purpose != "validation" or self._protocol.splits.validation_counted
        self._refuse_what_is_forbidden(purpose, units)
        limit, cut = self._limit(purpose), charged and self._protocol.metered and record
        if cut:
            units = units[: limit - self._spent]  # nothing costs less than 1, and prices may be slow to find
        costs = self._goods.price(units) if charged else np.zeros(len(units), np.int64)
        reached = self._spent + np.cumsum(costs)
        if cut:
            fits = int(np.searchsorted(reached, limit, side="right"))
            units, costs, reached = units[:fits], costs[:fits], reached[:fits]
        after = int(reached[-1]) if len(reached) else self._spent
        if purpose != "validation" and after > limit:
            where = _purchase(purpose, units)
            raise RuleBroken(
                "BUD-01",
                Fault(
                    where,
                    f"at most {limit - self._spent} {self._protocol.currency} up to the budget of {limit}",
                    str(after - self._spent),
                ),
            )
        if record:
            told = costs if charged and self._protocol.metered else np.empty(0, np.int64)
            self._write(
                LabelsEvent(
                    purpose=purpose,
                    indices=tuple(units.tolist()),
                    before=self._spent,
                    after=after,
                    costs=tuple(told.tolist()),
                    chosen=chosen,
                )
            )
        self.keep(purpose, units, after)

    def _refuse_what_is_forbidden(self, purpose: Purpose, units: Indices) -> None:
        where = _purchase(purpose, units)
        twice = len(units) - len(np.unique(units))
        if twice or np.isin(units, self.owned).any():
            again = units[np.isin(units, self.owned)][:5].tolist()
            raise RuleBroken(
                "BUD-03",
                Fault(where, "every label bought once", f"{twice} repeated within the query, owned already: {again}"),
            )
        allowed = self.units.of(self._split.validation if purpose == "validation" else self._split.pool)
        if (strangers := units[~np.isin(units, allowed)]).size:
            raise RuleBroken(
                "BUD-04", Fault(where, "indices of the pool", f"{strangers.size} others, e.g. {strangers[:5].tolist()}")
            )

    def _limit(self, purpose: Purpose) -> int:
        budgets = self._protocol.budgets
        if purpose == "initial":
            return budgets[0]
        if self._protocol.metered:  # what was left over stays to be spent, so purchases are counted
            return budgets[min(len(self._bought), len(budgets) - 1)]
        return next((b for b in budgets if b > self._spent), budgets[-1])


def _purchase(purpose: Purpose, units: Indices) -> str:
    return f"purchase of {len(units)} labels ({purpose})"


def undisclosed() -> RuleBroken:
    """The refusal of labels that were not bought."""
    fix = "buy them; an upper line that knows them is the strategy named 'oracle'"
    return RuleBroken(
        "BUD-06", Fault("labels of the pool", "only labels that were bought", "a wish for all others", fix)
    )

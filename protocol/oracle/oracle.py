"""Sell labels by index: every purchase is recorded first, and refused if it exceeds the budget."""

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
"""Write a purchase; it must be on disk on return."""
Disclosure = Callable[[Indices], None]
"""Log indices whose labels are about to be disclosed without payment; it must be on disk on return."""


class LabelOracle(Interface):
    """Interface of oracles, in this process or another: they sell labels of images or regions."""

    examinations: int

    @property
    def pool(self) -> Indices:
        """Return all images of the pool, sorted."""
        ...

    @property
    def unlabelled(self) -> Indices:
        """Return the units of the pool that are not bought yet, sorted."""
        ...

    @property
    def labelled(self) -> Indices:
        """Return the units of training images bought so far, in the order of purchase."""
        ...

    def labelled_at(self, round_: int) -> Indices:
        """Return the part of `labelled` that round `round_`, from 0, is trained on."""
        ...

    def labels_of(self, units: Indices) -> tuple[Indices, NDArray[np.integer]]:
        """Return (images, labels) of bought units: each image once, in the order of purchase.

        In masks, pixels of units that are not bought are void.
        """
        ...

    def affordable(self, budget: int) -> int:
        """Return the largest number of units that can be bought up to a budget.

        If prices are known only after the purchase, it is an upper bound.
        """
        ...

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Return validation images and labels; both are empty until bought."""
        ...

    def start(self, chosen: Indices | None = None) -> None:
        """Buy the validation labels and the initial set, unless they are bought already.

        Args:
            chosen: initial set that the strategy chose; None: the seed draws it.
        """
        ...

    def buy(self, units: NDArray[np.integer]) -> None:
        """Buy the labels of one query; with metered budgets, in order until the next is reached."""
        ...

    def restore(self, purpose: Purpose, units: Indices) -> None:
        """Return to the state after a recorded purchase."""
        ...

    def examine(
        self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> dict[str, float]:
        """Compute the metrics of test predictions and, if given, of their log-probabilities."""
        ...

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Compute confusion matrices (n_test, classes, classes) of maps (n_test, height, width)."""
        ...

    def disclose(self) -> NDArray[np.integer]:
        """Return unpaid labels of `unlabelled`; logged, and for the strategy `oracle` alone."""
        ...


class Holdings:
    """Purchases of one run: units that are bought, budget that is spent, and units that are left.

    Attributes:
        examinations: how often test predictions were compared with the test labels; a resumed run starts from its
            complete rounds.
    """

    def __init__(self, protocol: Protocol, split: Split, units: Units) -> None:
        self._protocol: Final = protocol
        self._split: Final = split
        self.units: Final = units
        self._bought: list[Indices] = []
        self._validation: Indices = np.empty(0, np.int64)
        self._spent = 0
        self.examinations = 0

    @property
    def pool(self) -> Indices:
        """Return all images of the pool, sorted."""
        return self._split.pool

    @property
    def spent(self) -> int:
        """Return the budget charged so far."""
        return self._spent

    @property
    def labelled(self) -> Indices:
        """Return the units of training images bought so far, in the order of purchase."""
        return self._concatenated(self._bought)

    @property
    def unlabelled(self) -> Indices:
        """Return the units of the pool that are not bought yet, sorted."""
        return np.setdiff1d(self.units.of(self._split.pool), self.labelled, assume_unique=True)

    def labelled_at(self, round_: int) -> Indices:
        """Return what round `round_`, from 0, is trained on: initial set and earlier queries."""
        if self._protocol.metered:
            return self._concatenated(self._bought[: round_ + 1])
        return self.labelled[: self._protocol.training_labels[round_]]

    def affordable(self, budget: int) -> int:
        """Return the largest number of units that can be bought up to a budget.

        Prices are the units' pixels; if the price is paid in clicks, one click per unit is assumed.
        """
        left = budget - self._spent
        if not self._protocol.metered:
            return left
        unlabelled = self.unlabelled
        if self._protocol.labelling is not None and self._protocol.labelling.cost == "pixel":
            return int(np.searchsorted(np.cumsum(np.sort(self.units.pixels[unlabelled])), left, side="right"))
        return min(left, len(unlabelled))

    @staticmethod
    def _concatenated(parts: list[Indices]) -> Indices:
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def add(self, purpose: Purpose, units: Indices, after: int) -> None:
        """Add a purchase.

        Args:
            after: what is spent after it, in all.
        """
        self._spent = after
        if purpose == "validation":
            self._validation = units
        else:
            self._bought.append(units)


def noisy_labels(protocol: Protocol, seed: int, labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the labels that the oracle sells: with label noise, the seed makes some of them wrong.

    Args:
        labels: true classes of all images; -1: none of the task's classes.
    """
    if not protocol.label_noise:
        return labels
    rng = generator(protocol.root_seed, "initial", seed, "label-noise")
    classes = int(labels.max()) + 1
    wrong = (rng.random(len(labels)) < protocol.label_noise) & (labels >= 0)
    return np.where(wrong, (labels + rng.integers(1, classes, len(labels))) % classes, labels)


class Oracle(Holdings):
    """Sells the labels of one run. It knows every label, and reveals only those that are paid for.

    A label is a class, or -1: none of the task's classes. In segmentation: a map (height, width) of classes and `VOID`.

    Args:
        labels: labels of all images.
        write: records a purchase before its labels are revealed.
        on_disclosure: logs that unpaid labels are disclosed; only runs of the oracle strategy have it.
        classes: number of classes; needed for segmentation.
        units: what is sold, and at what price; None: whole images, one label each.
    """

    def __init__(
        self,
        protocol: Protocol,
        seed: int,
        split: Split,
        labels: NDArray[np.integer],
        write: WriteAhead,
        *,
        on_disclosure: Disclosure | None = None,
        classes: int = 0,
        units: PricedUnits | None = None,
    ) -> None:
        self._priced_units: Final = units or PricedUnits.images(len(labels))
        super().__init__(protocol, split, self._priced_units.division.units)
        self._classes: Final = classes
        self._on_disclosure: Final = on_disclosure
        self._seed: Final = seed
        self._labels: Final = labels
        self._noisy_labels: Final = noisy_labels(protocol, seed, labels)
        self._write: Final = write

    def labels_of(self, units: Indices) -> tuple[Indices, NDArray[np.integer]]:
        """Return (images, labels) of bought units: each image once, in the order of purchase.

        In masks, pixels of units that are not bought are void.

        Raises:
            RuleBroken: BUD-06, not all of the units are bought.
        """
        if (unpaid := np.setdiff1d(units, self.labelled)).size:
            found = f"{unpaid.size} that are not bought, e.g. {unpaid[:5].tolist()}"
            raise RuleBroken("BUD-06", Fault(f"labels of {len(units)} units", "bought units", found, "buy them first"))
        if (maps := self._priced_units.division.maps) is None:
            return units, self._noisy_labels[units]
        images = self.units.image_of(units)
        images = images[np.sort(np.unique(images, return_index=True)[1])]
        paid = np.isin(maps(images), units)
        return images, np.where(paid, self._noisy_labels[images], VOID).astype(self._noisy_labels.dtype)

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Return validation images and labels; both are empty until bought."""
        images = self._split.validation if len(self._validation) else self._validation
        return images, self._noisy_labels[images]

    def start(self, chosen: Indices | None = None) -> None:
        """Buy the validation labels, if there are any, and the initial set.

        Args:
            chosen: initial set that the strategy chose; None: the seed draws it.

        Raises:
            RuleBroken: SED-03, the protocol does not let strategies choose; or as `buy`.
        """
        if chosen is not None and self._protocol.splits.initial != "strategy":
            where, fix = _purchase("initial", chosen), "declare splits.initial = 'strategy'"
            fault = Fault(where, "an initial set drawn by the seed", "one chosen by the strategy", fix)
            raise RuleBroken("SED-03", fault)
        if not len(self._validation) and len(self._split.validation):
            self._sell("validation", self.units.of(self._split.validation), record=True)
        if not self._bought:
            start = chosen
            if start is None:
                start = starting_set(self._protocol, self._seed, self._split, self._labels, self.units)
            self._sell("initial", np.asarray(start, np.int64), record=True, chosen=chosen is not None)

    def buy(self, units: NDArray[np.integer]) -> None:
        """Buy the labels of one query; with metered budgets, in order until the next is reached.

        Raises:
            RuleBroken: BUD-03 a label is bought twice, BUD-04 outside the pool, BUD-01 beyond the next budget.
        """
        self._sell("query", np.asarray(units, np.int64), record=True)

    def restore(self, purpose: Purpose, units: Indices) -> None:
        """Return to the state after a recorded purchase; nothing is written."""
        self._sell(purpose, units, record=False)

    def examine(
        self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> dict[str, float]:
        """Compute the metrics of test predictions.

        Args:
            predicted: classes, shape (n_test,), in the order of the split's sorted test indices.
            log_probabilities: shape (n_test, classes); with them, metrics of calibration are included.
        """
        self.examinations += 1
        targets = self._labels[self._split.test]
        metrics = classification_metrics(predicted, targets)
        if log_probabilities is None:
            return metrics
        return metrics | calibration_metrics(log_probabilities, predicted, targets)

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Compute confusion matrices of predicted test maps; void pixels are not counted.

        Args:
            predicted: classes, shape (n_test, height, width), in the order of the split's sorted test indices.

        Returns:
            (n_test, classes, classes), rows the true class; `metrics.segmentation_metrics` turns them into numbers.
        """
        self.examinations += 1
        return confusion_matrices(predicted, self._labels[self._split.test], self._classes)

    def disclose(self) -> NDArray[np.integer]:
        """Return labels of `unlabelled`, in its order, unpaid.

        Raises:
            RuleBroken: BUD-06, unless the run's strategy is `oracle`.
        """
        if self._on_disclosure is None:
            raise undisclosed()
        indices = self.unlabelled
        self._on_disclosure(indices)
        return self._noisy_labels[indices]

    def _sell(self, purpose: Purpose, units: Indices, *, record: bool, chosen: bool = False) -> None:
        charged = purpose != "validation" or self._protocol.splits.validation_counted
        self._check_units(purpose, units)
        limit, cut = self._limit(purpose), charged and self._protocol.metered and record
        if cut:
            units = units[: limit - self._spent]  # every unit costs at least 1, and prices may be slow to compute
        costs = self._priced_units.price(units) if charged else np.zeros(len(units), np.int64)
        reached = self._spent + np.cumsum(costs)
        if cut:
            fits = int(np.searchsorted(reached, limit, side="right"))
            units, costs, reached = units[:fits], costs[:fits], reached[:fits]
        after = int(reached[-1]) if len(reached) else self._spent
        if purpose != "validation" and after > limit:
            expected = f"at most {limit - self._spent} {self._protocol.currency} up to the budget of {limit}"
            raise RuleBroken("BUD-01", Fault(_purchase(purpose, units), expected, str(after - self._spent)))
        if record:
            listed = costs if charged and self._protocol.metered else np.empty(0, np.int64)
            self._write(
                LabelsEvent(
                    purpose=purpose,
                    indices=tuple(units.tolist()),
                    before=self._spent,
                    after=after,
                    costs=tuple(listed.tolist()),
                    chosen=chosen,
                )
            )
        self.add(purpose, units, after)

    def _check_units(self, purpose: Purpose, units: Indices) -> None:
        where = _purchase(purpose, units)
        repeated, bought = len(units) - len(np.unique(units)), units[np.isin(units, self.labelled)]
        if repeated or len(bought):
            found = f"{repeated} repeated within the query, bought already: {bought[:5].tolist()}"
            raise RuleBroken("BUD-03", Fault(where, "every label bought once", found))
        source = "validation" if purpose == "validation" else "pool"
        allowed = self.units.of(self._split.validation if source == "validation" else self._split.pool)
        if (foreign := units[~np.isin(units, allowed)]).size:
            found = f"{foreign.size} outside the {source}, e.g. {foreign[:5].tolist()}"
            raise RuleBroken("BUD-04", Fault(where, f"indices of the {source}", found))

    def _limit(self, purpose: Purpose) -> int:
        budgets = self._protocol.budgets
        if purpose == "initial":
            return budgets[0]
        if self._protocol.metered:  # a rest stays to be spent, so purchases are counted
            return budgets[min(len(self._bought), len(budgets) - 1)]
        return next((b for b in budgets if b > self._spent), budgets[-1])


def _purchase(purpose: Purpose, units: Indices) -> str:
    return f"purchase of {len(units)} labels ({purpose})"


def undisclosed() -> RuleBroken:
    """Return the error for a request of labels that are not bought."""
    fix = "buy them; the strategy that may know all labels is named 'oracle'"
    fault = Fault("labels of the pool", "only labels that were bought", "a request for all other labels", fix)
    return RuleBroken("BUD-06", fault)

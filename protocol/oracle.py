"""The only way to a label: bought by index, written to the ledger first, refused past the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, RuleBroken
from protocol.metrics import calibration_metrics, classification_metrics, confusion_matrices
from protocol.seeds import generator
from protocol.spec import Protocol
from protocol.splits import Indices, Split, starting_set

Purpose = Literal["initial", "validation", "query"]
WriteAhead = Callable[[Purpose, Indices, int, int], None]
"""Called with (purpose, indices, cost before, cost after); must have reached the disk when it returns."""
Disclosure = Callable[[Indices], None]
"""Called with indices before labels are told that nobody pays for; must have reached the disk when it returns."""


class Seller(Interface):
    """What a run needs of whoever sells the labels, in this process or another."""

    examinations: int

    @property
    def owned(self) -> Indices:
        """Training indices bought so far, in the order of purchase."""
        ...

    @property
    def unlabelled(self) -> Indices:
        """Pool indices not bought yet, sorted."""
        ...

    def owned_labels(self) -> NDArray[np.integer]:
        """Labels of `owned`, in the same order."""
        ...

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Validation indices and labels; empty until bought."""
        ...

    def start(self) -> None:
        """Buy what is missing of the validation labels and the starting set."""
        ...

    def buy(self, indices: NDArray[np.integer]) -> None:
        """Buy one query's labels."""
        ...

    def restore(self, purpose: Purpose, indices: Indices) -> None:
        """Hand over again what was paid for."""
        ...

    def examine(self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None) -> dict[str, float]:
        """Metrics of test predictions and, if given, of their log-probabilities."""
        ...

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Confusion matrices (n_test, classes, classes) of predicted test maps (n_test, height, width)."""
        ...

    def disclose(self) -> NDArray[np.integer]:
        """Labels of `unlabelled`, in its order, unpaid; on the record, and to the strategy `oracle` alone."""
        ...


class Holdings:
    """Which training images of a split's pool are bought, and which are left."""

    def __init__(self, split: Split) -> None:
        self._split: Final = split
        self._owned: list[Indices] = []
        self.examinations = 0
        """How often test predictions were compared with the test labels; a resumed run starts from its whole rounds."""

    @property
    def owned(self) -> Indices:
        """Training indices bought so far, in the order of purchase."""
        return np.concatenate(self._owned) if self._owned else np.empty(0, np.int64)

    @property
    def unlabelled(self) -> Indices:
        """Pool indices not bought yet, sorted."""
        return np.setdiff1d(self._split.pool, self.owned, assume_unique=True)


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
    ) -> None:
        super().__init__(split)
        self._classes: Final = classes
        self._tell: Final = tell
        self._protocol: Final = protocol
        self._replicate: Final = replicate
        self._labels: Final = labels
        self._told: Final = as_told(protocol, replicate, labels)
        self._write: Final = write
        self._validation: Indices | None = None
        self._spent = 0

    @property
    def spent(self) -> int:
        """Labels charged so far."""
        return self._spent

    def owned_labels(self) -> NDArray[np.integer]:
        """Labels of `owned`, in the same order."""
        return self._told[self.owned]

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Validation indices and labels; empty until bought."""
        indices = self._validation if self._validation is not None else np.empty(0, np.int64)
        return indices, self._told[indices]

    def start(self) -> None:
        """Buy the validation labels, if any, and the starting set."""
        if self._validation is None and len(self._split.validation):
            self._sell("validation", self._split.validation, record=True)
        if not self._owned:
            self._sell("initial", starting_set(self._protocol, self._replicate, self._split, self._labels), record=True)

    def buy(self, indices: NDArray[np.integer]) -> None:
        """Buy one query's labels.

        Raises:
            RuleBroken: BUD-03 bought twice, BUD-04 outside the pool, BUD-01 past the next budget.
        """
        self._sell("query", np.asarray(indices, np.int64), record=True)

    def restore(self, purpose: Purpose, indices: Indices) -> None:
        """Hand over again what the ledger says was paid for; nothing is written."""
        self._sell(purpose, indices, record=False)

    def examine(self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None) -> dict[str, float]:
        """Metrics of test predictions, shape (n_test,), in the order of the split's sorted test indices.

        With log-probabilities, shape (n_test, classes), those of calibration, too.
        """
        self.examinations += 1
        targets = self._labels[self._split.test]
        metrics = classification_metrics(predicted, targets)
        return metrics if log_probabilities is None else metrics | calibration_metrics(log_probabilities, predicted, targets)

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

    def _sell(self, purpose: Purpose, indices: Indices, *, record: bool) -> None:
        self._refuse_what_is_forbidden(purpose, indices)
        charged = purpose != "validation" or self._protocol.splits.validation_counted
        after = self._spent + (len(indices) if charged else 0)
        if record:
            self._write(purpose, indices, self._spent, after)
        self._spent = after
        if purpose == "validation":
            self._validation = indices
        else:
            self._owned.append(indices)

    def _refuse_what_is_forbidden(self, purpose: Purpose, indices: Indices) -> None:
        where = f"purchase of {len(indices)} labels ({purpose})"
        twice = len(indices) - len(np.unique(indices))
        if twice or np.isin(indices, self.owned).any():
            again = indices[np.isin(indices, self.owned)][:5].tolist()
            raise RuleBroken(
                "BUD-03", Fault(where, "every label bought once", f"{twice} repeated within the query, owned already: {again}")
            )
        allowed = self._split.validation if purpose == "validation" else self._split.pool
        if (strangers := indices[~np.isin(indices, allowed)]).size:
            raise RuleBroken("BUD-04", Fault(where, "indices of the pool", f"{strangers.size} others, e.g. {strangers[:5].tolist()}"))
        limit = self._limit(purpose)
        if purpose != "validation" and self._spent + len(indices) > limit:
            raise RuleBroken("BUD-01", Fault(where, f"at most {limit - self._spent} labels up to the budget of {limit}", str(len(indices))))

    def _limit(self, purpose: Purpose) -> int:
        budgets = self._protocol.budgets
        if purpose == "initial":
            return budgets[0]
        return next((b for b in budgets if b > self._spent), budgets[-1])


def undisclosed() -> RuleBroken:
    """The refusal of labels that were not bought."""
    fix = "buy them; an upper line that knows them is the strategy named 'oracle'"
    return RuleBroken("BUD-06", Fault("labels of the pool", "only labels that were bought", "a wish for all others", fix))

"""Pool, validation and test indices per data set and seed, and the starting set from the pool.

All are drawn from streams of the seed, never of the strategy, so two strategies with the same seed start from the same
images. The exception: with `splits.initial = "strategy"`, strategies that can choose the starting set do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.seeds import generator
from protocol.errors import Fault, InputError
from protocol.spec.protocol import Protocol
from protocol.spec.units import Units

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Disjoint index sets into one data set, each sorted ascending, int64."""

    pool: Indices
    validation: Indices
    test: Indices

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the three index arrays."""
        return array_digest(self.pool, self.validation, self.test)


def make_split(protocol: Protocol, replicate: int, train_size: int, official_test: int) -> Split:
    """Divide a data set into pool, validation and test images.

    Training images are 0 … train_size-1; the official test images follow.

    Args:
        protocol: gives the sizes of validation and test.
        replicate: the run's seed.
        train_size: number of training images.
        official_test: number of official test images, 0 if there are none.

    Raises:
        InputError: the protocol asks for more images than the data set has.
    """
    rules = protocol.splits
    if rules.test_size is None and not official_test:
        raise InputError(
            Fault(
                f"protocol {protocol.name}: splits.test_size",
                f"a number, since {protocol.data.name} has no official test set",
                "nothing",
                "set splits.test_size",
            )
        )
    held_out = rules.test_size or 0
    labels = protocol.training_labels[-1] if protocol.labelling is None else 1  # one image may hold many regions
    pool_size = max(labels, rules.pool_size or 0)
    need = held_out + rules.validation_size + pool_size
    of_pool = f"pool {pool_size}" if rules.pool_size else f"training labels {pool_size}"
    if need > train_size:
        raise InputError(
            Fault(
                f"protocol {protocol.name}: budgets and splits",
                f"at most {train_size} images (training images of {protocol.data.name})",
                f"{need} = test {held_out} + validation {rules.validation_size} + {of_pool}",
                "lower the last budget, the pool, the test or the validation size",
            )
        )
    if rules.pool_size is not None and rules.pool_size < pool_size:
        last = f"{pool_size} training labels in the last round"
        raise InputError(
            Fault(
                f"protocol {protocol.name}: splits.pool_size", f"at least the {last}", str(rules.pool_size), "raise it"
            )
        )
    order = generator(protocol.root_seed, "split", replicate).permutation(train_size).astype(np.int64)
    drawn_test, validation, pool = np.split(order, [held_out, held_out + rules.validation_size])
    pool = pool[: rules.pool_size]
    test = drawn_test if held_out else np.arange(train_size, train_size + official_test, dtype=np.int64)
    return Split(np.sort(pool), np.sort(validation), np.sort(test))


def refuse_unpayable(protocol: Protocol, split: Split, units: Units) -> None:
    """Raise InputError if the last budget exceeds the cost of the whole pool, if costs are known."""
    pool, labelling = units.of(split.pool), protocol.labelling
    cost = labelling.cost if labelling else "label"
    most = {"label": len(pool), "pixel": int(units.pixels[pool].sum()), "click": None}[cost]
    if most is not None and protocol.budgets[-1] > most:
        where, expected = (
            f"protocol {protocol.name}: budgets",
            f"at most {most} {protocol.currency}, the cost of the whole pool",
        )
        raise InputError(Fault(where, expected, str(protocol.budgets[-1]), "lower the last budget"))


def redraw_split(
    protocol: Protocol, replicate: int, *, pool: int, validation: int, test: int, training: int = 0
) -> Split:
    """Draw the split of a record again, from the recorded sizes alone.

    Args:
        protocol: says whether the test images are drawn too.
        replicate: the run's seed.
        pool, validation, test: number of images of each part.
        training: number of training images; 0: pool, validation and drawn test images are all of them.

    Raises:
        InputError: the sizes are impossible.
    """
    drawn_test = protocol.splits.test_size is not None
    everything = pool + validation + (test if drawn_test else 0)
    return make_split(protocol, replicate, training or everything, 0 if drawn_test else test)


def starting_set(
    protocol: Protocol, replicate: int, split: Split, labels: NDArray[np.integer], units: Units | None = None
) -> Indices:
    """Draw the starting set of a seed: training_labels[0] units of the pool, sorted.

    With metered budgets, return all units of the pool in the order in which they are bought.

    Args:
        labels: class of every image of the data set; used only for a balanced start.
        units: units of labelling; None: whole images.

    Raises:
        InputError: a balanced start is impossible (a class is too rare in the pool).
    """
    size = protocol.training_labels[0]
    rng = generator(protocol.root_seed, "initial", replicate)
    if protocol.splits.initial != "balanced":
        candidates = split.pool if units is None else units.of(split.pool)
        if protocol.metered:
            return rng.permutation(candidates)
        return np.sort(rng.choice(candidates, size, replace=False))
    of_pool = labels[split.pool]
    classes, counts = np.unique(
        of_pool[of_pool >= 0], return_counts=True
    )  # images of unknown classes have a negative label
    share, rest = divmod(size, len(classes))
    quota = np.full(len(classes), share)
    quota[rng.permutation(len(classes))[:rest]] += 1
    if (short := counts < quota).any():
        raise InputError(
            Fault(
                f"protocol {protocol.name}: splits.initial = 'balanced'",
                f"{share} to {share + 1} images of every class in the pool",
                ", ".join(f"class {c}: {n}" for c, n in zip(classes[short], counts[short], strict=True)),
                "start smaller or use initial = 'random'",
            )
        )
    chosen = [rng.choice(split.pool[of_pool == c], q, replace=False) for c, q in zip(classes, quota, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)

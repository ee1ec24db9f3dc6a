"""Ids in the place of indices."""

from __future__ import annotations

import numpy as np
import pytest

from runners.features.opaque_ids import OpaqueIds


def test_ids_are_distinct_sparse_and_lead_back() -> None:
    ids = OpaqueIds.draw(3, 1, 5000)
    shown = ids.of(np.arange(5000))
    assert len(np.unique(shown)) == 5000
    assert shown.min() >= 2**40
    assert shown.max() < 2**53
    known, back = ids.indices(shown[[7, 4999, 0]])
    assert known.all()
    assert back.tolist() == [7, 4999, 0]


@pytest.mark.parametrize("strange", [0, -1, 4999, 2**40 - 1, 2**62])
def test_other_numbers_are_none(strange: int) -> None:
    known, _ = OpaqueIds.draw(3, 1, 5000).indices(np.asarray([strange]))
    assert not known.any()


def test_their_order_is_random_unless_it_is_shown() -> None:
    hidden, shown = (OpaqueIds.draw(3, 1, 2000, in_order=order).of(np.arange(2000)) for order in (False, True))
    assert abs(np.corrcoef(np.argsort(hidden), np.arange(2000))[0, 1]) < 0.1
    assert (np.diff(shown) > 0).all()
    np.testing.assert_array_equal(np.sort(hidden), shown)


def test_they_depend_on_root_and_seed_alone() -> None:
    drawn = [
        OpaqueIds.draw(root, seed, 50).of(np.arange(50)).tolist() for root, seed in ((3, 1), (3, 1), (3, 2), (4, 1))
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2] != drawn[3] != drawn[0]

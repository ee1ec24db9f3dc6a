"""Pool, validation and test never meet; the starting set is the strategy's to use, not to choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocol.draws.seeds import generator
from protocol.draws.splits import make_split, redraw_split, starting_set
from protocol.errors import InputError
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from tests.support.study_builder import protocol_table


def protocol(**splits: Any) -> Protocol:
    return parse(Protocol, protocol_table(splits={"test_size": 40, "validation_size": 6} | splits), "p")


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_parts_are_disjoint_and_cover_everything(seed: int) -> None:
    split = make_split(protocol(), seed, 160, 0)
    assert (len(split.pool), len(split.validation), len(split.test)) == (114, 6, 40)
    everything = np.concatenate([split.pool, split.validation, split.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(160))
    for part in (split.pool, split.validation, split.test):
        assert (np.diff(part) > 0).all()
        assert part.dtype == np.int64


def test_the_official_test_set_is_left_whole() -> None:
    split = make_split(protocol(test_size=None), 0, 100, 30)
    np.testing.assert_array_equal(split.test, np.arange(100, 130))
    np.testing.assert_array_equal(np.sort(np.concatenate([split.pool, split.validation])), np.arange(100))


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    digests = [make_split(protocol(), seed, 160, 0).digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    other_root = parse(Protocol, protocol_table(root_seed=1), "p")
    assert make_split(other_root, 0, 160, 0).digest != digests[0]


def test_the_digest_knows_which_part_is_which() -> None:
    split = make_split(protocol(), 0, 160, 0)
    swapped = type(split)(split.test, split.validation, split.pool)
    assert swapped.digest != split.digest


def test_golden_split_and_start() -> None:
    """A change here gives every old protocol other images; each part is drawn from its own named stream."""
    rules = protocol()
    order = generator(0, "split", 3).permutation(160)
    split = make_split(rules, 3, 160, 0)
    np.testing.assert_array_equal(split.test, np.sort(order[:40]))
    np.testing.assert_array_equal(split.validation, np.sort(order[40:46]))
    assert split.digest.startswith("b39aae4504d7f66b")
    start = starting_set(rules, 3, split, np.zeros(160, np.int64))
    np.testing.assert_array_equal(start, np.sort(generator(0, "initial", 3).choice(split.pool, 10, replace=False)))
    assert start.tolist() == [3, 4, 5, 9, 81, 100, 103, 108, 109, 116]


@pytest.mark.parametrize("seed", range(5))
def test_a_random_start_is_without_replacement_from_the_pool(seed: int) -> None:
    split = make_split(protocol(), seed, 160, 0)
    start = starting_set(protocol(), seed, split, np.zeros(160, np.int64))
    assert len(start) == 10 == len(np.unique(start))
    assert np.isin(start, split.pool).all()


def test_a_random_start_is_random() -> None:
    """Over many seeds every image of the pool is drawn about equally often."""
    rules = protocol(test_size=60)
    counts = np.zeros(160)
    eligible = np.zeros(160)
    for seed in range(400):
        split = make_split(rules, seed, 160, 0)
        eligible[split.pool] += 1
        counts[starting_set(rules, seed, split, np.zeros(160, np.int64))] += 1
    rate = counts / eligible
    assert abs(rate.mean() - 10 / 94) < 0.005
    assert rate.max() < 0.19
    assert rate.min() > 0.03


def test_a_balanced_start_has_equal_shares_and_the_rest_falls_by_lot() -> None:
    rules = protocol(initial="balanced")
    labels = np.arange(160) % 3
    extra = set()
    for seed in range(12):
        split = make_split(rules, seed, 160, 0)
        start = starting_set(rules, seed, split, labels)
        counts = np.bincount(labels[start], minlength=3)
        assert sorted(counts.tolist()) == [3, 3, 4]
        assert np.isin(start, split.pool).all()
        extra.add(int(counts.argmax()))
    assert extra == {0, 1, 2}


def test_a_balanced_start_has_none_of_the_images_outside_the_task() -> None:
    rules, labels = protocol(initial="balanced"), np.arange(160) % 4 - 1
    split = make_split(rules, 0, 160, 0)
    assert sorted(np.bincount(labels[starting_set(rules, 0, split, labels)], minlength=3).tolist()) == [3, 3, 4]


def test_an_impossible_balanced_start_names_the_class() -> None:
    rules = protocol(initial="balanced")
    labels = np.zeros(160, np.int64)
    split = make_split(rules, 0, 160, 0)
    labels[split.pool[:2]] = 7
    with pytest.raises(InputError, match="class 7: 2"):
        starting_set(rules, 0, split, labels)


def test_more_images_than_there_are() -> None:
    make_split(protocol(), 0, 70, 0)
    with pytest.raises(InputError, match="70 = test 40 \\+ validation 6 \\+ training labels 24"):
        make_split(protocol(), 0, 69, 0)


def test_a_test_set_must_come_from_somewhere() -> None:
    with pytest.raises(InputError, match=r"set splits\.test_size"):
        make_split(protocol(test_size=None), 0, 160, 0)


def test_a_smaller_pool_is_a_part_of_the_whole_one_and_leaves_test_and_validation_alone() -> None:
    whole, part = make_split(protocol(), 3, 160, 0), make_split(protocol(pool_size=50), 3, 160, 0)
    assert len(part.pool) == 50
    assert np.isin(part.pool, whole.pool).all()
    assert part.test.tolist() == whole.test.tolist()
    assert part.validation.tolist() == whole.validation.tolist()
    assert part.pool.tolist() != make_split(protocol(pool_size=50), 4, 160, 0).pool.tolist()


def test_a_pool_larger_than_the_data_or_smaller_than_the_last_round_is_refused() -> None:
    with pytest.raises(InputError, match="97 = test 40 \\+ validation 6 \\+ pool 51"):
        make_split(protocol(pool_size=51), 0, 96, 0)
    with pytest.raises(InputError, match="24 training labels in the last round"):
        make_split(protocol(pool_size=23), 0, 160, 0)


@pytest.mark.parametrize("sizes", [{}, {"pool_size": 50}, {"test_size": None, "pool_size": 50}])
def test_a_split_can_be_drawn_again_from_its_recorded_sizes(sizes: dict[str, int | None]) -> None:
    rules = protocol(**sizes)
    official = 30 if "test_size" in sizes else 0
    split = make_split(rules, 5, 160, official)
    recorded = {"pool": len(split.pool), "validation": 6, "test": len(split.test), "training": 160 if sizes else 0}
    assert redraw_split(rules, 5, **recorded).digest == split.digest

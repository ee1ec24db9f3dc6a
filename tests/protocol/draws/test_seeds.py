"""Streams are named, independent, stable, and 0 is a seed like any other."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from protocol.draws.seeds import STREAMS, derive, generator, stream_seeds


def test_golden_seeds() -> None:
    """A change here gives every old protocol other splits and other initial sets."""
    assert derive(0, "split", 0) == 697165325493197
    assert derive(7, "query", 3, 2) == 7431371299638213
    assert generator(0, "initial", 0).integers(0, 1000, 4).tolist() == [352, 174, 120, 293]


def test_a_seed_is_the_first_53_bits_of_the_hash() -> None:
    """Worked by hand, without the project's own functions."""
    digest = hashlib.sha256(b'["beatrandom/seed/1",7,"query",3,2]').digest()
    assert derive(7, "query", 3, 2) == int.from_bytes(digest, "big") >> (256 - 53)


def test_every_stream_replicate_root_and_key_has_a_seed_of_its_own() -> None:
    seeds = [derive(root, s, n) for root, s, n in itertools.product(range(4), STREAMS, range(10))]
    seeds += [derive(0, "query", 0, k) for k in range(10)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**53 for s in seeds)


def test_keys_are_not_run_together() -> None:
    assert derive(1, "query", 23) != derive(12, "query", 3)
    assert derive(0, "query", 0, 1, 2) != derive(0, "query", 0, 12)


def test_streams_do_not_reach_each_other() -> None:
    undisturbed = generator(0, "split", 0).random(5)
    strategy = generator(0, "query", 0)
    strategy.random(1000)
    np.testing.assert_array_equal(generator(0, "split", 0).random(5), undisturbed)
    samples = np.array([generator(0, s, 0).random(2000) for s in STREAMS])
    correlation = np.corrcoef(samples) - np.eye(len(STREAMS))
    assert np.abs(correlation).max() < 0.1


def test_seed_zero_gives_streams() -> None:
    seeds = stream_seeds(0, 0)
    assert tuple(seeds) == STREAMS
    assert len(set(seeds.values())) == len(STREAMS)


def test_a_stream_must_be_known() -> None:
    with pytest.raises(ValueError, match="expected a stream"):
        derive(0, "luck", 0)  # type: ignore[arg-type]

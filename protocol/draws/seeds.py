"""Derive named, independent random streams from one root seed.

A stream's seed is SHA-256 over (root, stream, replicate, further keys), so no stream can affect
another however much it draws: a strategy that consumes its generator leaves splits, initial
weights and batch order unchanged. Seed 0 is as good as any other.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np

from protocol.digests import canonical_json, sha256

Stream = Literal["split", "initial", "model", "batches", "augmentation", "query", "estimator"]
STREAMS: Final[tuple[Stream, ...]] = get_args(Stream)


def derive(root: int, stream: Stream, replicate: int, *keys: int | str) -> int:
    """Return the seed of a stream, in [0, 2**53) so that it is exact in JSON.

    Args:
        root: the protocol's root seed, >= 0.
        stream: one of `STREAMS`.
        replicate: the run's seed (the replicate number), >= 0.
        keys: further parts of the stream's name, for example the round.
    """
    if stream not in STREAMS:
        raise ValueError(f"expected a stream of {STREAMS}, found {stream!r}")
    digest = sha256(canonical_json(["beatrandom/seed/1", root, stream, replicate, *keys]))
    return int(digest[:14], 16) >> 3


def generator(root: int, stream: Stream, replicate: int, *keys: int | str) -> np.random.Generator:
    """Return a new NumPy generator (PCG64) at the start of the stream."""
    return np.random.Generator(np.random.PCG64(derive(root, stream, replicate, *keys)))


def stream_seeds(root: int, replicate: int) -> dict[str, int]:
    """Return the first seed of every stream, as records keep them."""
    return {stream: derive(root, stream, replicate) for stream in STREAMS}

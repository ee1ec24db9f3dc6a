"""Canonical bytes and digests: equal content gives the same hexadecimal string on every machine."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import rfc8785
from numpy.typing import NDArray


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises ValueError for NaN, infinity and integers past 2**53.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"not canonical JSON: {error}") from error


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(tag: str, value: Any) -> str:
    """Return the SHA-256 of a version tag and the canonical JSON of `value`."""
    return sha256(tag.encode() + b"\n" + canonical_json(value))


def array_digest(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 of type, shape and little-endian bytes of the arrays, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        plain = np.ascontiguousarray(array)
        plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.data if plain.size else b"")
    return digest.hexdigest()

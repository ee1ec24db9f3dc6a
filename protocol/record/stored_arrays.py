"""Small arrays of numbers inside a record: what a strategy remembers from round to round."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocol.errors import Fault, RecordError
from protocol.spec.base import FrozenModel

LARGEST: Final = 2**20
"""Largest size of one array, in bytes."""
Kind = Literal[
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"
]


class StoredArray(FrozenModel):
    """An array as text: kind of number, shape, and little-endian bytes in base64."""

    dtype: Kind
    shape: tuple[Annotated[int, Field(ge=0, le=LARGEST)], ...] = Field(max_length=8)
    data: str = Field(max_length=2 * LARGEST)


def stored_arrays(arrays: Mapping[str, NDArray[Any]]) -> dict[str, StoredArray]:
    """Return arrays of numbers as a record keeps them."""
    return {
        name: StoredArray(
            dtype=array.dtype.name,  # type: ignore[arg-type]  # checked by the model
            shape=array.shape,
            data=base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode(),
        )
        for name, array in sorted(arrays.items())
    }


def read_arrays(stored: Mapping[str, StoredArray]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a record. Raises RecordError if one does not have its shape."""
    arrays = {}
    for name, one in stored.items():
        try:
            raw = base64.b64decode(one.data, validate=True)
            flat = np.frombuffer(raw, np.dtype(one.dtype).newbyteorder("<")).astype(one.dtype)
            arrays[name] = flat.reshape(one.shape)
        except (ValueError, binascii.Error) as error:
            raise RecordError(Fault(f"state {name}", f"an array of shape {one.shape}", str(error))) from None
    return arrays

"""Base model, number types and name patterns that all parts of a specification share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

EXACT: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly, as fingerprints need."""

Count = Annotated[int, Field(ge=1, le=EXACT)]
Size = Annotated[int, Field(ge=0, le=EXACT)]
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
LABEL: Final = r"^([A-Za-z0-9][A-Za-z0-9._+-]*)?$"
NETWORK: Final = r"^[A-Za-z0-9][A-Za-z0-9._+:-]*$"
DIGEST: Final = "^[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=NAME, max_length=100)]


class FrozenModel(BaseModel):
    """Base of every part of a specification: no coercion, no changes, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

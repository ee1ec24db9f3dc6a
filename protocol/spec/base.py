"""Base model, number types and name patterns that all parts of a specification share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from protocol.names import folder_problem

EXACT: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly, as fingerprints need."""

Count = Annotated[int, Field(ge=1, le=EXACT)]
Size = Annotated[int, Field(ge=0, le=EXACT)]
Images = Annotated[int, Field(ge=1, le=10**9)]
Budget = Annotated[int, Field(ge=1, le=10**12)]
Steps = Annotated[int, Field(ge=1, le=10**8)]
Side = Annotated[int, Field(ge=1, le=2**15)]
"""In pixels."""
Width = Annotated[int, Field(ge=1, le=2**13)]
"""Units of a layer."""
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
LABEL: Final = r"^([A-Za-z0-9][A-Za-z0-9._+-]*)?$"
NETWORK: Final = r"^[A-Za-z0-9][A-Za-z0-9._+:-]*$"
DIGEST: Final = "^[0-9a-f]{64}$"


def _folder(name: str) -> str:
    if problem := folder_problem(name):
        raise ValueError(f"expected a name that is a folder on every system, found {name!r}: {problem}; change it")
    return name


Name = Annotated[str, Field(pattern=NAME, max_length=100), AfterValidator(_folder)]
Label = Annotated[str, Field(pattern=LABEL, max_length=100), AfterValidator(_folder)]


class FrozenModel(BaseModel):
    """Base of every part of a specification: no coercion, no changes, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

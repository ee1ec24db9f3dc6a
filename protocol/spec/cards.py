"""Sizes and digests that describe the split of a run."""

from __future__ import annotations

from pydantic import Field

from protocol.spec.base import FrozenModel


class SplitCard(FrozenModel):
    """Sizes and digests of a split; its indices are in the study's splits folder under `digest`."""

    digest: str
    pool: int
    validation: int
    test: int
    training: int = Field(
        0,
        description="training images that the parts were drawn from, where splits.pool_size leaves some out; 0: "
        "none left out",
    )
    targets: str = Field(description="digest of the test labels")

    @property
    def sizes(self) -> dict[str, int]:
        """Return the sizes as arguments of `protocol.draws.splits.redraw_split`."""
        return self.model_dump(include={"pool", "validation", "test", "training"})

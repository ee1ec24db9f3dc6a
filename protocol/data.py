"""Which images a protocol is about, and what is made of them before they are divided."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from protocol.canonical import fingerprint
from protocol.part import Count, Name, Part, Size

CONSTRUCTION_TAG: Final = "beatrandom/construction/1"


class Frames(Part):
    """Stretches of neighbouring training images, evenly spread: for images that are stored in the order they were filmed."""

    frames: Count = Field(description="training images that are kept in all; a multiple of length")
    length: Count = Field(
        description="neighbouring images a stretch: 1 keeps images far apart, more keeps fewer places and near-duplicates of each "
        "(as the A2D2 pools of Mittal 2023, arXiv 2302.04075)"
    )

    @model_validator(mode="after")
    def _whole_stretches(self) -> Frames:
        if self.frames % self.length:
            raise ValueError(f"expected frames to be a multiple of length, found {self.frames} and {self.length}")
        return self


class Construction(Part):
    """What is made of the training images before they are divided; the same for all seeds, as a data set is."""

    unknown_classes: tuple[str, ...] = Field(
        (),
        description="classes outside the task: their images stay in the pool and cost a label each, which tells that they are none of the "
        "others and nothing to learn from; test images of theirs are left out",
    )
    long_tail: Annotated[float, Field(ge=1)] | None = Field(
        None,
        description="images of the first class to one of the last; in between, numbers fall exponentially in the order of the classes "
        "(Cui 2019, arXiv 1901.05555); an official test set stays; null: as many as there are",
    )
    redundancy: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the training images that are replaced by near-copies of those that stay; null: none"
    )
    copy_noise: Size = Field(3, description="grey levels by which a pixel of a near-copy differs at most")
    sequence: Frames | None = Field(None, description="which images of a sequence there are; null: all, in whatever order they are")

    @model_validator(mode="after")
    def _makes_something(self) -> Construction:
        other = bool(self.unknown_classes) or self.long_tail is not None or self.redundancy is not None
        if not other and self.sequence is None:
            raise ValueError("expected unknown_classes, long_tail, redundancy or sequence, found none of them; remove the table")
        if other and self.sequence is not None:
            raise ValueError("expected sequence alone, found others beside it; choose one kind of redundancy")
        return self

    def fingerprinted(self) -> dict[str, Any]:
        """Its values; `sequence`, which came later, only where it is used."""
        return self.model_dump(mode="json", exclude={"sequence"} if self.sequence is None else None)


class Data(Part):
    """Which images."""

    name: Name = Field(description="data set as listed by `beatrandom datasets`, or 'npz' / 'folder' for your own")
    path: str | None = Field(None, description="own data: file or folder, relative to --data-root unless absolute")
    digest: str | None = Field(None, description="SHA-256 of the content that is expected; null: taken as found and recorded")
    resolution: Count | None = Field(
        None, description="shorter side in pixels to which images are averaged down; a divisor of both sides; null: as they are"
    )
    size: tuple[Count, Count] | None = Field(
        None,
        description="height and width in pixels of image files: scaled (bilinear, antialiased) until they cover it, the middle kept "
        "('folder' only); null: files of one size as they are",
    )
    construction: Construction | None = Field(
        None, description="long tail, redundancy, unknown classes or a sequence made from it; null: as it is"
    )

    def recorded(self, digest: str) -> str:
        """Digest that stands in records for the data made from content with that digest."""
        if self.construction is None:
            return digest
        return fingerprint(CONSTRUCTION_TAG, {"content": digest, "construction": self.construction.fingerprinted()})

"""Which images a protocol is about, and what is made of them before they are divided."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from protocol.digests import fingerprint
from protocol.spec.base import Count, FrozenModel, Name, Size

CONSTRUCTION_TAG: Final = "beatrandom/construction/1"


class Frames(FrozenModel):
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


class Construction(FrozenModel):
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
    sequence: Frames | None = Field(
        None, description="which images of a sequence there are; null: all, in whatever order they are"
    )

    @model_validator(mode="after")
    def _makes_something(self) -> Construction:
        other = bool(self.unknown_classes) or self.long_tail is not None or self.redundancy is not None
        if not other and self.sequence is None:
            raise ValueError(
                "expected unknown_classes, long_tail, redundancy or sequence, found none of them; remove the table"
            )
        if other and self.sequence is not None:
            raise ValueError("expected sequence alone, found others beside it; choose one kind of redundancy")
        return self

    def fingerprint_content(self) -> dict[str, Any]:
        """Its values; `sequence`, which came later, only where it is used."""
        return self.model_dump(mode="json", exclude={"sequence"} if self.sequence is None else None)


UNTRAINED: Final = "untrained"
PRETRAINED: Final = "pretrained"
NOT_DECLARED: Final = "not declared"
"""Stands where nobody said what an encoder learned from."""


class Encoder(FrozenModel):
    """What makes frozen features of images, once; then a run trains only a probe on them."""

    name: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="'timm:NAME' or 'torchvision:NAME', embeddings before the last layer; 'file.py:NAME', your own function or class "
        "(images uint8 (n, height, width, channels) to numbers (n, d)); or 'file.npy', embeddings (n, d) of all images, training images first"
    )
    weights: str | None = Field(
        None,
        description="of timm and torchvision, which need it: a file, relative to --data-root unless absolute, 'pretrained' (what the "
        "library fetches), or 'untrained' (from seed 0); an own class may take a file as `weights`",
    )
    size: Count | None = Field(
        None,
        description="side in pixels that images are scaled to (bicubic, antialiased), the middle kept; null: the network's own",
    )
    trained_on: str | None = Field(
        None,
        description="what the weights were learned from, and whether with labels: results mean little where that was the pool or the "
        "test set; null: not declared; not part of the fingerprint",
    )
    weights_digest: str | None = Field(
        None,
        description="SHA-256 of the weights' file (of fetched ones: of all tensors), filled in when the study is resolved",
    )
    source_digest: str | None = Field(None, description="SHA-256 of an own file, filled in when the study is resolved")

    @model_validator(mode="after")
    def _kind_is_known(self) -> Encoder:
        library, _, _ = self.name.partition(":")
        if library in ("timm", "torchvision"):
            if self.weights is None:
                raise ValueError(f"{self.name} needs weights: a file, {PRETRAINED!r} or {UNTRAINED!r}")
        elif self.own is None:
            raise ValueError(
                f"expected 'timm:NAME', 'torchvision:NAME', 'file.py:NAME' or 'file.npy', found {self.name!r}"
            )
        elif self.weights in (UNTRAINED, PRETRAINED):
            raise ValueError(
                f"{self.weights!r} is of timm and torchvision; an own encoder takes a file of weights, or none"
            )
        elif self.name.endswith(".npy") and (self.weights is not None or self.size is not None):
            raise ValueError("a file of embeddings has neither weights nor size; remove them")
        return self

    @property
    def learned_from(self) -> str:
        """What the weights were learned from, as far as it was declared."""
        return (self.trained_on or "").strip() or NOT_DECLARED

    @property
    def own(self) -> str | None:
        """Path of the user's own file, if it is one."""
        path = self.name if self.name.endswith(".npy") else self.name.rpartition(":")[0]
        return path if path.endswith((".npy", ".py")) else None

    @property
    def weights_file(self) -> str | None:
        """Path of the file of weights, if there is one."""
        return None if self.weights in (UNTRAINED, PRETRAINED) else self.weights

    def fingerprint_content(self) -> dict[str, Any]:
        """What decides the features: digests in place of the paths of files."""
        name = self.name if self.own is None else "own:" + self.name[len(self.own) :].lstrip(":")
        source = self.weights if self.weights_file is None else "file"
        return {
            "name": name,
            "weights": source,
            "size": self.size,
            "weights_digest": self.weights_digest,
            "source_digest": self.source_digest,
        }


class EncodedImages(FrozenModel):
    """The images that an encoder was given."""

    name: str = Field(description="data set")
    digest: str = Field(description="SHA-256 of its content")
    training: Size
    test: Size
    shape: tuple[Count, Count, Count] = Field(description="height, width, channels")


class Making(FrozenModel):
    """Where and with what features were computed."""

    device: str
    versions: dict[str, str] = Field(description="of torch and the encoder's library; empty: an own encoder")


class FeatureCard(FrozenModel):
    """What frozen features were made of; `beatrandom encode` writes it beside them, and the records of runs on them hold it."""

    encoder: Encoder
    source: EncodedImages
    features: Count = Field(description="numbers an image")
    digest: str = Field(description="SHA-256 of the features and labels that this card is of")
    made: Making

    @property
    def description(self) -> str:
        """For people: which images, by which encoder."""
        return feature_description(self.source.name, self.encoder)


def feature_description(images: str, encoder: Encoder) -> str:
    """For people: these images as that encoder's features."""
    return f"{images}, as features by {encoder.name} (which learned from: {encoder.learned_from})"


class Data(FrozenModel):
    """Which images."""

    name: Name = Field(description="data set as listed by `beatrandom datasets`, or 'npz' / 'folder' for your own")
    path: str | None = Field(None, description="own data: file or folder, relative to --data-root unless absolute")
    digest: str | None = Field(
        None, description="SHA-256 of the content that is expected; null: taken as found and recorded"
    )
    resolution: Count | None = Field(
        None,
        description="shorter side in pixels to which images are averaged down; a divisor of both sides; null: as they are",
    )
    size: tuple[Count, Count] | None = Field(
        None,
        description="height and width in pixels of image files: scaled (bilinear, antialiased) until they cover it, the middle kept "
        "('folder', 'isic2019', 'mio-tcd'); null: a folder's files of one size as they are, the others 224×224",
    )
    construction: Construction | None = Field(
        None, description="long tail, redundancy, unknown classes or a sequence made from it; null: as it is"
    )
    encoder: Encoder | None = Field(
        None,
        description="frozen features of the images instead of the images, made on first use and kept in the cache; null: the images",
    )

    @property
    def description(self) -> str:
        """For people: the name, and what embedded its images, if something did."""
        return self.name if self.encoder is None else feature_description(self.name, self.encoder)

    def recorded_digest(self, digest: str) -> str:
        """Digest that stands in records for the data made from content with that digest."""
        if self.construction is None:
            return digest
        return fingerprint(
            CONSTRUCTION_TAG, {"content": digest, "construction": self.construction.fingerprint_content()}
        )

"""Data of a protocol: images, changes made before the split, and frozen features."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from protocol.digests import fingerprint
from protocol.spec.base import Count, FrozenModel, Name, Side, Size

CONSTRUCTION_TAG: Final = "beatrandom/construction/1"


class Frames(FrozenModel):
    """Evenly spread stretches of neighbouring training images.

    They suit images that are stored in the order in which they were filmed.
    """

    frames: Count = Field(description="training images kept in total; a multiple of length")
    length: Count = Field(
        description="neighbouring images per stretch: 1 keeps images far apart, more keeps fewer places with "
        "near-duplicates of each (as the A2D2 pools of Mittal 2023, arXiv 2302.04075)"
    )

    @model_validator(mode="after")
    def _whole_stretches(self) -> Frames:
        if self.frames % self.length:
            raise ValueError(f"expected frames to be a multiple of length, found {self.frames} and {self.length}")
        return self


class Construction(FrozenModel):
    """Changes to the training images before the split; the same for all seeds, like the data set."""

    unknown_classes: tuple[str, ...] = Field(
        (),
        description="classes outside the task: their images stay in the pool and cost one label each, which says that "
        "they belong to none of the other classes; they are not trained on, and test images of these classes are left "
        "out",
    )
    long_tail: Annotated[float, Field(ge=1)] | None = Field(
        None,
        description="number of images of the first class per image of the last; in between, numbers fall "
        "exponentially in the order of the classes (Cui 2019, arXiv 1901.05555); an official test set stays as it is; "
        "null: all images",
    )
    redundancy: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="share of the training images that are replaced by near-copies of the remaining ones; null: none",
    )
    copy_noise: Size = Field(3, description="largest difference of a pixel of a near-copy, in grey levels")
    sequence: Frames | None = Field(None, description="images of a sequence that are kept; null: all")

    @model_validator(mode="after")
    def _makes_something(self) -> Construction:
        if not self._made() and self.sequence is None:
            raise ValueError(
                "expected unknown_classes, long_tail, redundancy or sequence, found none of the four; remove the table"
            )
        if self._made() and self.sequence is not None:
            raise ValueError(
                f"expected sequence alone, found it with {', '.join(self._made())}; choose one kind of redundancy"
            )
        return self

    def _made(self) -> list[str]:
        used = {
            "unknown_classes": bool(self.unknown_classes),
            "long_tail": self.long_tail is not None,
            "redundancy": self.redundancy is not None,
        }
        return [name for name, value in used.items() if value]

    def fingerprint_content(self) -> dict[str, Any]:
        """Return the values that fingerprints cover; `sequence`, of a later release, only where it is used."""
        return self.model_dump(mode="json", exclude={"sequence"} if self.sequence is None else None)


PACKAGED: Final = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
"""Encoders whose weights come in a package of the extra `encoder`, and the side in pixels that they learned from."""
_LEAST_PACKAGED_SIDE: Final = 32
IMAGENET_LABELS: Final = "ImageNet-1k, with labels (supervised pretraining)"

UNTRAINED: Final = "untrained"
PRETRAINED: Final = "pretrained"
NOT_DECLARED: Final = "not declared"
"""Text shown where it was not declared what an encoder learned from."""


class Encoder(FrozenModel):
    """Encoder that computes frozen features of the images once; runs then train only a probe on them."""

    name: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="'efficientnet-lite0', 'efficientnet-lite1' or 'efficientnet-lite2', with weights of the extra "
        "encoder; 'timm:NAME' or 'torchvision:NAME', embeddings before the last layer; 'file.py:NAME', your "
        "function or class (images uint8 (n, height, width, channels) to numbers (n, d)); or 'file.npy', embeddings "
        "(n, d) of all images, training images first"
    )
    weights: str | None = Field(
        None,
        description="timm and torchvision need it: a file, relative to --data-root unless absolute, 'pretrained' "
        "(what the library fetches), or 'untrained' (from seed 0); your class may take a file as `weights`",
    )
    size: Side | None = Field(
        None,
        description="side in pixels to which images are scaled (bicubic, antialiased) and centre-cropped; null: the "
        "network's own",
    )
    trained_on: str | None = Field(
        None,
        description="data that the weights were learned from, and whether with labels: results mean little if it was "
        "the pool or the test set; null: not declared; not part of the fingerprint",
    )
    weights_digest: str | None = Field(
        None,
        description="SHA-256 of the weights file (of fetched weights: of all tensors), filled in when the study is "
        "resolved",
    )
    source_digest: str | None = Field(
        None, description="SHA-256 of a user's file, filled in when the study is resolved"
    )

    @model_validator(mode="after")
    def _kind_is_known(self) -> Encoder:
        library, _, _ = self.name.partition(":")
        if library in ("timm", "torchvision"):
            if self.weights is None:
                raise ValueError(f"{self.name} needs weights: a file, {PRETRAINED!r} or {UNTRAINED!r}")
        elif self.packaged:
            if self.weights is not None:
                raise ValueError(f"{self.name} brings its own weights; remove weights")
            if self.size is not None and self.size < _LEAST_PACKAGED_SIDE:
                raise ValueError(f"{self.name} needs a size of at least {_LEAST_PACKAGED_SIDE}, found {self.size}")
        elif self.own is None:
            raise ValueError(
                f"expected 'timm:NAME', 'torchvision:NAME', 'file.py:NAME', 'file.npy' or one of "
                f"{', '.join(PACKAGED)}, found {self.name!r}"
            )
        elif self.weights in (UNTRAINED, PRETRAINED):
            raise ValueError(
                f"{self.weights!r} belongs to timm and torchvision; your own encoder takes a file of weights, or none"
            )
        elif self.name.endswith(".npy") and (self.weights is not None or self.size is not None):
            raise ValueError("a file of embeddings has neither weights nor size; remove them")
        return self

    @property
    def learned_from(self) -> str:
        """Return what the weights were learned from, if it is known or was declared."""
        return (self.trained_on or "").strip() or (IMAGENET_LABELS if self.packaged else NOT_DECLARED)

    @property
    def packaged(self) -> bool:
        """Return whether the weights come in a package."""
        return self.name in PACKAGED

    @property
    def own(self) -> str | None:
        """Return the path of the user's file, if the encoder is one."""
        path = self.name if self.name.endswith(".npy") else self.name.rpartition(":")[0]
        return path if path.endswith((".npy", ".py")) else None

    @property
    def weights_file(self) -> str | None:
        """Return the path of the weights file, if there is one."""
        return None if self.weights in (UNTRAINED, PRETRAINED) else self.weights

    def fingerprint_content(self) -> dict[str, Any]:
        """Return what determines the features: digests in place of file paths."""
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
    """Images that an encoder was applied to."""

    name: str = Field(description="data set")
    digest: str = Field(description="SHA-256 of its content")
    training: Size
    test: Size
    shape: tuple[Count, Count, Count] = Field(description="height, width, channels")


class Making(FrozenModel):
    """Device and library versions that features were computed with."""

    device: str
    versions: dict[str, str] = Field(description="of torch and the encoder's library; empty: a user's encoder")
    preprocessing: str | None = Field(
        None, description="what was done to the images before the encoder, in words; null: not known"
    )


class FeatureCard(FrozenModel):
    """Origin of frozen features.

    `beatrandom encode` writes it next to them, and records of runs on them hold it.
    """

    encoder: Encoder
    source: EncodedImages
    features: Count = Field(description="numbers per image")
    digest: str = Field(description="SHA-256 of the features and labels")
    made: Making
    views: Size = Field(0, description="augmented views of every training image in the same file; 0: none")

    @property
    def description(self) -> str:
        """Return in words which images were encoded, and by which encoder."""
        return feature_description(self.source.name, self.encoder)


def feature_description(images: str, encoder: Encoder) -> str:
    """Return in words that images are used as features of an encoder."""
    return f"{images}, as features by {encoder.name} (which learned from: {encoder.learned_from})"


class Data(FrozenModel):
    """Data set, with what is done to its images."""

    name: Name = Field(description="data set as listed by `beatrandom datasets`, or 'npz' / 'folder' for your data")
    path: str | None = Field(None, description="your data: file or folder, relative to --data-root unless absolute")
    digest: str | None = Field(
        None, description="expected SHA-256 of the content; null: any content is accepted and its digest recorded"
    )
    resolution: Side | None = Field(
        None,
        description="shorter side in pixels to which images are averaged down; must divide both sides; null: original "
        "size",
    )
    size: tuple[Side, Side] | None = Field(
        None,
        description="height and width in pixels of image files: scaled (bilinear, antialiased) to cover it, then "
        "centre-cropped ('folder', 'isic2019', 'mio-tcd'); null: a folder's files, all of one size, as they are; the "
        "others 224×224",
    )
    construction: Construction | None = Field(
        None, description="long tail, redundancy, unknown classes or a sequence made from the data; null: unchanged"
    )
    encoder: Encoder | None = Field(
        None,
        description="encoder whose frozen features replace the images, computed on first use and cached; null: the "
        "images",
    )

    @property
    def description(self) -> str:
        """Return in words the data set, and the encoder if there is one."""
        return self.name if self.encoder is None else feature_description(self.name, self.encoder)

    def recorded_digest(self, digest: str) -> str:
        """Return the digest that records hold for the data made from content with this digest."""
        if self.construction is None:
            return digest
        return fingerprint(
            CONSTRUCTION_TAG, {"content": digest, "construction": self.construction.fingerprint_content()}
        )

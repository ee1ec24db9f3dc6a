"""What one purchase is, whole images or regions of them, and what it costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.spec.base import Count, FrozenModel


class Labelling(FrozenModel):
    """What is labelled at a time, and in what budgets are counted."""

    unit: Literal["image", "tile", "superpixel"] = Field(
        "image", description="what one purchase is: an image, a rectangle of it, or a patch of like pixels (SLIC)"
    )
    tile: tuple[Count, Count] | None = Field(
        None,
        description="height and width of a tile in pixels; where they do not divide the image's, the last tiles are smaller",
    )
    superpixels: Count | None = Field(None, description="about how many superpixels an image is divided into")
    compactness: Annotated[float, Field(gt=0)] = Field(
        10.0,
        description="of superpixels: how much being near counts beside being alike in colour (Achanta 2012, there m)",
    )
    cost: Literal["label", "pixel", "click"] = Field(
        "label",
        description="what a budget counts: 1 a unit, its pixels, or an estimate of the clicks that label it: one a segment for its class, and "
        "one a corner of the lines between segments, straightened by up to a pixel; what clicks come to is known once they are paid",
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Labelling:
        problems = [
            f"unit = {self.unit!r} {'needs' if wanted else 'has no'} {name}"
            for name, value, wanted in (
                ("tile", self.tile, self.unit == "tile"),
                ("superpixels", self.superpixels, self.unit == "superpixel"),
            )
            if (value is None) == wanted
        ]
        if self.unit == "image" and self.cost == "label":
            problems.append("one label an image is what a protocol without labelling means; remove the table")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def metered(self) -> bool:
        """Whether units differ in cost, so that a budget says how far one may buy and not how many units."""
        return self.cost != "label"

    @property
    def currency(self) -> str:
        """What budgets count, in the plural."""
        return {"label": "regions", "pixel": "pixels", "click": "clicks"}[self.cost]

    @property
    def units(self) -> str:
        """What is bought, in the plural."""
        return {"image": "images", "tile": "tiles", "superpixel": "superpixels"}[self.unit]

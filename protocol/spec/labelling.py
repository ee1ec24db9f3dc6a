"""Units of labelling: whole images or regions of them, and what each costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.spec.base import Count, FrozenModel, Side


class Labelling(FrozenModel):
    """Unit that is labelled at a time, and what budgets count."""

    unit: Literal["image", "tile", "superpixel"] = Field(
        "image",
        description="what is labelled at a time: an image, a rectangle of it, or a patch of similar pixels (SLIC)",
    )
    tile: tuple[Side, Side] | None = Field(
        None,
        description="height and width of a tile in pixels; where they do not divide the image's, the last tiles are "
        "smaller",
    )
    superpixels: Count | None = Field(None, description="about how many superpixels an image is divided into")
    compactness: Annotated[float, Field(gt=0)] = Field(
        10.0,
        description="of superpixels: weight of distance relative to difference in colour (m of Achanta 2012)",
    )
    cost: Literal["label", "pixel", "click"] = Field(
        "label",
        description="what a budget counts: 1 per unit, its pixels, or an estimate of the clicks that label it: one "
        "per segment for its class, and one per corner of the borders between segments, straightened by up to a "
        "pixel; clicks are known once they are paid",
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
            problems.append("a protocol without labelling already means one label per image; remove the table")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def metered(self) -> bool:
        """Return whether units differ in cost, so that a budget limits their total cost and not their number."""
        return self.cost != "label"

    @property
    def currency(self) -> str:
        """Return what budgets count, in the plural."""
        return {"label": "regions", "pixel": "pixels", "click": "clicks"}[self.cost]

    @property
    def units(self) -> str:
        """Return what is labelled at a time, in the plural."""
        return {"image": "images", "tile": "tiles", "superpixel": "superpixels"}[self.unit]

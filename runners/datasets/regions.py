"""Regions of images that can be queried, and their prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module, metadata
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from protocol.digests import array_digest, fingerprint
from protocol.errors import Fault, InputError
from protocol.metrics import VOID
from protocol.record.layout import StudyFolder, write_arrays
from protocol.rules.sidecars import SidecarCache
from protocol.spec.labelling import Labelling
from protocol.spec.protocol import Protocol
from protocol.spec.units import Division, PricedUnits, Units, tiled, unit_price
from runners.caching import get_or_make_array
from runners.datasets import Images

Predicted = Callable[[NDArray[np.int64]], Iterable[tuple[int, NDArray[np.integer]]]]
TAG: Final = "beatrandom/superpixels/1"
STRAIGHT: Final = 1.0
"""Tolerance in pixels for straightening the lines between segments before their corners are counted."""


def divide(protocol: Protocol, images: Images, study: StudyFolder | None) -> Division:
    """Divide the training images into the units that can be queried.

    Args:
        study: folder that keeps superpixels, so that only the first run computes them; `None`: they are not kept.

    Raises:
        InputError: superpixels are needed, and scikit-image is not installed.
    """
    labelling, n = protocol.labelling, images.train_size
    if labelling is None:
        return Division(Units.images(n))
    if labelling.tile is not None:
        return tiled(n, images.height, images.width, labelling.tile)
    if labelling.superpixels is not None:
        return _superpixels(labelling, images, study)
    return Division(Units.images(n, images.height * images.width))


def price_units(protocol: Protocol, division: Division, labels: NDArray[np.integer]) -> PricedUnits:
    """Return the division with its prices, for the oracle; `labels` are those of all images."""
    cost = protocol.labelling.cost if protocol.labelling else "label"
    if cost == "pixel":
        return PricedUnits(division, lambda units: division.units.pixels[units])
    if cost == "click":
        _skimage("measure")
        return PricedUnits(
            division,
            lambda units: np.asarray([_clicks_of(division, labels, unit) for unit in units.tolist()], np.int64),
        )
    return PricedUnits(division, unit_price)


def write_units(study: StudyFolder, protocol: Protocol, division: Division) -> str:
    """Write the units next to the study's splits, once, and return their digest.

    Empty for one label per image.
    """
    if protocol.labelling is None:
        return ""
    units = division.units
    path = study.units(units.digest)
    if not path.exists():
        write_arrays(path, {"first": units.first, "pixels": units.pixels, "maps": units.map_bytes})
    return units.digest


def read_units(study: StudyFolder, digest: str, images: int) -> Units:
    """Read the units of so many images that a record names.

    Raises InputError if the study does not hold them unchanged.
    """
    units = SidecarCache(study).units(digest, images)
    if isinstance(units, Fault):
        raise InputError(units)
    return units


def _superpixels(labelling: Labelling, images: Images, study: StudyFolder | None) -> Division:
    segmentation = _skimage("segmentation")
    settings = {
        "superpixels": labelling.superpixels,
        "compactness": labelling.compactness,
        "scikit-image": metadata.version("scikit-image"),
    }
    key = fingerprint(TAG, {"images": images.digest, **settings})
    shape = (images.train_size, images.height, images.width)

    def fill(places: NDArray[np.uint32]) -> NDArray[np.uint32]:
        for i, image in enumerate(images.pixels[: images.train_size]):
            places[i] = _places(segmentation, image, labelling)
        return places

    if study is None:
        places = fill(np.empty(shape, np.uint32))
    else:
        places = get_or_make_array(
            study.regions(key), "superpixels of the training images", shape, np.uint32, lambda room: fill(room(shape))
        )
    sizes = [np.bincount(each.ravel()) for each in places]
    first = np.concatenate([[0], np.cumsum([len(each) for each in sizes])]).astype(np.int64)
    units = Units(first, np.concatenate(sizes).astype(np.int64), array_digest(np.asarray(places)))
    return Division(units, lambda chosen: first[chosen][:, None, None] + places[chosen])


def _places(segmentation: Any, image: NDArray[np.uint8], labelling: Labelling) -> NDArray[np.uint32]:
    """Compute (height, width) superpixels, numbered from 0 without gaps.

    SLIC, Achanta et al. 2012; scikit-image.
    """
    grey = image.shape[2] == 1
    segments = segmentation.slic(
        image[:, :, 0] if grey else image,
        n_segments=labelling.superpixels,
        compactness=labelling.compactness,
        start_label=0,
        channel_axis=None if grey else -1,
    )
    return np.asarray(np.unique(segments, return_inverse=True)[1].reshape(segments.shape), np.uint32)


def expected_cost(
    labelling: Labelling | None, division: Division, units: NDArray[np.int64], predicted: Predicted
) -> NDArray[np.int64]:
    """Estimate the price of units, with clicks counted on predicted maps instead of masks.

    Follows Colling et al. 2020, arXiv 2010.01884, who use the polygons of the predicted segments.

    Args:
        units: (m,) units, ascending.
        predicted: yields (image, predicted map) for ascending images; called only if clicks are the price.

    Returns:
        (m,) int64 expected prices.
    """
    cost = labelling.cost if labelling else "label"
    if cost == "label":
        return unit_price(units)
    if cost == "pixel":
        return division.units.pixels[units]
    images = division.units.image_of(units)
    starts = np.searchsorted(images, np.unique(images), side="left").tolist()
    parts = np.split(units, starts[1:]) if starts else []
    maps = predicted(np.unique(images))
    costs = [
        _clicks_of(division, {image: prediction}, unit)
        for part, (image, prediction) in zip(parts, maps, strict=True)
        for unit in part.tolist()
    ]
    return np.asarray(costs, np.int64)


def _clicks_of(division: Division, labels: NDArray[np.integer] | Mapping[int, NDArray[np.integer]], unit: int) -> int:
    image = division.units.image_of(np.asarray([unit]))
    mask = labels[int(image[0])]
    if division.maps is None:
        return clicks(mask, np.ones(mask.shape, bool))
    inside = division.maps(image)[0] == unit
    place = ndimage.find_objects(inside.astype(np.int8))[0]
    return clicks(mask[place], inside[place])


def clicks(mask: NDArray[np.integer], inside: NDArray[np.bool_]) -> int:
    """Count the clicks that label a region: one per segment, one per corner between segments.

    Lines end at the border of the region and are straightened by at most one pixel (Ramer 1972, Douglas & Peucker
    1973). Void pixels belong to the nearest segment. Mackowiak et al. 2018, arXiv 1810.09726, count the corners of an
    annotator's polygons instead.

    Args:
        mask: (height, width) classes and `VOID`.
        inside: (height, width) bool, the region's pixels, at least one.
    """
    labelled = inside & (mask != VOID)
    if not labelled.any():
        return 1
    nearest = ndimage.distance_transform_edt(~labelled, return_distances=False, return_indices=True)
    filled = mask[tuple(nearest)]
    classes = np.unique(filled[inside])
    if len(classes) == 1:
        return 1
    measure, corners, segments = _skimage("measure"), 0, 0
    for each in classes.tolist():
        segments += int(ndimage.label((filled == each) & inside)[1])
        lines = measure.find_contours(np.pad((filled == each).astype(np.float64), 1, mode="edge"), 0.5)
        corners += sum(_corners(measure.approximate_polygon(line, STRAIGHT)) for line in lines)
    return segments + -(-corners // 2)  # every line is found once per class on either side


def _corners(line: NDArray[np.float64]) -> int:
    closed = len(line) > 1 and bool((line[0] == line[-1]).all())
    return len(line) - closed


def _skimage(part: str) -> Any:
    try:
        return import_module(f"skimage.{part}")
    except ImportError:
        fix = "uv sync --extra regions, or pip install scikit-image"
        raise InputError(Fault("labelling", "scikit-image, for superpixels and clicks", "not installed", fix)) from None

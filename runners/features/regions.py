"""Features of regions: scores and features of their pixels, computed for a few images at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.metrics import VOID
from protocol.spec.units import Division, Units
from runners.strategies.on_maps import MapStrategy
from runners.strategies.support.mixtures import class_mixtures
from runners.strategies.view import GradientFactors
from runners.tasks.segmentation import MapLearner


@dataclass(frozen=True, eq=False)
class Places:
    """Regions of some images, image by image.

    `of_pixels`, (b, height, width), gives the position of every pixel's region among `count`.
    """

    of_pixels: Tensor
    count: int


class Regions:
    """Unlabelled and labelled regions of a round.

    Args:
        unlabelled, labelled: numbers of the regions, shapes (u,) and (l,).
        division: all regions, with the pixels of each.
    """

    def __init__(self, unlabelled: Indices, labelled: Indices, division: Division) -> None:
        self.unlabelled, self.labelled, self.division = unlabelled, labelled, division

    @property
    def units(self) -> Units:
        """Return all units of the division."""
        return self.division.units

    def images(self, regions: Indices) -> Indices:
        """Return the images that contain the regions, ascending."""
        return np.unique(self.units.image_of(regions))

    def places(self, images: Indices, device: torch.device) -> Places:
        """Return the position of every pixel's region in the images."""
        if self.division.maps is None:
            raise ValueError("expected regions of images, found whole images")
        counts = np.diff(self.units.first)[images]
        before = np.concatenate([[0], np.cumsum(counts)[:-1]]) - self.units.first[images]
        local = self.division.maps(images) + before[:, None, None]
        return Places(torch.from_numpy(np.ascontiguousarray(local)).to(device), int(counts.sum()))

    def _positions(self, regions: Indices, images: Indices) -> Tensor:
        """Return positions of the regions among all regions of the images."""
        return torch.from_numpy(np.searchsorted(self.units.of(images), regions))

    def counts(self, images: Indices, masks: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
        """Return the number of pixels of each class in every labelled region, shape (l, classes).

        Args:
            images: images with labelled regions.
            masks: their masks, void outside labelled regions.
            classes: number of classes.
        """
        there = self.units.of(np.sort(images))
        order = np.argsort(images)
        table = np.zeros((len(there), classes), np.int64)
        start = 0
        for image in order.tolist():
            chosen = images[image : image + 1]
            places, mask = self.places(chosen, torch.device("cpu")), masks[image]
            known = mask != VOID
            cells = places.of_pixels[0].numpy()[known] * classes + mask[known]
            table[start : start + places.count] = np.bincount(cells, minlength=places.count * classes).reshape(
                -1, classes
            )
            start += places.count
        return table[np.searchsorted(there, self.labelled)]

    def scores(self, strategy: MapStrategy, samples: Iterator[Tensor], images: Indices) -> Tensor:
        """Return scores of the unlabelled regions, shape (u,), in order.

        They come from draws of the maps of the regions' images.
        """
        parts, start = [], 0
        for part in samples:
            places = self.places(images[start : start + len(part)], part.device)
            parts.append(strategy.score_regions(part, places.of_pixels, places.count))
            start += len(part)
        scores = torch.cat(parts)
        return scores[self._positions(self.unlabelled, images).to(scores.device)]

    def embeddings(self, learner: MapLearner, regions: Indices) -> Tensor:
        """Return inputs of the last layer averaged over each region's pixels, shape (m, d), float32."""
        if not len(regions):
            return torch.empty(0, learner.net.head.in_channels)
        images, parts = self.images(regions), []
        for start, maps in learner.passes(images):
            features = maps.features.float()
            places = self.places(images[start : start + len(features)], features.device)
            parts.append(region_means(features, places))
        pooled = torch.cat(parts)
        return pooled[self._positions(regions, images).to(pooled.device)]

    def mixtures(self, learner: MapLearner, regions: Indices) -> Tensor:
        """Return class-wise mixtures over each region's pixels, shape (m, k, k); see `View.class_mixtures`."""
        classes, images = learner.net.head.out_channels, self.images(regions)
        parts = [torch.empty(0, classes, classes, device=learner.device)]
        for start, maps in learner.passes(images):
            places = self.places(images[start : start + len(maps.logits)], maps.logits.device)
            parts.append(class_mixtures(maps.logits.float().softmax(1), places.of_pixels, places.count))
        return torch.cat(parts)[self._positions(regions, images).to(learner.device)]

    def gradients(self, learner: MapLearner) -> GradientFactors:
        """Return each unlabelled region's gradient of mean cross-entropy w.r.t. the head's weights.

        Targets are the predicted classes. Residuals are ones, (u, 1); embeddings are the flattened gradients,
        (u, classes * d).
        """
        images, parts = self.images(self.unlabelled), []
        for start, maps in learner.passes(images):
            p, features = maps.logits.float().softmax(1), maps.features.float()
            residuals = p - torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1)
            places = self.places(images[start : start + len(p)], p.device)
            cells = _cells(places, features)
            flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
            each = [_means(flat[cells] * residuals[:, k].reshape(-1, 1), places) for k in range(p.shape[1])]
            parts.append(torch.stack(each, 1).flatten(1))
        gradients = torch.cat(parts)[self._positions(self.unlabelled, images).to(parts[0].device)]
        return GradientFactors(gradients.new_ones(len(gradients), 1), gradients)


def region_means(features: Tensor, places: Places) -> Tensor:
    """Return means of features (b, d, h, w) over each region's pixels, shape (regions, d).

    A pixel has the features of the cell that contains it.
    """
    flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    return _means(flat[_cells(places, features)], places)


def _cells(places: Places, features: Tensor) -> Tensor:
    """Return the cell of the feature maps that contains each pixel, shape (b * height * width,)."""
    b, height, width = places.of_pixels.shape
    down, across = (
        torch.arange(n, device=features.device) * cells // n
        for n, cells in ((height, features.shape[2]), (width, features.shape[3]))
    )
    inside = down[:, None] * features.shape[3] + across
    image = torch.arange(b, device=features.device)[:, None, None] * (features.shape[2] * features.shape[3])
    return (image + inside).flatten()


def _means(rows: Tensor, places: Places) -> Tensor:
    """Return means over each region's pixels, shape (regions, d), of rows (b * height * width, d)."""
    at = places.of_pixels.flatten()
    total = torch.zeros(places.count, rows.shape[1], device=rows.device).index_add_(0, at, rows)
    return total / torch.bincount(at, minlength=places.count)[:, None]

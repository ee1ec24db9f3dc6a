"""All images of a run on its device, and the statistics that scale them."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.datasets.images import Images
from runners.machine.device import to_device

_CHUNK = 4096
_SCALINGS = 1000
"""Pools whose statistics are kept; each seed may have its own."""
_MOST_SCALED = 2**31
"""Most bytes of scaled images that are kept."""


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation per channel, both (1, channels, 1, 1) float32.

    The unit is grey values in [0, 255], or that of the feature.
    """

    mean: Tensor
    deviation: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Scale images (b, channels, height, width) to mean 0 and deviation 1 over the pool."""
        return (x - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class Start:
    """A pretrained body.

    Attributes:
        state: its tensors by name, on the CPU.
        digest: digest of the tensors.
        features: digest of its embeddings if a run trains on these; else empty.
    """

    state: dict[str, Tensor]
    digest: str
    features: str = ""


class Resident:
    """Images as one uint8 tensor (n, height, width, channels) on the device, created once per run.

    Images that do not fit in the device's memory stay in host memory or in a mapped file, and each batch is copied to
    the device. That is slower and gives the same result.

    Attributes:
        device: device on which training happens.
        start: body that networks start from, or that computed these embeddings; `None`: networks start untrained.
    """

    def __init__(self, pixels: Tensor, device: torch.device | None = None) -> None:
        self.pixels = pixels
        self.device = pixels.device if device is None else device
        self._streamed = device is not None
        self.start: Start | None = None
        self._scalings: dict[bytes, Scaling] = {}
        self._scaled: ScaledRows | None = None

    @classmethod
    def of(cls, images: Images, device: torch.device, streamed: bool | None = None) -> Resident:
        """Copy the images to the device, or stream them from where they are.

        Args:
            streamed: whether to stream; `None`: if a copy would fill more than half of the free memory.
        """
        if images.pixels.nbytes > _room(device) // 2 if streamed is None else streamed:
            with warnings.catch_warnings():
                # the tensor is never written to
                warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
                return cls(torch.from_numpy(images.pixels), device)
        return cls(torch.from_numpy(np.array(images.pixels)).to(device))

    def with_start(self, start: Start) -> Resident:
        """Return the same images, for networks that start from a pretrained body."""
        same = Resident(self.pixels, self.device if self._streamed else None)
        same.start = start
        return same

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return pixels on the device, and the positions (b,) of the images `rows` (b,) in them."""
        if not self._streamed:
            return self.pixels, to_device(rows, self.device)
        return to_device(self.pixels[rows.cpu()], self.device), torch.arange(len(rows), device=self.device)

    def images(self, indices: Indices) -> Tensor:
        """Return images (m, height, width, channels) on the device."""
        pixels, places = self.at(torch.from_numpy(indices))
        return pixels[places]

    def scaling(self, pool: Indices) -> Scaling:
        """Compute the statistics of the pool's images, labelled or not.

        Validation and test images do not count.

        Args:
            pool: (p,) indices. The pool is the same in all rounds of a run, so results are kept.
        """
        key = sha256(np.sort(pool).tobytes()).digest()
        if key not in self._scalings:
            while len(self._scalings) >= _SCALINGS:
                del self._scalings[next(iter(self._scalings))]
            self._scalings[key] = self._statistics(np.sort(pool))
        return self._scalings[key]

    def scaled(self, scaling: Scaling, start: int, stop: int) -> Tensor:
        """Return the flat, scaled images from `start` to `stop`, (stop - start, d) float32.

        They are computed once, as long as one scaling is used and they fit in 2 GiB.
        """
        if self._scaled is None or self._scaled.scaling is not scaling:
            self._scaled = ScaledRows(self, scaling)
        return self._scaled.between(start, stop)

    def scaled_rows(self, scaling: Scaling, indices: Indices) -> Tensor:
        """Return flat, scaled images (m, d) float32."""
        return scaling(as_float(self.images(np.asarray(indices, np.int64)))).flatten(1)

    def _statistics(self, pool: Indices) -> Scaling:
        """Compute statistics from integer histograms, independent of chunks and devices.

        Statistics of features are computed in float64.
        """
        if self.pixels.is_floating_point():
            return self._of_features(pool)
        channels = self.pixels.shape[3]
        counts = torch.zeros(channels, 256, dtype=torch.int64)
        offset = 256 * torch.arange(channels, device=self.device)
        for part in torch.split(torch.from_numpy(pool), _CHUNK):
            pixels, rows = self.at(part)
            values = pixels[rows].long() + offset
            counts += torch.bincount(values.flatten(), minlength=256 * channels).view(channels, 256).cpu()
        share = counts.double() / counts.sum(1, keepdim=True)
        grey = torch.arange(256, dtype=torch.float64)
        mean = (share * grey).sum(1)
        deviation = (share * (grey - mean[:, None]) ** 2).sum(1).sqrt().clamp(min=1.0)  # a blank channel stays finite
        return Scaling(*(value.float().view(1, channels, 1, 1).to(self.device) for value in (mean, deviation)))

    def _of_features(self, pool: Indices) -> Scaling:
        values = self.pixels.cpu()[torch.from_numpy(pool)].double().flatten(0, 2)
        deviation, mean = torch.std_mean(values, 0, correction=0)
        deviation = torch.where(deviation > 0, deviation, 1.0)  # a feature that never changes stays 0
        return Scaling(*(value.float().view(1, -1, 1, 1).to(self.device) for value in (mean, deviation)))


class ScaledRows:
    """All images, flat and scaled by one scaling; each block is computed when it is first read."""

    def __init__(self, resident: Resident, scaling: Scaling) -> None:
        self.scaling = scaling
        self._resident = resident
        images, *shape = resident.pixels.shape
        width = math.prod(shape)
        kept = 4 * images * width <= _MOST_SCALED
        self._rows = torch.empty(images, width, device=resident.device) if kept else None
        self._known: set[tuple[int, int]] = set()

    def between(self, start: int, stop: int) -> Tensor:
        """Return rows; callers ask for the same blocks again and again."""
        if self._rows is not None and (start, stop) in self._known:
            return self._rows[start:stop]
        rows = self._resident.scaled_rows(self.scaling, np.arange(start, stop))
        if self._rows is None:
            return rows
        self._rows[start:stop] = rows
        self._known.add((start, stop))
        return self._rows[start:stop]


def _room(device: torch.device) -> int:
    """Return bytes of memory: the free memory of an accelerator, or all memory of the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def as_float(pixels: Tensor) -> Tensor:
    """Convert uint8 (b, height, width, channels) to float32 (b, channels, height, width).

    Values stay in [0, 255]; the memory format is channels-last.
    """
    return pixels.permute(0, 3, 1, 2).float()

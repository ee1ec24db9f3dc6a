"""Predictions of trained networks, in evaluation mode and without augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.draws.splits import Indices
from protocol.metrics import classification_metrics
from runners.machine.device import plain_kernels
from runners.models.net import Net
from runners.models.resident import Resident, Scaling, as_float

_PIXELS_AT_ONCE = {"cpu": 2**18, "cuda": 2**21}
"""Pixels per batch of predictions, which bound the activations (at 64 channels 64 MiB per layer on a CPU)."""

_TINY = 16
LARGEST_TABLE = 2**24
"""Most log-probabilities that a round's sidecar may hold: 32 MiB before compression."""

Precision = Literal["float32", "bfloat16"]


class Predictions:
    """Predictions for m images, float32, on the run's device.

    Args:
        probabilities: (m, classes).
        embeddings: (m, d) penultimate embeddings, or what computes them when they are read.
    """

    def __init__(self, probabilities: Tensor, embeddings: Tensor | Callable[[], Tensor]) -> None:
        self.probabilities = probabilities
        self._embeddings = embeddings

    @property
    def embeddings(self) -> Tensor:
        """Return (m, d) penultimate embeddings."""
        if not isinstance(self._embeddings, Tensor):
            self._embeddings = self._embeddings()
        return self._embeddings


N = TypeVar("N", bound=nn.Module)


class TrainedNetwork(ABC, Generic[N]):
    """A trained network on resident images.

    Equal calls give equal bytes (in float32 on one device).
    """

    def __init__(self, net: N, resident: Resident, scaling: Scaling, precision: Precision) -> None:
        self.net = net
        self._resident = resident
        self.scaling = scaling
        self._precision: Precision = precision

    @property
    def device(self) -> torch.device:
        """Return the device that holds the images."""
        return self._resident.device

    @abstractmethod
    def metrics(self, indices: Indices, labels: NDArray[np.integer]) -> dict[str, float]:
        """Compute metrics on at least one labelled image."""

    def _batches(self, indices: Indices, least: int = 64) -> Iterator[tuple[int, Tensor]]:
        """Yield (position of the first image, scaled images).

        At least `least` images per batch, more if they are small.
        """
        self.net.eval()
        device, (_, height, width, channels) = self._resident.device, self._resident.pixels.shape
        size = max(least, _PIXELS_AT_ONCE.get(device.type, 2**19) // (height * width * max(1, channels // 3)))
        rows = torch.from_numpy(np.asarray(indices, np.int64).copy())
        for start in range(0, len(rows), size):
            pixels, places = self._resident.at(rows[start : start + size])
            yield start, to_memory_format(self.scaling(as_float(pixels[places])), self._precision)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        device = self._resident.device
        with plain_kernels(device), arithmetic(self._precision, device):
            yield


class Learner(TrainedNetwork[Net]):
    """A trained classifier of whole images."""

    def metrics(self, indices: Indices, labels: NDArray[np.integer]) -> dict[str, float]:
        """Compute accuracy, balanced accuracy and macro-F1."""
        return classification_metrics(self.labels(indices), labels)

    @torch.no_grad()
    def predict(self, indices: Indices) -> Predictions:
        """Compute class probabilities and penultimate embeddings.

        Args:
            indices: (m,) int64 into the data set, in any order.
        """
        probabilities = torch.empty(len(indices), self.net.head.out_features, device=self._resident.device)
        embeddings = torch.empty(len(indices), self.net.embedding_size, device=self._resident.device)
        for start, logits, embedded in self._passes(indices):
            probabilities[start : start + len(logits)] = logits.float().softmax(1)
            embeddings[start : start + len(embedded)] = embedded.float()
        return Predictions(probabilities, embeddings)

    @torch.no_grad()
    def labels(self, indices: Indices) -> NDArray[np.int64]:
        """Return (m,) most probable classes; the first of equals."""
        parts = [logits.float().argmax(1).cpu() for _, logits, _ in self._passes(indices)]
        return torch.cat(parts).numpy() if parts else np.empty(0, np.int64)

    @torch.no_grad()
    def classes_and_log_probabilities(
        self, indices: Indices, tables: bool = True
    ) -> tuple[NDArray[np.int64], NDArray[np.float16] | None]:
        """Return most probable classes and log-probabilities rounded to half precision.

        Log-probabilities are computed only if `tables`. The record's sidecar holds the rounded values, and rounding
        keeps their order, so metrics can be recomputed exactly.

        Returns:
            (m,) classes, the first of equals; and (m, classes) log-probabilities, or `None` if `tables` is false or
            the table would have more than 2**24 entries.
        """
        with_table = tables and len(indices) * self.net.head.out_features <= LARGEST_TABLE
        classes, parts = [], []
        for _, logits, _ in self._passes(indices):
            classes.append(logits.float().argmax(1).cpu())
            if with_table:
                parts.append(logits.float().log_softmax(1).half().cpu())
        predicted: NDArray[np.int64] = torch.cat(classes).numpy() if classes else np.empty(0, np.int64)
        return predicted, torch.cat(parts).numpy() if parts else None

    def _passes(self, indices: Indices) -> Iterator[tuple[int, Tensor, Tensor]]:
        for start, x in self._batches(indices):
            with self._computing():
                logits, embedded = self.net.both(x)
            yield start, logits, embedded


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context that autocasts to bfloat16 where that is safe; none for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def memory_format(height: int, width: int, precision: Precision) -> torch.memory_format:
    """Return the faster memory format for images of this size.

    Channels-last is up to three times faster on a CPU, and bfloat16 needs it. For tiny float32 images it is a third
    slower.
    """
    tiny = max(height, width) < _TINY and precision == "float32"
    return torch.contiguous_format if tiny else torch.channels_last


def to_memory_format(x: Tensor, precision: Precision) -> Tensor:
    """Convert images (b, channels, height, width) to the faster memory format."""
    return x.contiguous(memory_format=memory_format(x.shape[2], x.shape[3], precision))

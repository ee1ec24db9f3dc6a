"""Networks with a body that computes embeddings and a linear head that classifies them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from protocol.digests import array_digest, canonical_json, sha256


class Net(nn.Module):
    """Network with `forward(x) == head(dropout(features(x)))`.

    Attributes:
        body: (n, channels, height, width) float → (n, d) embedding.
        head: linear layer (n, d) → (n, classes) logits.
        embedding_size: d.
    """

    def __init__(self, body: nn.Module, embedding_size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding_size, classes)
        self.embedding_size = embedding_size

    def features(self, x: Tensor) -> Tensor:
        """Compute penultimate embeddings (n, d) of images (n, channels, height, width)."""
        embedded: Tensor = self.body(x)
        return embedded

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (n, classes) and embeddings (n, d) in one pass."""
        embedded = self.features(x)
        return self.head(self.dropout(embedded)), embedded

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[0]


def weights_digest(module: nn.Module) -> str:
    """Compute the SHA-256 of all parameters and buffers with their names, in order.

    Buffers include BatchNorm statistics.
    """
    return state_digest(module.state_dict())


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of named tensors in order, on any device."""
    arrays = [
        tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype).numpy()
        for tensor in state.values()
    ]
    return sha256(canonical_json([list(state), array_digest(*arrays)]))

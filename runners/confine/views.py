"""Views on their way to the process of a strategy: plain arrays, with indices as the strategy may know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault
from protocol.spec.units import Division
from runners.features.opaque_ids import OpaqueIds
from runners.guard.errors import StrategyError
from runners.strategies.view import ClassifierHead, Feature, GradientFactors, Need, View

_UNORDERED: Final = frozenset({"classifier_head", "labelled_embeddings", "labelled_probabilities", "labelled_images"})
"""Features without a row per unlabelled unit. All others have one."""
_LABELLED_TOO: Final = "labelled_"
_KINDS: Final[dict[str, Callable[..., Feature]]] = {
    "gradient_factors": GradientFactors,
    "classifier_head": ClassifierHead,
}


def packed_view(view: View, ids: OpaqueIds | None) -> dict[str, Any]:
    """Return a view as arrays, with opaque ids in the place of indices and rows in the order of the ids.

    Args:
        view: the round's view.
        ids: the run's ids; None: regions, which keep their numbers.

    Raises:
        StrategyError: a feature is not finite.
    """
    unlabelled, labelled, rows = view.unlabelled, view.labelled, None
    if ids is not None:
        shown = ids.of(view.unlabelled)
        rows = np.argsort(shown)
        unlabelled, labelled = shown[rows], ids.of(view.labelled)
    features = {need: _packed(need, view._feature(need), rows) for need in view.features}
    return {
        "unlabelled": unlabelled,
        "labelled": labelled,
        "labels": view.labels,
        "classes": view.classes,
        "round": view.round,
        "features": features,
        "units": view.division.units if view.division is not None else None,
    }


def _packed(need: Need, feature: Feature, rows: Indices | None) -> list[NDArray[Any]]:
    parts = [feature] if isinstance(feature, Tensor) else list(feature)
    ordered = rows is not None and need not in _UNORDERED and not need.startswith(_LABELLED_TOO)
    at = torch.from_numpy(rows) if ordered and rows is not None else None
    return [_array(part if at is None else part[at.to(part.device)]) for part in parts]


def _array(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).contiguous().numpy()


def given_view(packed: Mapping[str, Any], device: torch.device, maps: Callable[[Indices], NDArray[Any]]) -> View:
    """Return the view in the strategy's process.

    Args:
        packed: see `packed_view`.
        device: device of its tensors.
        maps: asks the run for the regions of the pixels of images.
    """
    features: dict[Need, Feature] = {}
    for need, arrays in packed["features"].items():
        parts = [torch.from_numpy(array).to(device) for array in arrays]
        features[need] = _KINDS[need](*parts) if need in _KINDS else parts[0]
    return View(
        packed["unlabelled"],
        packed["labelled"],
        packed["labels"],
        packed["classes"],
        packed["round"],
        features,
        Division(packed["units"], maps) if packed["units"] is not None else None,
    )


def true_indices(ids: OpaqueIds | None, selection: NDArray[Any], where: str) -> Indices:
    """Return the indices that a selection means.

    Raises:
        StrategyError: it holds an id of no image.
    """
    if selection.ndim != 1 or not np.issubdtype(selection.dtype, np.integer):
        raise StrategyError(Fault(where, "integers in one dimension", f"{selection.dtype} of shape {selection.shape}"))
    chosen = selection.astype(np.int64)
    if ids is None:
        return chosen
    known, indices = ids.indices(chosen)
    if not known.all():
        found, fix = f"not in the pool: {chosen[~known][:5].tolist()}", "map positions: view.unlabelled[positions]"
        raise StrategyError(Fault(where, "members of view.unlabelled", found, fix))
    return indices

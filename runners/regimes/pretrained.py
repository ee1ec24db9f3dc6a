"""Pretrained bodies: made once for a pool and a recipe, kept in the study's folder, shared by every strategy and seed.

What is kept is what is used: a run that made the body reads it back from the file as all others do, so who came
first cannot be seen in any record.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.canonical import array_digest, fingerprint
from protocol.errors import Fault, InputError
from protocol.folders import StudyFolder, write_arrays, write_atomically
from protocol.spec import Pretraining, Protocol
from protocol.splits import Indices
from runners.datasets.base import Images
from runners.models import Net, build
from runners.models.net import state_digest
from runners.models.states import arrays_of, read_state
from runners.regimes.learner import Learner, memory_format
from runners.regimes.resident import Resident, Start
from runners.regimes.self_supervised import learn_body

PRETRAINED_TAG = "beatrandom/pretrained/1"


@dataclass(frozen=True)
class Kept:
    """One body's files. `weights`: its tensors by name; `features`: (n, d) float32 embeddings of all images of the data set."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "weights.npz"

    @property
    def features(self) -> Path:
        return self.folder / "features.npy"


def key_of(protocol: Protocol, images: Images, pool: Indices) -> str:
    """Names everything that a pretrained body depends on: images, pool, recipe, network, arithmetic, root seed.

    What becomes of the body afterwards, frozen or fine-tuned, is not part of it.
    """
    recipe = _pretraining(protocol).model_dump(mode="json", exclude={"then"}, exclude_none=True)
    model = protocol.model.model_dump(mode="json", exclude={"dropout"})
    body = {"recipe": recipe, "model": model, "precision": protocol.regime.precision, "root_seed": protocol.root_seed}
    return fingerprint(PRETRAINED_TAG, body | {"data": images.digest, "pool": array_digest(np.sort(pool).astype(np.int64))})


def prepared(
    protocol: Protocol, images: Images, resident: Resident, pool: Indices, study: StudyFolder | None, *, keep: bool = True
) -> tuple[Images, Resident]:
    """What a run trains on: its images as they are, or with a pretrained body, or that body's embeddings instead of images.

    Args:
        pool: (p,) indices of the images that pretraining may see.
        study: where bodies are kept; None: nowhere.
        keep: whether what is missing there is written.

    Returns:
        (images, resident): for a linear probe the images are (n, 1, 1, d) float32 embeddings.

    Raises:
        InputError: what is kept is damaged; or as `learn_body`.
    """
    if protocol.regime.pretraining is None:
        return images, resident
    kept = Kept(study.pretrained(key_of(protocol, images, pool))) if study else None
    if kept and keep:
        with _alone(kept.folder):
            return _prepared(protocol, images, resident, pool, kept, keep)
    return _prepared(protocol, images, resident, pool, kept, keep)


def _prepared(
    protocol: Protocol, images: Images, resident: Resident, pool: Indices, kept: Kept | None, keep: bool
) -> tuple[Images, Resident]:
    state = _body(protocol, images, resident, pool, kept, keep)
    if _pretraining(protocol).then == "fine-tune":
        return images, resident.starting_from(Start(state, state_digest(state)))
    features = _embeddings(protocol, images, resident, pool, state, kept, keep)
    start = Start(state, state_digest(state), array_digest(features))
    pixels = features[:, None, None, :]
    return replace(images, pixels=pixels), Resident(torch.from_numpy(pixels).to(resident.device)).starting_from(start)


def _body(protocol: Protocol, images: Images, resident: Resident, pool: Indices, kept: Kept | None, keep: bool) -> dict[str, Tensor]:
    if kept and kept.weights.exists():
        return read_state(kept.weights, "pretrained weights as this study kept them")
    spec = _pretraining(protocol).self_supervised
    if spec is None:
        raise InputError(Fault("regime.pretraining", "the table self_supervised", "none"))
    net = learn_body(protocol, spec, images, resident, pool)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.body.state_dict().items()}
    if kept and keep:
        write_arrays(kept.weights, arrays_of(state))
    return state


def _embeddings(
    protocol: Protocol, images: Images, resident: Resident, pool: Indices, state: dict[str, Tensor], kept: Kept | None, keep: bool
) -> NDArray[np.float32]:
    if kept and kept.features.exists():
        return _read_features(kept.features, images.n)
    precision = protocol.regime.precision
    net = with_body(build(protocol.model, images, 0), state).to(resident.device)
    net = net.to(memory_format=memory_format(images.height, images.width, precision))
    learner = Learner(net, resident, resident.scaling(pool), precision)
    features = learner.predict(np.arange(images.n)).embeddings.cpu().numpy()
    if kept and keep:
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        write_atomically(kept.features, buffer.getvalue())
    return features


def _read_features(path: Path, images: int) -> NDArray[np.float32]:
    fix = "delete this file; it will be made again"
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(Fault(str(path), "embeddings as this study kept them", str(error) or "damage", fix)) from None
    if features.ndim != 2 or len(features) != images or features.dtype != np.float32 or not np.isfinite(features).all():
        raise InputError(
            Fault(str(path), f"finite float32 embeddings of {images} images", f"{features.dtype} of shape {features.shape}", fix)
        )
    return np.asarray(features, np.float32)


def with_body(net: Net, state: dict[str, Tensor]) -> Net:
    """The network with its body's tensors replaced. Raises InputError if they are another network's."""
    try:
        net.body.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            Fault("pretrained weights", "tensors of the protocol's network", str(error)[:500], "use its own weights")
        ) from None
    return net


def _pretraining(protocol: Protocol) -> Pretraining:
    if protocol.regime.pretraining is None:
        raise InputError(Fault(f"protocol {protocol.name}", "the table regime.pretraining", "none"))
    return protocol.regime.pretraining


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time makes a body; the others wait for it. Machines without common locks make equal files twice."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

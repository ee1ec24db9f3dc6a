"""Pretrained bodies: trained once per pool and recipe, and shared by all runs of a study.

The run that trains a body reads it back from the file like all other runs, so no record shows which run came first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.digests import array_digest, fingerprint
from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder, write_arrays
from protocol.spec.protocol import Protocol
from protocol.spec.recipe import Pretraining
from runners import tasks
from runners.caching import Allocate, get_or_make, get_or_make_array, read_if_valid
from runners.datasets.files import file_digest, find_file
from runners.datasets.images import Images
from runners.models import Net, build
from runners.models.learner import Learner, memory_format
from runners.models.net import state_digest
from runners.models.resident import Resident, Start
from runners.models.state_file import arrays_of, read_state
from runners.models.weights_file import match_tensors, read_tensors
from runners.regimes.pretraining.self_supervised import learn_body

PRETRAINED_TAG = "beatrandom/pretrained/1"


@dataclass(frozen=True)
class BodyFiles:
    """Files of one pretrained body, in one folder."""

    folder: Path

    @property
    def weights(self) -> Path:
        """Return the file of its tensors by name."""
        return self.folder / "weights.npz"

    @property
    def features(self) -> Path:
        """Return the file of embeddings (n, d) float32 of all images of the data set."""
        return self.folder / "features.npy"


def key_of(protocol: Protocol, images: Images, pool: Indices) -> str:
    """Return a key of everything that a pretrained body depends on.

    That is images, pool, recipe, network, precision and root seed, but not whether the body is frozen or fine-tuned
    later.
    """
    recipe = _pretraining(protocol).fingerprint_content()
    del recipe["then"]
    model = protocol.model.model_dump(mode="json", exclude={"dropout"})
    body = {"recipe": recipe, "model": model, "precision": protocol.regime.precision, "root_seed": protocol.root_seed}
    return fingerprint(
        PRETRAINED_TAG, body | {"data": images.digest, "pool": array_digest(np.sort(pool).astype(np.int64))}
    )


def prepare(
    protocol: Protocol,
    images: Images,
    resident: Resident,
    pool: Indices,
    study: StudyFolder | None,
    *,
    keep: bool = True,
    data_root: Path | None = None,
) -> tuple[Images, Resident]:
    """Prepare what a run trains on, with a pretrained body if the protocol has one.

    A damaged file is computed again; the digests in the records show whether the result is the same.

    Args:
        pool: (p,) indices of the images that pretraining may see.
        study: folder of the study that keeps bodies; `None`: bodies are not kept.
        keep: whether to write bodies that the study does not hold yet.
        data_root: folder in which a file of weights is searched for.

    Returns:
        (images, resident). For a linear probe the images are (n, 1, 1, d) float32 embeddings; otherwise they are
        unchanged.

    Raises:
        InputError: as `learn_body` and `body_from_file`.
    """
    if protocol.regime.pretraining is None:
        return images, resident
    kept = BodyFiles(study.pretrained(key_of(protocol, images, pool))) if study else None
    given = _pretraining(protocol).weights is not None  # the weights are in a file already
    state = (
        body_from_file(protocol, images, data_root) if given else _body(protocol, images, resident, pool, kept, keep)
    )
    if _pretraining(protocol).then == "fine-tune":
        return images, resident.with_start(Start(state, state_digest(state)))
    features = _embeddings(protocol, images, resident, pool, state, kept, keep)
    start = Start(state, state_digest(state), array_digest(features))
    pixels = features[:, None, None, :]
    return replace(images, pixels=pixels), Resident(torch.from_numpy(pixels).to(resident.device)).with_start(start)


def body_from_file(protocol: Protocol, images: Images, data_root: Path | None) -> dict[str, Tensor]:
    """Read the tensors of the network's body from the protocol's file (segmentation: its encoder).

    Raises:
        InputError: no such file, another digest, no tensors, or tensors of another architecture.
    """
    spec, task = _pretraining(protocol), tasks.TASKS[protocol.task]
    path = find_file(spec.weights or "", data_root, f"protocol {protocol.name}: regime.pretraining.weights")
    part = task.pretrained_part(task.build(protocol.model, images, 0))
    kind = "encoder" if protocol.task == "segmentation" else "body"
    what = f"{protocol.model.name}'s {kind} for {images.channels}-channel images"
    return match_tensors(part, read_tensors(path, spec.weights_digest), f"weights {path}", what)


def with_weights_digest(protocol: Protocol, data_root: Path | None) -> Protocol:
    """Return the protocol with the digest of its file of weights filled in.

    Raises:
        InputError: no such file, or a file with another digest than the protocol gives.
    """
    spec = protocol.regime.pretraining
    if spec is None or spec.weights is None:
        return protocol
    where = f"protocol {protocol.name}: regime.pretraining.weights"
    digest = file_digest(path := find_file(spec.weights, data_root, where))
    if spec.weights_digest not in (None, digest):
        fix = "restore the file, or leave weights_digest out; other weights make another comparison"
        raise InputError(
            Fault(where, f"a file with SHA-256 {str(spec.weights_digest)[:16]}", f"{path} with {digest[:16]}", fix)
        )
    regime = protocol.regime.model_copy(update={"pretraining": spec.model_copy(update={"weights_digest": digest})})
    return protocol.model_copy(update={"regime": regime})


def _body(
    protocol: Protocol, images: Images, resident: Resident, pool: Indices, kept: BodyFiles | None, keep: bool
) -> dict[str, Tensor]:
    def learn() -> dict[str, Tensor]:
        spec = _pretraining(protocol).self_supervised
        if spec is None:
            raise InputError(Fault("regime.pretraining", "the table self_supervised", "none"))
        net = learn_body(protocol, spec, images, resident, pool)
        return {name: tensor.detach().cpu().contiguous() for name, tensor in net.body.state_dict().items()}

    def read(file: Path) -> dict[str, Tensor]:
        return read_state(file, "pretrained weights written by this study")

    if kept is None or not keep:
        state = read_if_valid(kept.weights, read) if kept else None
        return learn() if state is None else state
    return get_or_make(kept.weights, lambda draft: write_arrays(draft, arrays_of(learn())), read)


def _embeddings(
    protocol: Protocol,
    images: Images,
    resident: Resident,
    pool: Indices,
    state: dict[str, Tensor],
    kept: BodyFiles | None,
    keep: bool,
) -> NDArray[np.float32]:
    def embed() -> NDArray[np.float32]:
        precision = protocol.regime.precision
        net = with_body(build(protocol.model, images, 0), state).to(resident.device)
        net = net.to(memory_format=memory_format(images.height, images.width, precision))
        learner = Learner(net, resident, resident.scaling(pool), precision)
        features: NDArray[np.float32] = learner.predict(np.arange(images.n)).embeddings.cpu().numpy()
        return features

    def make(allocate: Allocate) -> None:
        features = embed()
        allocate(features.shape)[:] = features

    if kept is None:
        return embed()
    return np.array(
        get_or_make_array(
            kept.features, "embeddings by a pretrained body", (images.n, None), np.float32, make, keep=keep
        )
    )


def with_body(net: Net, state: dict[str, Tensor]) -> Net:
    """Load a body's tensors into the network.

    Raises InputError if they belong to another network.
    """
    try:
        net.body.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            Fault(
                "pretrained weights",
                "tensors of the protocol's network",
                str(error)[:500],
                "use weights of this network",
            )
        ) from None
    return net


def _pretraining(protocol: Protocol) -> Pretraining:
    if protocol.regime.pretraining is None:
        raise InputError(Fault(f"protocol {protocol.name}", "the table regime.pretraining", "none"))
    return protocol.regime.pretraining

"""CIFAR-10 and CIFAR-100: batches of the python version, or CIFAR-10 as one .npz."""

from __future__ import annotations

import codecs
import io
import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, npz_arrays, read_or_refuse
from runners.datasets.images import Images, Labels, join_parts

_TEN: Final = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_NPZ_KEYS: Final = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)


def load10(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load CIFAR-10 from its batches or from cifar10.npz. Raises InputError."""
    folders = [f"{above}{name}" for above in ("", "cifar10/", "CIFAR10/") for name in ("cifar-10-batches-py", "")]
    paths = place.first(card, (_TEN, ("cifar10.npz",)), folders)
    if paths[0].suffix == ".npz":
        return _from_npz(card, paths[0])
    return _from_batches(card, paths[:-1], paths[-1], b"labels")


def load100(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load CIFAR-100 with its fine labels. Raises InputError."""
    paths = place.first(
        card, (("train", "test"),), [f"{above}cifar-100-python" for above in ("", "cifar100/", "CIFAR100/")] + [""]
    )
    return _from_batches(card, paths[:1], paths[1], b"fine_labels")


def _from_npz(card: Card, path: Path) -> tuple[Images, Labels]:
    arrays = npz_arrays(path)
    for keys in _NPZ_KEYS:
        if all(key in arrays for key in keys):
            train_images, train_labels, test_images, test_labels = (arrays[key] for key in keys)
            return join_parts(card, str(path), (train_images, train_labels), (test_images, test_labels), card.classes)
    expected = " or ".join(", ".join(keys) for keys in _NPZ_KEYS)
    raise InputError(Fault(str(path), f"arrays {expected}", ", ".join(sorted(arrays)) or "no arrays", "rename them"))


def _from_batches(card: Card, train: list[Path], test: Path, key: bytes) -> tuple[Images, Labels]:
    parts = [_batch(path, key) for path in train]
    pixels, labels = np.concatenate([p for p, _ in parts]), np.concatenate([n for _, n in parts])
    return join_parts(card, str(test.parent), (pixels, labels), _batch(test, key), card.classes)


def _batch(path: Path, key: bytes) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    table = read_or_refuse(
        path, lambda: ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load(), "a CIFAR batch"
    )
    if not isinstance(table, dict) or b"data" not in table or key not in table:
        found = ", ".join(str(k) for k in table) if isinstance(table, dict) else type(table).__name__
        raise InputError(
            Fault(str(path), f"a pickled table with data and {key.decode()}", found, "get the python version of CIFAR")
        )
    flat = np.asarray(table[b"data"])
    if flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != 3072:
        raise InputError(
            Fault(
                f"{path}: data", "uint8 of shape (n, 3072)", f"{flat.dtype} of shape {flat.shape}", "get the file again"
            )
        )
    labels = read_or_refuse(path, lambda: np.asarray(table[key]), f"a list of numbers under {key.decode()}")
    return flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


class ArraysOnly(pickle.Unpickler):
    """Unpickler for numbers, strings, lists, dictionaries and NumPy arrays.

    Files with anything else are refused.

    CIFAR is distributed as pickles, and a pickle may run any code when it is loaded.
    """

    _rebuild: Final[Any] = np.empty(0).__reduce__()[0]  # NumPy's array rebuilder, whose module depends on the version
    allowed: Final[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _rebuild,
        ("numpy._core.multiarray", "_reconstruct"): _rebuild,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,  # how Python 3 writes bytes in protocol 2
    }

    def find_class(self, module: str, name: str, /) -> Any:
        """Return one of the allowed objects. Raises UnpicklingError for any other."""
        try:
            return self.allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"refused: the file asks for {module}.{name}, which no CIFAR batch needs"
            ) from None

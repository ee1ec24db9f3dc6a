"""Simulated accelerator: tensors report the device `cuda` but are stored on the CPU, so that device code runs anywhere.

What an NVIDIA device would refuse is refused here too: operations over two devices,
NumPy arrays of device tensors, generators of another device, and operations that it does not have. Kernels, their speed
and their rounding are the CPU's: it shows where tensors are, nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_iter, tree_map

CUDA = torch.device("cuda", 0)
_MOVES = {"_to_copy", "copy_"}
_REAL_TENSOR = torch.tensor
_READS = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "unique_dim"}
_NO_WORK = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "_unsafe_view", "lift_fresh"}
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class WrongDevice(AssertionError):
    """Operation that a real device would refuse."""


class Remote(Tensor):
    """Tensor on the simulated device; `held` is its content, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor, requires_grad: bool = False) -> Remote:
        shape = torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device="meta")
        made: Remote = Tensor._make_subclass(cls, shape, requires_grad)
        made.held = held
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Remote({self.held!r})"

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        raise WrongDevice("a NumPy array of a tensor on the device: .cpu() first")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
        raise WrongDevice("a NumPy array of a tensor on the device: .cpu() first")

    def new_tensor(self, data: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        return _REAL_TENSOR(data, dtype=kwargs.get("dtype", self.dtype)).to(CUDA)

    def tolist(self) -> Any:
        return self.held.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return dispatched(func, args, kwargs or {})


class Machine(TorchDispatchMode):
    """While it lasts, tensors can be made on the device.

    Attributes:
        launched: operations of the device by name; those that only look at memory in another way are not counted.
        sent: tensors that came from the CPU without waiting.
        waits: what made the CPU wait for the device, by name: contents read, and tensors moved in the ordinary way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launched: Counter[str] = Counter()
        self.sent = 0
        self.waits: Counter[str] = Counter()

    def forget(self) -> None:
        """Reset all counts."""
        self.launched.clear()
        self.waits.clear()
        self.sent = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        wanted = kwargs.get("device")
        if any(isinstance(a, Remote) for a in tree_iter((args, kwargs))) or (
            wanted is not None and torch.device(wanted).type != "cpu"
        ):
            self._count(func, args, kwargs)
            return dispatched(func, args, kwargs)
        return func(*args, **kwargs)

    def _count(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        name = func.name().split(".")[0].removeprefix("aten::")
        source, target = (args[1], args[0]) if name == "copy_" else (args[0] if args else None, None)
        there = (
            isinstance(target, Remote)
            if target is not None
            else torch.device(kwargs.get("device") or CUDA).type != "cpu"
        )
        moved = name in {"_to_copy", "copy_"} and isinstance(source, Remote) != there
        if moved and there and (kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])):
            self.sent += 1
        elif moved or name in _READS or (name in _INDEXED and _by_mask(args)):
            self.waits[name] += 1
        elif not func.is_view and name not in _NO_WORK:
            self.launched[name] += 1


def _by_mask(args: Sequence[Any]) -> bool:
    """Return whether the index is a mask; the number of selected elements is then known only on the device."""
    return any(isinstance(index, Tensor) and index.dtype in {torch.bool, torch.uint8} for index in args[1])


def dispatched(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute a device operation on the CPU, if the device would accept it."""
    name = func.name()
    _refuse_mixtures(name, args, kwargs)
    wanted = kwargs.get("device")
    target = torch.device(wanted) if wanted is not None else CUDA  # "meta" is what torch itself takes the device for
    here = dict(kwargs) | ({"device": torch.device("cpu")} if wanted is not None else {})
    if here.get("pin_memory"):
        here["pin_memory"] = False
    out = func(*tree_map(_held, args), **tree_map(_held, here))
    if target.type == "cpu":
        return out
    if name.split(".")[0] == "aten::copy_" and not isinstance(args[0], Remote):
        return args[0]
    if name == "aten::_local_scalar_dense":
        return out
    wrapped = tree_map(lambda x: Remote(x) if isinstance(x, Tensor) else x, out)
    return return_and_correct_aliasing(func, args, dict(kwargs), wrapped)


def _held(x: Any) -> Any:
    return x.held if isinstance(x, Remote) else x


def _refuse_mixtures(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    base = name.split(".")[0].removeprefix("aten::")
    if base in _MOVES:
        return
    tensors = [a for a in tree_iter((args[:1] if base in _INDEXED else args, kwargs)) if isinstance(a, Tensor)]
    if base in _INDEXED:
        if not isinstance(args[0], Remote):
            raise WrongDevice(f"{name}: a CPU tensor indexed by one on the device")
        tensors += [a for a in args[2:] if isinstance(a, Tensor)]
    if any(isinstance(a, Remote) for a in tensors) and any(not isinstance(a, Remote) and a.dim() for a in tensors):
        shapes = [("device" if isinstance(a, Remote) else "cpu", tuple(a.shape)) for a in tensors]
        raise WrongDevice(f"{name}: tensors on two devices: {shapes}")
    for a in tree_iter((args, kwargs)):
        if isinstance(a, torch.Generator):
            raise WrongDevice(f"{name}: a generator of the CPU draws on the device")


def _tensor(data: Any, *, device: Any = None, **kwargs: Any) -> Tensor:
    """Replace `torch.tensor`, which would ask the driver for the device."""
    made = _REAL_TENSOR(data, **kwargs)
    return made if device is None else made.to(device)


@contextmanager
def accelerator(memory: int = 80 * 2**30) -> Iterator[Machine]:
    """Yield a machine with one simulated device of this many bytes."""
    stand_ins: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: "make-believe",
        "mem_get_info": lambda *_: (memory, memory),
        "max_memory_allocated": lambda *_: 0,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda *_: None,
        "manual_seed": lambda *_: None,
        "manual_seed_all": lambda *_: None,
        "device": lambda *_: nullcontext(),
        "synchronize": lambda *_: None,
        "empty_cache": lambda *_: None,
    }
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(
        True
    )  # a parameter's content cannot be exchanged for another class of tensor
    try:
        with (
            patch.multiple(torch.cuda, **stand_ins),
            patch.object(torch.accelerator, "is_available", lambda: False),  # no streams that could be capturing
            patch.object(torch, "tensor", _tensor),
            patch.object(Tensor, "pin_memory", lambda self: self),
            Machine() as machine,
        ):
            yield machine
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


def launched_by_a_step(
    machine: Machine, net: nn.Module, update: torch.optim.Optimizer, shape: tuple[int, int, int]
) -> int:
    """Count launches of forward, cross-entropy, backward and update of a classifier on one ready batch.

    It is the classifier's second batch: by then nothing has to be created.

    Args:
        shape: channels, height, width; the batch is of two images, since launches do not depend on how many there are.
    """
    for _ in range(2):
        x, y = torch.ones(2, *shape, device=CUDA), torch.zeros(2, dtype=torch.int64, device=CUDA)
        machine.forget()
        loss = nn.functional.cross_entropy(net.train()(x), y)
        update.zero_grad()
        torch.autograd.backward(loss)
        update.step()
    return machine.launched.total()

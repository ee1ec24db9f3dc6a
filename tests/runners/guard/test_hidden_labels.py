"""Nothing that a strategy or a regime is given leads to a label that was not bought.

The walk follows what an object holds: attributes, slots, closures, defaults, bound methods, partials,
memory behind views, and the modules of this project. It does not follow frames or the garbage
collector: nothing in one process is safe from those, see protocol/CHEATS.md and `run --isolate`.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from protocol.record.layout import StudyFolder
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners import loop
from runners.data import load
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.run.open_oracle import SessionSpec, local_oracle
from runners.run.perform import perform

OURS = ("runners", "protocol")
Secrets = list[bytes]


def secrets(labels: NDArray[np.integer], *subsets: NDArray[np.int64]) -> Secrets:
    """The bytes of all labels, and of those at the subsets, in every type they may be kept in."""
    kinds = (np.int64, np.int32, np.uint8, np.float32)
    return [part.astype(kind).tobytes() for part in (labels, *(labels[s] for s in subsets)) for kind in kinds]


def reachable(start: object) -> Iterator[object]:
    """Every object that can be reached from `start`, itself included."""
    seen: dict[int, object] = {}
    todo = [start]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | None | type(...)):
            continue
        seen[id(item)] = item  # kept alive, so that no id is given twice
        yield item
        todo += held(item)


def held(item: object) -> Iterator[object]:
    if isinstance(item, types.ModuleType):
        yield from vars(item).values() if item.__name__.split(".")[0] in OURS else ()
        return
    if isinstance(item, np.ndarray | memoryview):
        yield item.base if isinstance(item, np.ndarray) else item.obj
        return
    if isinstance(item, Mapping):
        yield from [*item.keys(), *item.values()]
    elif isinstance(item, list | tuple | set | frozenset):
        yield from item
    if isinstance(item, types.FunctionType | types.MethodType | functools.partial):
        yield from of_callable(item)
    elif isinstance(item, property):
        yield from (item.fget, item.fset)
    elif isinstance(item, torch.Tensor) and item._is_view():
        yield item._base
    yield from (
        getattr(item, "__dict__", {}).values()
        if not isinstance(item, type) or item.__module__.split(".")[0] in OURS
        else ()
    )
    for kind in type(item).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            yield getattr(item, slot, None)
    if type(item).__module__.split(".")[0] in OURS:
        yield type(item)


def of_callable(item: types.FunctionType | types.MethodType | functools.partial[Any]) -> Iterator[object]:
    if isinstance(item, types.MethodType):
        yield from (item.__self__, item.__func__)
    elif isinstance(item, functools.partial):
        yield from (item.func, item.args, item.keywords)
    else:
        yield from (*(cell.cell_contents for cell in item.__closure__ or ()), item.__defaults__, item.__kwdefaults__)
        if (item.__module__ or "").split(".")[0] in OURS:
            yield from item.__globals__.values()


def leaks(start: object, hidden: Secrets) -> list[str]:
    """What holds a secret, among all that can be reached from `start`."""
    found = []
    for item in reachable(start):
        if isinstance(item, np.ndarray | torch.Tensor):
            content = np.ascontiguousarray(
                item.detach().cpu().float() if isinstance(item, torch.Tensor) else item
            ).tobytes()
            if any(secret in content for secret in hidden):
                found.append(f"{type(item).__name__} {tuple(item.shape)}")
    return found


LABELS = np.random.default_rng(3).integers(0, 10, 400)


class Slotted:
    __slots__ = ("kept",)

    def __init__(self, kept: object) -> None:
        self.kept = kept

    def method(self) -> object:
        return self.kept


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(lambda a: {"x": [a]}, id="containers"),
        pytest.param(lambda a: Slotted(a), id="slots"),
        pytest.param(lambda a: Slotted(a).method, id="bound method"),
        pytest.param(lambda a: lambda: a, id="closure"),
        pytest.param(lambda a: functools.partial(print, a), id="partial"),
        pytest.param(lambda a: a[:3], id="memory behind a view"),
        pytest.param(lambda a: torch.from_numpy(a)[:3], id="memory behind a tensor's view"),
        pytest.param(lambda a: a.astype(np.uint8), id="another type"),
        pytest.param(lambda a: np.concatenate([[9], a[:300]]), id="among other numbers"),
        pytest.param(lambda a: types.SimpleNamespace(inner=types.MappingProxyType({"k": a})), id="mapping proxy"),
    ],
)
def test_the_walk_finds_labels_wherever_they_are_hidden(holder: Any) -> None:
    hidden = secrets(LABELS, np.arange(300))
    assert leaks(holder(LABELS), hidden)
    assert not leaks(holder(np.sort(LABELS)), hidden)


@pytest.fixture
def given(toy_protocol: Protocol, tmp_path: Path) -> list[tuple[str, object]]:
    """What strategy and regime are given during a run with validation labels."""
    seen: list[tuple[str, object]] = []
    changes = {"splits": {"test_size": 200, "validation_size": 60}, "budgets": [80, 90, 105]}
    table = toy_protocol.model_dump(mode="json") | changes
    study = parse(
        Study,
        {"name": "s", "protocols": [table], "strategies": [{"name": "random"}, {"name": "margin"}], "seeds": [0]},
        "s",
    )
    path = tmp_path / "given"
    adopt(StudyFolder(path), study, path)
    [run] = [r for r in planned_runs(study) if r.strategy.id == "margin"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fit", "prepare", "select"):
            real = getattr(loop, name)

            def spy(*args: Any, name: str = name, real: Any = real, **kwargs: Any) -> Any:
                seen.append((name, (args, kwargs)))
                out = real(*args, **kwargs)
                seen.append((f"{name}'s answer", out))
                return out

            patch.setattr(loop, name, spy)
        assert perform(jobs(StudyFolder(path), study, None, "cpu", 1, [run])[0]).state == "done"
        patch.undo()
    return seen


def test_no_hidden_label_can_be_reached_from_what_a_run_hands_out(given: list[tuple[str, object]]) -> None:
    labels = load(Data(name="digits"), None)[1].for_oracle()
    views = [args[0][2] for name, args in given if name == "select"]  # type: ignore[index]
    assert len(views) == 2
    everything = np.arange(len(labels))
    for view in views:
        bought = np.concatenate([view.unlabelled, view.labelled])
        outside = np.setdiff1d(everything, bought)  # test and validation
        hidden = secrets(labels, view.unlabelled[-300:], outside)
        for name, item in given:
            assert not leaks(item, hidden), name


def test_the_oracle_itself_is_what_must_not_be_handed_out(toy_study: Study, tmp_path: Path) -> None:
    """The same walk finds the labels from the oracle, so it would have found them."""
    spec = SessionSpec(
        study=str(tmp_path),
        plan="",
        protocol=toy_study.protocols[0],
        strategy=toy_study.strategies[0],
        seed=0,
        data_root=None,
    )
    with local_oracle(spec, lambda *_: None, lambda _: None) as (data, oracle):
        labels = load(Data(name="digits"), None)[1].for_oracle()
        assert leaks(oracle, secrets(labels))
        assert leaks(oracle.buy, secrets(labels))
        assert not leaks((data.images, data.split), secrets(labels))

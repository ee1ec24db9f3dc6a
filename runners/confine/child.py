"""The life of a strategy's process: confine itself, build the strategy, choose once, end."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from protocol.spec.study import StrategySpec
from runners.confine.declared import Declared, Facts
from runners.confine.views import given_view
from runners.confine.walls import Ground, raise_walls
from runners.confine.wire import ChannelClosed, receive_from_run, send_to_run
from runners.guard.errors import StrategyError
from runners.guard.user_code import Source, user_line
from runners.regimes.training import own_randomness
from runners.strategies.base import Context, Strategy, check_selection
from runners.strategies.resolve import declaring_object, factory, make
from runners.strategies.view import View
from runners.tasks import TASKS

_TEXT: Final = 4000
"""Longest text of a fault or traceback that is told, in characters."""


def live(channel: socket.socket, begin: Mapping[str, Any]) -> None:
    """Serve one round, or one question about a strategy, until the run closes the channel.

    Args:
        channel: connection to the run.
        begin: what the process is given at its start; the fields of `runners.confine.strategy.Cell`.
    """
    if begin["quiet"]:
        _silence()
    ground: Ground = begin["ground"]
    sys.path += [folder for folder in ground.code if folder not in sys.path]
    torch.set_num_threads(begin["threads"])
    seed_everything(begin["seed"])
    walls = raise_walls(ground)
    send_to_run(channel, {"walls": walls.facts()})
    with contextlib.suppress(EOFError, ChannelClosed, BrokenPipeError):
        _serve(_Mind(channel, begin["spec"], begin["source"], begin["task"], begin["regions"], begin["device"]))


def seed_everything(seed: int) -> None:
    """Seed the global generators, so that code which uses them chooses the same again."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the user's code may draw from it
    torch.default_generator.manual_seed(seed)


def _silence() -> None:
    """Send what the strategy prints nowhere: it may steer a terminal."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _serve(mind: _Mind) -> None:
    while True:
        message = receive_from_run(mind.channel)
        try:
            answer, arrays = getattr(mind, "do_" + message.pop("op"))(**message)
        except (EOFError, ChannelClosed, KeyboardInterrupt):
            raise
        except BaseException as error:
            answer, arrays = _told(error), {}
        send_to_run(mind.channel, answer, arrays)


def _told(error: BaseException) -> dict[str, Any]:
    """Return a failure as JSON: its faults, or a single one for what the strategy raised."""
    details = "".join(traceback.format_exception(error))[-_TEXT:]
    if isinstance(error, InputError | StrategyError):
        faults = [[f.where, f.expected, f.found, f.fix] for f in error.faults[:20]]
        faults = [[part[:_TEXT] for part in fault] for fault in faults]
        return {
            "failed": "input" if isinstance(error, InputError) else "strategy",
            "faults": faults,
            "details": details,
        }
    found = f"{type(error).__name__}: {error}{user_line(error)}"[:_TEXT]
    return {"failed": "raised", "faults": [["", "", found, ""]], "details": details}


class _Mind:
    """The strategy of one round, built when it is first needed, and the questions that it may ask the run."""

    def __init__(
        self,
        channel: socket.socket,
        spec: StrategySpec,
        source: Source | None,
        task: str | None,
        regions: bool,
        device: str,
    ) -> None:
        self.channel, self._spec, self._source, self._task, self._regions = channel, spec, source, task, regions
        self._device = torch.device(device)
        self._strategy: Strategy | None = None

    @property
    def _built(self) -> Strategy:
        if self._strategy is None:
            strategy = make(self._spec, self._source)
            if self._task is not None:
                strategy = TASKS[self._task].adapt_or_refuse(strategy, self._spec.id, regions=self._regions)
            self._strategy = strategy
        return self._strategy

    def do_declare(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Build the strategy and tell what it declares."""
        return {"declared": Declared.of(self._built).model_dump(mode="json")}, {}

    def do_facts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Tell what its source says about it, without building it."""
        builder = factory(self._spec, self._source)
        return {"facts": Facts.of(builder, declaring_object(self._spec, builder)).model_dump(mode="json")}, {}

    def do_score(
        self, samples: NDArray[Any], places: NDArray[Any] | None, count: int
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Score predicted maps; see `MapStrategy`."""
        strategy: Any = self._built
        drawn = torch.from_numpy(samples).to(self._device)
        with torch.no_grad():
            if places is None:
                scores = strategy.score_maps(drawn)
            else:
                scores = strategy.score_regions(drawn, torch.from_numpy(places).to(self._device), count)
        return {}, {"scores": scores.detach().cpu().double().numpy()}

    def do_choose(
        self,
        view: dict[str, Any],
        n: int,
        rng: dict[str, Any],
        prepare: int | None,
        state: dict[str, NDArray[Any]] | None,
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Prepare and choose.

        Args:
            view: the round's view, see `runners.confine.views`.
            n: number of units.
            rng: state of the generator.
            prepare: seed of the strategy's own training.
            state: what it kept in the round before; None: nothing.
        """
        strategy, seen = self._built, given_view(view, self._device, self._places)
        if state is not None:
            strategy.restore(state)
        if prepare is not None:
            with own_randomness(prepare, self._device):
                strategy.prepare(self._context(seen), torch.Generator().manual_seed(prepare))
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = rng
        chosen = check_selection(strategy.select(seen, n, generator), seen, n, self._spec.id)
        kept = strategy.state()
        arrays = {f"state {name}": np.asarray(array) for name, array in (kept or {}).items()}
        return {"keeps": kept is not None}, {"selection": chosen, **arrays}

    def _context(self, view: View) -> Context:
        return Context(view, self._device, self._network, self._scaled, self._retrained)

    def _ask(self, question: str, **arrays: NDArray[Any]) -> dict[str, Any]:
        send_to_run(self.channel, {"ask": question}, arrays)
        answer = receive_from_run(self.channel)
        if fault := answer.get("fault"):
            raise StrategyError(Fault(*fault))
        return answer

    def _places(self, images: Indices) -> NDArray[Any]:
        places: NDArray[Any] = self._ask("places", images=np.asarray(images, np.int64))["places"]
        return places

    def _network(self) -> nn.Module:
        network: nn.Module = self._ask("network")["network"]
        return network.to(self._device).eval()

    def _scaled(self, images: Tensor) -> Tensor:
        answer = self._ask("scaled", images=images.detach().cpu().numpy())
        return torch.from_numpy(answer["scaled"]).to(self._device)

    def _retrained(self, indices: Indices, labels: NDArray[np.int64]) -> _Predictor:
        given = {"indices": np.asarray(indices, np.int64), "labels": np.asarray(labels, np.int64)}
        return _Predictor(self, int(self._ask("retrained", **given)["number"]))

    def predict(self, number: int, indices: Indices) -> Tensor:
        """Return the probabilities of a retrained classifier, shape (j, k)."""
        answer = self._ask("predict", number=np.asarray([number]), indices=np.asarray(indices, np.int64))
        return torch.from_numpy(answer["probabilities"]).to(self._device)


class _Predictor:
    """A classifier that the run trained for the strategy: pool indices (j,) to probabilities (j, k)."""

    def __init__(self, mind: _Mind, number: int) -> None:
        self._mind, self._number = mind, number

    def __call__(self, indices: Indices) -> Tensor:
        return self._mind.predict(self._number, indices)


def descriptors_but(*kept: int) -> Iterator[int]:
    """Yield the open descriptors of this process but the standard ones and `kept`."""
    folder = Path("/proc/self/fd")
    for entry in (folder if folder.is_dir() else Path("/dev/fd")).iterdir():
        if int(entry.name) > 2 and int(entry.name) not in kept:
            yield int(entry.name)

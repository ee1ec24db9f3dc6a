"""A strategy in a process of its own, as the run that asks it sees it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import BeatRandomError, Fault, InputError
from protocol.spec.study import StrategySpec
from runners.confine.declared import Declared, Facts, checked
from runners.confine.server import RoundProcess, StrategyServer
from runners.confine.views import packed_view, true_indices
from runners.confine.walls import Ground
from runners.confine.wire import Answer, ChannelClosed, receive_from_child, send_to_child
from runners.features.opaque_ids import OpaqueIds
from runners.guard.errors import StrategyError
from runners.guard.user_code import Source
from runners.strategies.base import Context, Strategy
from runners.strategies.on_maps import MapStrategy
from runners.strategies.view import View

ROUND_SECONDS: Final = 6 * 3600.0
"""Longest time for one answer in a round; `--timeout` limits whole runs."""
QUESTION_SECONDS: Final = 300.0
"""Longest time for a strategy to be imported and to tell what it declares."""
MOST_STATE: Final = 2**20
"""Largest state that is kept between rounds, in bytes."""
_MOST_ASKED: Final = 2**30
"""Largest question of a strategy to its run, in bytes."""


@dataclass(frozen=True)
class Cell:
    """Everything that the process of a strategy is given at its start.

    Attributes:
        spec: name and arguments.
        source: source of a user's file; None: a module of an installed package.
        task: task that it must serve; None: any.
        regions: whether regions are queried.
        ground: what it may open.
        threads: threads of its arithmetic.
        device: device of its tensors.
        seed: seed of the global generators, which a strategy should not use.
        quiet: whether what it prints is dropped.
    """

    spec: StrategySpec
    source: Source | None
    ground: Ground
    task: str | None = None
    regions: bool = False
    threads: int = 1
    device: str = "cpu"
    seed: int = 0
    quiet: bool = False


class Conversation:
    """One process of the strategy, from its start to its end."""

    def __init__(self, server: StrategyServer, cell: Cell) -> None:
        self._server, self._name = server, cell.spec.id
        self._process: RoundProcess | None = None
        self._walls: Mapping[str, Any] | None = None
        try:
            self._process = server.begin(
                pickle.dumps({name: getattr(cell, name) for name in Cell.__dataclass_fields__})
            )
        except ChannelClosed as error:
            raise self._ended(error) from None

    def walls(self) -> Mapping[str, Any]:
        """Return the walls that stand around the process, after waiting for them. Raises as `ask`."""
        try:
            if self._walls is None and self._process is not None:
                told = receive_from_child(self._process.channel, 0, QUESTION_SECONDS).head.get("walls")
                self._walls = told if isinstance(told, dict) else {}
            return self._walls or {}
        except ChannelClosed as error:
            raise self._ended(error) from None

    def ask(self, op: str, most_bytes: int, seconds: float, **values: Any) -> Answer:
        """Send a request; return the answer that follows.

        Raises:
            InputError: the strategy cannot be used; it says why.
            StrategyError: it failed, or its answer is not well-formed.
        """
        if self._process is None:
            raise StrategyError(Fault(f"strategy {self._name}", "a process", "it has ended"))
        self.walls()  # the first message of the process
        try:
            send_to_child(self._process.channel, {"op": op, **values})
            return self._receive(most_bytes, seconds)
        except ChannelClosed as error:
            raise self._ended(error) from None

    def reply(self, **values: Any) -> None:
        """Answer a question of the strategy."""
        if self._process is not None:
            send_to_child(self._process.channel, values)

    def receive(self, most_bytes: int, seconds: float) -> Answer:
        """Receive the next message. Raises as `ask`."""
        try:
            return self._receive(most_bytes, seconds)
        except ChannelClosed as error:
            raise self._ended(error) from None

    def _receive(self, most_bytes: int, seconds: float) -> Answer:
        if self._process is None:
            raise ChannelClosed("")
        answer = receive_from_child(self._process.channel, max(most_bytes, _MOST_ASKED), seconds)
        if "failed" in answer.head:
            raise _failure(answer.head, self._name)
        return answer

    def _ended(self, error: ChannelClosed) -> StrategyError:
        process, self._process = self._process, None
        how = self._server.ended(process) if process is not None and not str(error) else ""
        if process is not None and str(error):
            self._server.end(process)
        how = how or str(error) or "it closed the channel"
        fix = "see what it prints in the run's log; a strategy must return, not end its process"
        return StrategyError(Fault(f"strategy {self._name}", "an answer", f"its process ended: {how}", fix))

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is not None:
            self._server.end(process)


class _Traceback(Exception):
    """Traceback in the strategy's process; the record keeps it as the cause of the failure."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _failure(head: Mapping[str, Any], name: str) -> BeatRandomError:
    """Return the error that the strategy's process told, with its traceback as the cause."""
    faults = head.get("faults")
    if not isinstance(faults, list) or not all(
        isinstance(f, list) and len(f) == 4 and all(isinstance(part, str) for part in f) for f in faults
    ):
        return StrategyError(Fault(f"strategy {name}", "faults of four texts", repr(faults)[:200]))
    told = [Fault(*fault) for fault in faults[:20]]
    error: BeatRandomError
    if head["failed"] == "raised":
        fix = "fix the strategy; the full traceback is in events.jsonl"
        found = told[0].found if told else "nothing"
        error = StrategyError(Fault(f"strategy {name}", "a strategy that does not raise", found, fix))
    else:
        error = InputError(told) if head["failed"] == "input" else StrategyError(told)
    error.__cause__ = _Traceback(str(head.get("details", ""))[:8000])
    return error


class ConfinedStrategy(Strategy):
    """Strategy whose code runs in a process of its own, a new one for each round.

    Args:
        server: forks its processes.
        cell: what they are given.
        declared: what it declares.
        ids: the ids that it sees; None: regions, which keep their numbers.
        twice: whether to ask every question in two processes and refuse different answers.
    """

    def __init__(
        self,
        server: StrategyServer,
        cell: Cell,
        declared: Declared,
        ids: OpaqueIds | None,
        *,
        twice: bool = False,
    ) -> None:
        self._server, self._cell, self._ids, self._twice = server, cell, ids, twice
        self.kept: Mapping[str, NDArray[Any]] | None = None
        self.needs = declared.known_needs()  # type: ignore[misc]  # per object, not per class
        self.tasks = declared.tasks  # type: ignore[misc]  # as above
        self.cold_start = declared.cold_start  # type: ignore[misc]  # as above
        self.sees_order = declared.sees_order  # type: ignore[misc]  # as above
        self.least = declared.least  # type: ignore[misc]  # as above
        self.estimation, self.aggregation = declared.as_estimation(), declared.as_aggregation()
        self._context: tuple[Context, int] | None = None
        self._open: Conversation | None = None

    @contextmanager
    def in_round(self) -> Iterator[None]:
        """Open a process for one round, when it is first needed, and end it with all that it started."""
        try:
            yield
        finally:
            self._close()
            self._context = None

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _conversation(self) -> Conversation:
        if self._open is None:
            self._open = Conversation(self._server, self._cell)
        return self._open

    def prepare(self, context: Context, generator: torch.Generator) -> None:
        """Keep the context and the seed; the strategy prepares in its process, before it selects."""
        self._context = (context, generator.initial_seed())

    def state(self) -> Mapping[str, NDArray[Any]] | None:
        """Return what the strategy kept in the last round."""
        return self.kept

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Give back what the strategy kept in the round before."""
        self.kept = state

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the indices that the strategy selects by their ids.

        Raises:
            StrategyError: it failed, its answer is not well-formed, or, if asked twice, its answers differ.
        """
        where = f"selection of {self._cell.spec.id}, round {view.round}"
        state = rng.bit_generator.state
        selection, kept = self._choose(view, n, state)
        if self._twice and not np.array_equal(selection, again := self._choose(view, n, state)[0]):
            fix = "draw every random number from the generator that it is given"
            differ = int((selection != again).sum()) if selection.shape == again.shape else len(selection)
            found = f"{differ} of {len(selection)} differ"
            raise StrategyError(Fault(where, "the same selection when asked twice", found, fix))
        self.kept = kept
        return true_indices(self._ids, selection, where)

    def _choose(
        self, view: View, n: int, rng: Mapping[str, Any]
    ) -> tuple[NDArray[Any], Mapping[str, NDArray[Any]] | None]:
        """Return what one process selects and keeps; it is ended."""
        try:
            return self._chosen(self._conversation(), view, n, rng)
        finally:
            self._close()

    def _chosen(
        self, talk: Conversation, view: View, n: int, rng: Mapping[str, Any]
    ) -> tuple[NDArray[Any], Mapping[str, NDArray[Any]] | None]:
        context, seed = self._context or (None, None)
        values = {"view": packed_view(view, self._ids), "n": n, "rng": rng, "prepare": seed, "state": self.kept}
        answer = talk.ask("choose", MOST_STATE + 8 * n + 2**16, ROUND_SECONDS, **values)
        services = _Services(context, self._ids)
        while "ask" in answer.head:
            talk.reply(**services.serve(str(answer.head["ask"]), answer.arrays))
            answer = talk.receive(MOST_STATE + 8 * n + 2**16, ROUND_SECONDS)
        kept = {name.removeprefix("state "): a for name, a in answer.arrays.items() if name.startswith("state ")}
        if (size := sum(a.nbytes for a in kept.values())) > MOST_STATE:
            found, fix = f"{size} bytes", "remember less, or compute it again from the view"
            raise StrategyError(Fault(f"state of {self._cell.spec.id}", f"at most {MOST_STATE} bytes", found, fix))
        selection = answer.arrays.get("selection")
        if selection is None:
            raise StrategyError(
                Fault(f"strategy {self._cell.spec.id}", "an array 'selection'", str(list(answer.arrays)))
            )
        return selection, kept if answer.head.get("keeps") is True else None


class ConfinedMapStrategy(ConfinedStrategy, MapStrategy):
    """Confined strategy that scores the pixels of predicted maps."""

    def score_pixels(self, samples: Tensor) -> Tensor:  # noqa: ARG002  # the contract's
        """Refuse: pixels are scored and aggregated in the strategy's process."""
        raise TypeError("expected score_maps or score_regions: pixels are scored in the strategy's process")

    def score_maps(self, samples: Tensor) -> Tensor:
        """Return scores of images, shape (b,)."""
        return self._scores(samples, None, len(samples))

    def score_regions(self, samples: Tensor, places: Tensor, count: int) -> Tensor:
        """Return scores of regions, shape (count,)."""
        return self._scores(samples, places, count)

    def _scores(self, samples: Tensor, places: Tensor | None, count: int) -> Tensor:
        values = {"samples": samples.cpu().numpy(), "places": None if places is None else places.cpu().numpy()}
        answer = self._conversation().ask("score", 8 * count + 2**16, ROUND_SECONDS, **values, count=count)
        scores = answer.arrays.get("scores", np.empty(0))
        if scores.shape != (count,) or scores.dtype != np.float64:
            found = f"{scores.dtype} of shape {scores.shape}"
            raise StrategyError(Fault(f"strategy {self._cell.spec.id}: scores", f"{count} numbers", found))
        return torch.from_numpy(scores).float().to(samples.device)


class _Services:
    """What a strategy may ask its run for while it prepares and selects; see `Context`."""

    def __init__(self, context: Context | None, ids: OpaqueIds | None) -> None:
        self._context, self._ids = context, ids
        self._retrained: list[Callable[[Indices], Tensor]] = []

    def serve(self, question: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Return the answer, or a fault if the question makes no sense."""
        try:
            if self._context is None or question not in ("network", "scaled", "retrained", "predict", "places"):
                raise StrategyError(Fault("question of the strategy", "one that its context offers", question[:100]))
            answer: dict[str, Any] = getattr(self, f"_{question}_for")(self._context, arrays)
            return answer
        except BeatRandomError as error:
            fault = error.faults[0]
            return {"fault": (fault.where, fault.expected, fault.found, fault.fix)}
        except (KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
            return {"fault": (f"question {question}", "arrays that fit", f"{type(error).__name__}: {error}", "")}

    def _network_for(self, context: Context, _: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        return {"network": context.network().cpu()}

    def _places_for(self, context: Context, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        division = context.view.division
        if division is None or division.maps is None:
            raise StrategyError(Fault("regions of images", "a protocol that sells regions", "whole images"))
        return {"places": division.maps(arrays["images"])}

    def _scaled_for(self, context: Context, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        images = torch.from_numpy(arrays["images"]).to(context.device)
        return {"scaled": context.scaled(images).detach().cpu().numpy()}

    def _retrained_for(self, context: Context, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        indices = true_indices(self._ids, arrays["indices"], "indices to train with")
        if strange := np.setdiff1d(indices, context.view.unlabelled).tolist():
            raise StrategyError(Fault("indices to train with", "unlabelled members of the pool", str(strange[:5])))
        self._retrained.append(context.retrained(indices, arrays["labels"]))
        return {"number": len(self._retrained) - 1}

    def _predict_for(self, _: Context, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        predict = self._retrained[int(arrays["number"][0])]
        indices = true_indices(self._ids, arrays["indices"], "indices to predict")
        return {"probabilities": predict(indices).detach().cpu().numpy()}


def facts_of(server: StrategyServer, cell: Cell) -> Facts:
    """Return what a strategy says about itself. Raises InputError, also for a process that ended."""
    return checked(Facts, _told(server, cell, "facts", "facts"), f"strategy {cell.spec.name}")


def declared_by(server: StrategyServer, cell: Cell) -> Declared:
    """Build a strategy in its process; return what it declares.

    Raises:
        InputError: it cannot be built, or does not serve the task.
        StrategyError: its process ended, or its answer is not well-formed.
    """
    return checked(Declared, _told(server, cell, "declare", "declared"), f"strategy {cell.spec.name}")


def _told(server: StrategyServer, cell: Cell, question: str, key: str) -> object:
    """Return what a new process answers to one question."""
    talk = Conversation(server, cell)
    try:
        return talk.ask(question, 0, QUESTION_SECONDS).head.get(key)
    finally:
        talk.close()

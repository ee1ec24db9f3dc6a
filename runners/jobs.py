"""One run from its plan to its sealed record: start, continue after an interruption, count a failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from protocol.canonical import array_digest
from protocol.errors import BeatRandomError, Fault, RecordError, RunLocked
from protocol.events import DataCard, EndEvent, FailureEvent, LabelsEvent, ResumeEvent, RoundEvent, RunEvent, SplitCard
from protocol.folders import StudyFolder, write_arrays
from protocol.oracle import Oracle, Purpose
from protocol.record import Record, Writer, writing
from protocol.seeds import stream_seeds
from protocol.spec import Protocol, StrategySpec
from protocol.splits import Indices, Split, make_split
from runners.datasets import Images, load
from runners.loop import Outcome, rounds
from runners.regimes import Resident
from runners.strategies.own import make

Progress = Callable[[int], None]
"""Called with the number of whole rounds."""


@dataclass(frozen=True)
class Job:
    """Everything a process needs to make one run; picklable."""

    study: Path
    plan: str
    protocol: Protocol
    strategy: StrategySpec
    seed: int
    strategy_file: Path | None = None
    data_root: Path | None = None
    device: str = "cpu"
    threads: int = 1
    environment: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """Readable id, e.g. digits-plain/entropy/seed-3."""
        return f"{self.protocol.name}/{self.strategy.id}/seed-{self.seed}"


@dataclass(frozen=True)
class Result:
    """How a job ended: done, failed (with what to say), or busy elsewhere."""

    id: str
    state: Literal["done", "failed", "busy"]
    message: str = ""


def perform(job: Job, progress: Progress = lambda _: None) -> Result:
    """Make the run, or what is missing of it. Never raises for what belongs to this run alone."""
    folder = StudyFolder(job.study).run(job.protocol.name, job.strategy.id, job.seed)
    try:
        with writing(folder) as (writer, before):
            if before is not None and before.sealed:
                return Result(job.id, "done")
            try:
                _continue(job, writer, before, progress)
            except Exception as error:
                _keep_failure(writer, folder.path, error)
                raise
    except RunLocked as error:
        return Result(job.id, "busy", str(error))
    except BeatRandomError as error:
        return Result(job.id, "failed", str(error))
    except OSError as error:
        return Result(job.id, "failed", f"{folder.path}\n  expected: to write the record\n  found:    {error}")
    except Exception as error:  # a fault of training code costs this run only; its traceback is in the record
        return Result(job.id, "failed", f"{type(error).__name__}: {error} (traceback in {folder.events})")
    return Result(job.id, "done")


def _keep_failure(writer: Writer, folder: Path, error: Exception) -> None:
    if isinstance(error, OSError | RecordError) or not writer.started:
        return  # the disk failed, the record is another run's, or there is no run yet to have failed
    done = len(list((folder / "predictions").glob("round-*.npz")))
    trace = "".join(traceback.format_exception(error))[-4000:]
    writer.append(FailureEvent(round=done, kind=type(error).__name__, message=str(error)[:2000], details=trace))


def _continue(job: Job, writer: Writer, before: Record | None, progress: Progress) -> None:
    torch.set_num_threads(job.threads)
    protocol = job.protocol
    images, labels = load(protocol.data, job.data_root)
    split = make_split(protocol, job.seed, images.train_size, images.test_size)
    targets = labels.for_oracle()

    def ledger(purpose: Purpose, indices: Indices, cost_before: int, cost_after: int) -> None:
        writer.append(LabelsEvent(purpose=purpose, indices=tuple(indices.tolist()), before=cost_before, after=cost_after))

    oracle = Oracle(protocol, job.seed, split, targets, ledger)
    start = _run_event(job, images, split, array_digest(targets[split.test]))
    first = 0
    if before is None:
        _keep_split(job, split, targets[split.test])
        writer.append(start)
    else:
        first = _restore(job, start, before, writer, oracle)
    oracle.start()
    progress(first)
    resident = Resident.of(images, torch.device(job.device))
    strategy = make(job.strategy, job.strategy_file)
    for outcome in rounds(protocol, strategy, job.strategy.id, job.seed, images, split, oracle, resident, first):
        digest = writer.folder.write_predictions(outcome.round, outcome.predicted, outcome.log_probabilities)
        writer.append(_round_event(protocol, outcome, digest))
        progress(outcome.round + 1)
    writer.append(EndEvent(rounds=len(protocol.budgets)))


def _run_event(job: Job, images: Images, split: Split, targets: str) -> RunEvent:
    sizes = {"pool": len(split.pool), "validation": len(split.validation), "test": len(split.test)}
    return RunEvent(
        protocol=job.protocol,
        fingerprint=job.protocol.fingerprint,
        study=job.plan,
        strategy=job.strategy,
        replicate=job.seed,
        seeds=stream_seeds(job.protocol.root_seed, job.seed),
        data=DataCard(name=images.name, digest=images.digest, images=len(images.pixels), classes=len(images.classes)),
        split=SplitCard(digest=split.digest, targets=targets, **sizes),
        environment=dict(job.environment),
    )


def _keep_split(job: Job, split: Split, targets: np.ndarray[Any, Any]) -> None:
    path = StudyFolder(job.study).split(split.digest)
    if not path.exists():  # the same for every strategy of the seed; two writers write equal bytes
        write_arrays(path, {"pool": split.pool, "validation": split.validation, "test": split.test, "targets": targets})


def _restore(job: Job, start: RunEvent, before: Record, writer: Writer, oracle: Oracle) -> int:
    there = before.run
    same = ("fingerprint", "study", "strategy", "replicate", "seeds", "data", "split")
    if there is None or any(getattr(there, key) != getattr(start, key) for key in same):
        differ = [key for key in same if there is None or getattr(there, key) != getattr(start, key)]
        raise RecordError(
            Fault(str(before.path), "a record of this very run", f"other {', '.join(differ)}", "use another --out; nothing was overwritten")
        )
    for purchase in before.of(LabelsEvent):
        oracle.restore(purchase.purpose, np.asarray(purchase.indices, np.int64))
    done = before.rounds
    writer.append(ResumeEvent(next_round=len(done), dropped_bytes=before.torn_bytes, environment=dict(job.environment)))
    bought = sum(p.purpose == "query" for p in before.of(LabelsEvent))
    if done and bought < len(done) and done[-1].query:  # killed between the round and its purchase
        oracle.buy(np.asarray(done[-1].query, np.int64))
    return len(done)


def _round_event(protocol: Protocol, outcome: Outcome, predictions: str) -> RoundEvent:
    k, fitted = outcome.round, outcome.fit
    return RoundEvent(
        round=k,
        budget=protocol.budgets[k],
        training_labels=protocol.training_labels[k],
        metrics=outcome.metrics,
        validation=fitted.validation,
        steps=fitted.steps,
        initial_weights=fitted.initial_weights,
        recipe=fitted.recipe,
        predictions=predictions,
        probabilities="" if outcome.log_probabilities is None else array_digest(outcome.log_probabilities),
        query=tuple(outcome.query.tolist()),
        extra=fitted.extra,
        cost=outcome.cost,
    )

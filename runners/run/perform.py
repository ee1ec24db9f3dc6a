"""One run from its plan to its sealed record: start, continue after an interruption, count a failure."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path
from typing import Final

import numpy as np
import torch

from protocol.digests import array_digest
from protocol.draws.splits import Indices
from protocol.errors import BeatRandomError, Fault, RecordError, RunLocked
from protocol.oracle.oracle import Seller
from protocol.record.chain import Record, Writer, writing
from protocol.record.events import (
    DisclosureEvent,
    EndEvent,
    FailureEvent,
    LabelsEvent,
    ResumeEvent,
    RoundEvent,
    RunEvent,
    TrialEvent,
)
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from runners.guard.audit_hook import asked, between, guarding
from runners.loop import Outcome, rounds
from runners.progress.job import FULL, Cause, Job, Progress, Result, Stopped
from runners.regimes import Resident, prepare
from runners.regimes.tuner import Tuner
from runners.run.initial_query import own_start
from runners.run.session import Order, here, isolated, refuse_another_run, run_event
from runners.run.warm_start import Training, forget, keep, resumed
from runners.strategies.resolve import make

_TRAINING: Final = threading.Lock()
"""Weights and dropout are drawn from torch's own random state, which is the process's: threads that trained at
the same time would draw from one another's."""


def perform(job: Job, progress: Progress = lambda *_: None) -> Result:
    """Make the run, or what is missing of it. Never raises for what belongs to this run alone.

    Threads of one process take turns, so that each run gives the bytes it gives alone; processes train side by side.
    """
    folder = StudyFolder(job.study).run(job.run)
    try:
        with writing(folder) as (writer, before):
            if before is not None and before.sealed:
                return Result(job.id, "done")
            try:
                with _TRAINING:
                    _continue(job, writer, before, progress)
            except Exception as error:
                _keep_failure(writer, folder.path, error)
                raise
    except Stopped:
        return Result(job.id, "stopped")
    except RunLocked as error:
        return Result(job.id, "busy", str(error))
    except BeatRandomError as error:
        return Result(job.id, "failed", str(error))
    except OSError as error:
        cause: Cause = "disk" if error.errno in FULL else "machine"
        return Result(
            job.id,
            "failed",
            f"{folder.path}\n  expected: to read the data and write the record\n  found:    {error}",
            cause,
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        return Result(job.id, "failed", f"out of memory: {error} (traceback in {folder.events})", "machine")
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

    def kept(trial: TrialEvent) -> None:
        writer.append(trial)
        progress(trial.round, trial.trial + 1)

    def told(indices: Indices) -> None:
        with between():
            writer.append(DisclosureEvent(count=len(indices), images=array_digest(indices)))

    order = Order(
        study=str(job.study),
        plan=job.plan,
        protocol=protocol,
        strategy=job.strategy,
        seed=job.seed,
        data_root=job.data_root,
    )
    with (
        (isolated if job.isolate else here)(order, writer.append, told) as market,
        guarding(market.files, StudyFolder(job.study).evidence),
    ):
        start = run_event(order, market, {**dict(job.environment), "isolated": job.isolate})
        first = 0
        if before is None:
            writer.append(start)
        else:
            first = _restore(job, start, before, writer, market.seller)
        if protocol.splits.initial != "strategy":
            market.seller.start()
        trials = before.of(TrialEvent) if before else []
        progress(first, sum(trial.round == first for trial in trials))
        raw = Resident.of(market.images, torch.device(job.device))
        images, resident = prepare(
            protocol, market.images, raw, market.split.pool, StudyFolder(job.study), data_root=job.data_root
        )
        with asked(f"strategy {job.strategy.id}, as it is imported"):
            strategy = make(job.strategy, job.strategy_file)
        name, split, seller = job.strategy.id, market.split, market.seller
        if protocol.splits.initial == "strategy":
            seller.start(own_start(protocol, job.strategy, strategy, job.seed, images, seller, resident))
        tuner = Tuner(job.seed, trials, kept)
        ended = resumed(
            writer.folder,
            before.rounds if before else (),
            Training(protocol, job.seed, images, seller, resident, tuner),
        )
        for outcome in rounds(
            protocol,
            strategy,
            name,
            job.seed,
            images,
            split,
            seller,
            resident,
            first,
            job.tables,
            ended,
            market.division,
            tuner,
        ):
            _put_down(writer, protocol, outcome, seller)
            progress(outcome.round + 1, 0)
        forget(writer.folder)
        writer.append(EndEvent(rounds=len(protocol.budgets)))


def _restore(job: Job, start: RunEvent, before: Record, writer: Writer, oracle: Seller) -> int:
    refuse_another_run(before, start)
    if before.run is not None and bool(before.run.environment.get("isolated")) != job.isolate:
        found = "--isolate" if job.isolate else "no --isolate"
        raise RecordError(
            Fault(str(before.path), "the way of selling labels that the run began with", found, "continue as it began")
        )
    for purchase in before.of(LabelsEvent):
        oracle.restore(purchase.purpose, np.asarray(purchase.indices, np.int64))
    done = before.rounds
    oracle.examinations = len(done)
    writer.append(ResumeEvent(next_round=len(done), dropped_bytes=before.torn_bytes, environment=dict(job.environment)))
    bought = sum(p.purpose == "query" for p in before.of(LabelsEvent))
    if done and bought < len(done) < len(job.protocol.budgets):  # killed between the round and its purchase
        oracle.buy(np.asarray(done[-1].query, np.int64))
    return len(done)


def _put_down(writer: Writer, protocol: Protocol, outcome: Outcome, seller: Seller) -> None:
    """A round on the record; what it refers to, and what the next one starts from, first."""
    k, ended = outcome.round, outcome.fit.end
    writer.folder.write_sidecar(k, outcome.examined.sidecar)
    if ended and k + 1 < len(protocol.budgets):
        keep(writer.folder, k, ended)
    writer.append(_round_event(protocol, outcome, seller))
    if ended:
        forget(writer.folder, but=k)


def _round_event(protocol: Protocol, outcome: Outcome, seller: Seller) -> RoundEvent:
    k, fitted = outcome.round, outcome.fit
    return RoundEvent(
        round=k,
        budget=protocol.budgets[k],
        training_labels=len(seller.owned_at(k)),
        metrics=outcome.metrics,
        validation=fitted.validation,
        steps=fitted.steps,
        initial_weights=fitted.initial_weights,
        final_weights=fitted.end.digest if fitted.end else "",
        pretrained=fitted.pretrained,
        recipe=fitted.recipe,
        setting=outcome.setting,
        predictions=outcome.examined.predictions,
        probabilities=outcome.examined.probabilities,
        maps=outcome.examined.maps,
        examined=seller.examinations,
        query=tuple(outcome.query.tolist()),
        extra=fitted.extra,
        cost=outcome.cost,
    )

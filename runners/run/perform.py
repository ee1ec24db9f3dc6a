"""Perform one run, from its plan to its sealed record, across interruptions and failures."""

from __future__ import annotations

import threading
import traceback
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from protocol.digests import array_digest
from protocol.draws.splits import Indices
from protocol.errors import BeatRandomError, Fault, RecordError, RunLocked
from protocol.oracle.oracle import LabelOracle
from protocol.record.chain import Record, Writer, open_record
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
from protocol.record.stored_arrays import read_arrays, stored_arrays
from protocol.spec.protocol import Protocol
from runners.confine.opening import denied_places, is_own, opened_strategy, walls_here
from runners.confine.server import StrategyServer, strategy_server
from runners.guard.user_code import Source
from runners.loop import Outcome, rounds
from runners.progress.job import FULL, Cause, Job, Progress, Result, Stopped
from runners.regimes.tuner import Tuner
from runners.run.initial_query import initial_query
from runners.run.kept_inputs import KeptInputs
from runners.run.open_oracle import SessionSpec, check_same_run, isolated_oracle, local_oracle, run_event
from runners.run.warm_start import last_state, remove_checkpoints, write_checkpoint
from runners.session import Session

_TRAINING: Final = threading.Lock()
"""Weights and dropout are drawn from torch's random state, which all threads share: they must train in turn."""
_KEPT: Final = KeptInputs()


def perform(job: Job, progress: Progress = lambda *_: None, server: StrategyServer | None = None) -> Result:
    """Perform the run, or continue it. Errors of this run alone are returned, not raised.

    Threads of one process take turns, so that each run gives the same bytes as alone; processes train in parallel.

    Args:
        job: the run.
        progress: called after each round and trial.
        server: forks the processes of a strategy that is not built in; None: a new one, if there is such a strategy.
    """
    folder = StudyFolder(job.study).run(job.run)
    try:
        with open_record(folder) as (writer, before):
            if before is not None and before.sealed:
                return Result(job.id, "done")
            try:
                with _TRAINING:
                    _continue(job, writer, before, progress, server)
            except Exception as error:
                _record_failure(writer, folder.path, error)
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
    except Exception as error:  # an error in training code costs this run only; the traceback is in the record
        return Result(job.id, "failed", f"{type(error).__name__}: {error} (traceback in {folder.events})")
    return Result(job.id, "done")


def _record_failure(writer: Writer, folder: Path, error: Exception) -> None:
    if isinstance(error, OSError | RecordError) or not writer.started:
        return  # the disk failed, the record belongs to another run, or no run has begun
    done = len(list((folder / "predictions").glob("round-*.npz")))
    trace = "".join(traceback.format_exception(error))[-4000:]
    writer.append(FailureEvent(round=done, kind=type(error).__name__, message=str(error)[:2000], details=trace))


def _continue(
    job: Job, writer: Writer, before: Record | None, progress: Progress, server: StrategyServer | None
) -> None:
    torch.set_num_threads(job.threads)
    protocol, own = job.protocol, is_own(job.strategy)

    def on_trial(trial: TrialEvent) -> None:
        writer.append(trial)
        progress(trial.round, trial.trial + 1)

    def on_disclosure(indices: Indices) -> None:
        writer.append(DisclosureEvent(count=len(indices), images=array_digest(indices)))

    spec = SessionSpec(
        study=str(job.study),
        plan=job.plan,
        protocol=protocol,
        strategy=job.strategy,
        seed=job.seed,
        data_root=job.data_root,
    )
    shelf = _KEPT.shelf_for(job)
    open_oracle = isolated_oracle if job.isolate else partial(local_oracle, shelf=shelf)
    with ExitStack() as stack:
        data, oracle = stack.enter_context(open_oracle(spec, writer.append, on_disclosure))
        denied = denied_places(job.study, job.data_root, data.files)
        if own and server is None:
            server = stack.enter_context(strategy_server())
        confined = dict(walls_here(server, denied)) if own and server is not None else None
        start = run_event(spec, data, environment_of(job, confined))
        first = 0
        if before is None:
            writer.append(start)
        else:
            first = _restore(job, start, before, writer, oracle)
        if protocol.splits.initial != "strategy":
            oracle.start()
        trials = before.of(TrialEvent) if before else []
        progress(first, sum(trial.round == first for trial in trials))
        images, resident = _KEPT.inputs(job, data)
        strategy = stack.enter_context(
            opened_strategy(
                job.strategy,
                Source.read(job.strategy_file) if job.strategy_file else None,
                protocol,
                job.seed,
                data.images.train_size + data.images.test_size,
                denied=denied,
                server=server,
                threads=job.threads,
                device=job.device,
            )
        )
        session = Session(protocol, job.strategy.id, job.seed, images, data.split, oracle, resident, data.division)
        if protocol.splits.initial == "strategy":
            oracle.start(initial_query(session, job.strategy, strategy))
        if before and before.rounds and (kept := before.rounds[-1].state) is not None:
            strategy.restore(read_arrays(kept))
        tuner = Tuner(job.seed, trials, on_trial)
        state = last_state(writer.folder, before.rounds if before else (), session, tuner)
        for outcome in rounds(session, strategy, first, before=state, tuner=tuner, keep_tables=job.tables):
            _write_round(writer, protocol, outcome, oracle)
            progress(outcome.round + 1, 0)
        remove_checkpoints(writer.folder)
        writer.append(EndEvent(rounds=len(protocol.budgets)))


def environment_of(job: Job, confined: dict[str, Any] | None) -> dict[str, Any]:
    """Return the environment of a run, with the walls around its strategy; None: a built-in strategy."""
    extra = {} if confined is None else {"confined": confined}
    return {**dict(job.environment), "isolated": job.isolate, **extra}


def _restore(job: Job, start: RunEvent, before: Record, writer: Writer, oracle: LabelOracle) -> int:
    """Give the oracle the recorded purchases; return the number of complete rounds."""
    check_same_run(before, start)
    isolated = before.run is not None and bool(before.run.environment.get("isolated"))
    if before.run is not None and isolated != job.isolate:
        words = {True: "--isolate", False: "no --isolate"}
        fix = "continue with the option that the run began with"
        raise RecordError(Fault(str(before.path), words[isolated], words[job.isolate], fix))
    for purchase in before.of(LabelsEvent):
        oracle.restore(purchase.purpose, np.asarray(purchase.indices, np.int64))
    done = before.rounds
    oracle.examinations = len(done)
    writer.append(ResumeEvent(next_round=len(done), dropped_bytes=before.torn_bytes, environment=dict(job.environment)))
    queries = sum(p.purpose == "query" for p in before.of(LabelsEvent))
    if done and queries < len(done) < len(job.protocol.budgets):  # killed between the round and its purchase
        oracle.buy(np.asarray(done[-1].query, np.int64))
    return len(done)


def _write_round(writer: Writer, protocol: Protocol, outcome: Outcome, oracle: LabelOracle) -> None:
    """Write the round's sidecar and checkpoint, then append its event."""
    k, ended = outcome.round, outcome.fit.end
    writer.folder.write_sidecar(k, outcome.examined.sidecar)
    if ended and k + 1 < len(protocol.budgets):
        write_checkpoint(writer.folder, k, ended)
    writer.append(_round_event(protocol, outcome, oracle))
    if ended:
        remove_checkpoints(writer.folder, but=k)


def _round_event(protocol: Protocol, outcome: Outcome, oracle: LabelOracle) -> RoundEvent:
    k, fitted = outcome.round, outcome.fit
    return RoundEvent(
        round=k,
        budget=protocol.budgets[k],
        training_labels=len(oracle.labelled_at(k)),
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
        examined=oracle.examinations,
        query=tuple(outcome.query.tolist()),
        state=None if outcome.state is None else stored_arrays(outcome.state),
        extra=fitted.extra,
        cost=outcome.cost,
    )

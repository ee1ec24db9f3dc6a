"""Check one record, within its study folder or alone."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import Fault, InputError, RecordError
from protocol.record.amendments import read_amendments
from protocol.record.chain import read
from protocol.record.layout import RunFolder, StudyFolder
from protocol.rules.check import Body, evaluate
from protocol.rules.evidence import RunEvidence, planned_run
from protocol.rules.result import Compliance
from protocol.rules.rule import KINDS
from protocol.rules.sidecars import SidecarCache
from protocol.spec.run_id import RunId
from protocol.spec.study import BASELINE, StrategySpec, Study

_DEPTH = 4
"""Folders above a record in a study: records/<protocol>/<strategy>/seed-<n>/."""


def check_record(path: Path) -> Compliance:
    """Check every rule that one record can answer; rules that compare runs cannot be verified.

    Raises:
        InputError: the record cannot be read, does not begin with a 'run' event, or is in a study that did not plan it.
    """
    parents = path.resolve().parents
    root = StudyFolder(parents[_DEPTH]) if len(parents) > _DEPTH else StudyFolder(path.parent)
    if root.plan.exists() and path.resolve().is_relative_to(root.records.resolve()):
        return evaluate(_within(path, root))
    return evaluate(_alone(path))


def _within(path: Path, root: StudyFolder) -> Body:
    study, amendments = root.read_plan(), read_amendments(root)
    plans = frozenset({study.fingerprint, *(a.before.fingerprint for a in amendments)})
    for run_id in study.runs():
        if root.run(run_id).events == path.resolve():
            run = planned_run(root, study, run_id, plans, SidecarCache(root))
            lacks = f"one record; check the whole study ({root.path.name}) for this"
            kinds = KINDS - {"presence", "peers"}
            return Body("record", str(root.path), study, root, iter([run]), 1, kinds, lacks, amendments=amendments)
    raise InputError(
        Fault(
            str(path),
            "a record that the study planned",
            "a record in no plan",
            "check the study folder, which reports unplanned records",
        )
    )


def _alone(path: Path) -> Body:
    try:
        record = read(path)
    except RecordError as error:
        raise InputError(error.faults) from None
    if record.run is None:
        raise InputError(
            Fault(
                str(path),
                "a record, which begins with a 'run' event",
                "none",
                "give an events.jsonl as `run` writes it",
            )
        )
    head = record.run
    strategies = (
        (StrategySpec(name=BASELINE),) if head.strategy.id == BASELINE else (StrategySpec(name=BASELINE), head.strategy)
    )
    study = Study(name=head.protocol.name, protocols=(head.protocol,), strategies=strategies, seeds=(head.replicate,))
    root = StudyFolder(path.parent)
    key = RunId(head.protocol.name, head.strategy.id, head.replicate)
    run = RunEvidence(
        key,
        study,
        head.protocol,
        head.strategy,
        path.parent,
        RunFolder(path.parent),
        record,
        None,
        SidecarCache(root),
        source=path.name,
    )
    run.places = tuple(f"{path.name}:{line}" for line in record.lines)
    kinds = KINDS - {"presence", "peers", "plan", "oracle"}
    return Body(
        "record", str(path.parent), study, root, iter([run]), 1, kinds, "one record alone, without its study folder"
    )

"""What the rules look at: the plan, every planned run's record or its absence, and what else lies there.

A study may have thousands of runs, so records are read one at a time: rules about one run see
`RunEvidence` and let go of it, rules across runs see the small `Facts` kept of each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol.digests import canonical_json, sha256
from protocol.errors import Fault, RecordError
from protocol.record.amendments import Amendment
from protocol.record.chain import Record, read
from protocol.record.events import (
    AnyEvent,
    Event,
    FailureEvent,
    LabelsEvent,
    ResumeEvent,
    RoundEvent,
    RunEvent,
    TrialEvent,
)
from protocol.record.layout import RunFolder, StudyFolder
from protocol.rules.sidecars import SplitEvidence, SplitShelf, read_arrays, read_integers
from protocol.safe_read import content
from protocol.spec.data import FeatureCard
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import BASELINE, StrategySpec, Study
from protocol.spec.units import Units

E = TypeVar("E", bound=Event)

_LARGEST_TAIL: Final = 2**26
_MOST_PIXELS: Final = 2**32
"""Of one image; sums over images then fit int64."""


def _tail(path: Path) -> bytes | None:
    try:
        return content(path, _LARGEST_TAIL)
    except OSError:
        return None


@dataclass
class RunEvidence:
    """One planned run: what was planned, and its record if one can be read (`problem` if it is there but cannot)."""

    key: RunId
    study: Study
    protocol: Protocol
    strategy: StrategySpec
    root: Path
    folder: RunFolder
    record: Record | None
    problem: Fault | None
    shelf: SplitShelf
    plans: frozenset[str] = frozenset()
    """Fingerprints of the plan and of the plans before it that were declared."""
    source: str = ""
    """The file that an imported record comes from; empty for a record of our own."""
    places: tuple[str, ...] = ()
    """Where each event of an imported record stands."""
    given_split: SplitEvidence | None = None
    """The split of an imported record."""
    _predictions: dict[int, NDArray[np.int64] | Fault] = field(default_factory=dict)

    @cached_property
    def path(self) -> str:
        """The record's file, relative to the study folder."""
        return self.source or str(self.folder.events.relative_to(self.root))

    @property
    def run(self) -> RunEvent | None:
        return self.record.run if self.record else None

    def of(self, kind: type[E]) -> list[tuple[str, E]]:
        """(file:line, event) of all events of one kind, in order."""
        return [(where, event) for where, event in self._numbered if isinstance(event, kind)]

    @cached_property
    def _numbered(self) -> list[tuple[str, AnyEvent]]:
        if self.record is None:
            return []
        if self.places:
            return list(zip(self.places, self.record.events, strict=True))
        return [
            (f"{self.path}:{line}", event) for line, event in zip(self.record.lines, self.record.events, strict=True)
        ]

    @cached_property
    def split(self) -> SplitEvidence:
        """The split that the record names."""
        if self.given_split is not None:
            return self.given_split
        if self.run is None:
            return SplitEvidence(problem=Fault(self.path, "a 'run' event that names the split", "none"))
        return self.shelf.get(self.run.split.digest, self.run.split.targets)

    def predictions(self, round_: int) -> NDArray[np.int64] | Fault:
        """Test predictions of one round from the sidecar, shape (n_test,)."""
        if round_ not in self._predictions:
            path = self.folder.predictions(round_)
            arrays = read_integers(path, ("prediction",), str(path.relative_to(self.root)))
            self._predictions[round_] = arrays if isinstance(arrays, Fault) else arrays["prediction"]
        return self._predictions[round_]

    def confusion(self, round_: int) -> NDArray[np.int64] | Fault:
        """Confusion matrices of the test images of one round from the sidecar, shape (n_test, classes, classes), none negative."""
        path = self.folder.predictions(round_)
        name = str(path.relative_to(self.root))
        arrays = read_arrays(path, ("confusion",), name)
        if isinstance(arrays, Fault):
            return arrays
        counts = arrays["confusion"]
        if (
            not isinstance(counts, np.ndarray)
            or counts.ndim != 3
            or counts.dtype.kind not in "iu"
            or counts.shape[1] != counts.shape[2]
        ):
            return Fault(name, "confusion of shape (test images, classes, classes) in integers", "something else")
        if not counts.size or counts.max() > _MOST_PIXELS or counts.min() < 0:
            return Fault(name, f"counts from 0 to {_MOST_PIXELS}", "others, or none")
        return counts.astype(np.int64)

    def maps(self, round_: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | Fault:
        """Places (p,) and predicted maps (p, height, width) of the test images whose maps one round's sidecar keeps."""
        path = self.folder.predictions(round_)
        name = str(path.relative_to(self.root))
        arrays = read_arrays(path, ("place", "map"), name)
        if isinstance(arrays, Fault):
            return arrays
        places, maps = arrays["place"], arrays["map"]
        right = (
            all(isinstance(a, np.ndarray) for a in (places, maps))
            and places.dtype.kind in "iu"
            and maps.dtype == np.uint8
        )
        if not right or places.ndim != 1 or maps.ndim != 3 or not maps.size:
            return Fault(
                name,
                "map of shape (images, height, width) in bytes, and place of shape (images,) in integers",
                "something else",
            )
        return places.astype(np.int64), maps

    def log_probabilities(self, round_: int) -> NDArray[np.float16] | Fault:
        """Test log-probabilities of one round from the sidecar, shape (n_test, classes), each row with a value above -inf."""
        path = self.folder.predictions(round_)
        name = str(path.relative_to(self.root))
        arrays = read_arrays(path, ("log_probability",), name)
        if isinstance(arrays, Fault):
            return arrays
        table = arrays["log_probability"]
        if not isinstance(table, np.ndarray) or table.ndim != 2 or table.dtype != np.float16 or not table.shape[1]:
            return Fault(name, "log_probability of shape (test images, classes) in half precision", "something else")
        if not (table <= 0).all() or not np.isfinite(table.max(1)).all():
            return Fault(name, "logarithms of probabilities", "values that are none")
        return table

    @cached_property
    def units(self) -> Units | Fault:
        """What can be bought, by the sidecar whose digest the record names."""
        if self.run is None or not self.run.data.units:
            return Fault(self.path, "a digest of what can be bought", "nothing recorded")
        return self.shelf.units(self.run.data.units)

    @cached_property
    def torn(self) -> tuple[tuple[str, bytes | None], ...]:
        """(file, bytes) of the torn tails that were set aside when the run went on; None: it cannot be read, or is far too large."""
        try:
            paths = sorted(self.folder.path.glob("events.torn-*"))
        except OSError:
            return ()
        return tuple((str(path.relative_to(self.root)), _tail(path)) for path in paths)

    @cached_property
    def twins(self) -> dict[str, NDArray[np.int64]] | Fault:
        """The sidecar on which images of the data set look alike: `content` and `look`, each (n,)."""
        if self.run is None or not self.run.data.twins:
            return Fault(self.path, "a digest of which images look alike", "nothing recorded")
        return self.shelf.twins(self.run.data.digest, self.run.data.twins)


@dataclass(frozen=True)
class Noted:
    """A value and the file:line it stands at."""

    where: str
    value: str


@dataclass(frozen=True)
class Facts:
    """What is kept of one planned run for the rules that look across runs."""

    key: RunId
    path: str
    present: bool
    readable: bool
    sealed: bool
    has_run: bool
    failures: int
    split: Noted | None
    content: Noted | None
    """Digest of the images and labels."""
    data: Noted | None
    """That, and the digest of what can be bought of them where it is not whole images."""
    encoded: FeatureCard | None
    """Of frozen features from a file: the card that was in it."""
    initial: Noted | None
    chosen: bool
    """Whether the record says that the strategy chose its own starting set."""
    weights: Noted | None
    seeds: Noted | None
    curve: Noted | None
    """All rounds' budgets and metrics, as one digest at the first round's place; None with fewer than two rounds."""
    reached: tuple[tuple[int, float], ...]
    """(budget, metric of the protocol) of random where the protocol has a reference for it; else empty."""
    begun: Noted | None
    """Predictions digest of the first round, where equal beginnings give equal bytes: float32 on a processor; else None."""
    began: str
    """What decides about `begun` besides protocol and seed, as one short digest."""
    environments: tuple[tuple[str, Environment], ...]
    """(file:line, environment) at the start and at every resumption."""
    tuned: Noted | None
    """Settings and scores of the first round's trials, as one digest; None without any."""


Environment = tuple[tuple[str, str], ...]
"""What was told of an environment, flat: ("python", "3.12.1"), ("packages.torch", "2.9.0"), …"""


def flat_environment(told: Mapping[str, Any]) -> Environment:
    """One level of nesting is joined by a dot; everything becomes text."""
    flat: dict[str, str] = {}
    for key, value in told.items():
        inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        flat |= {k: str(v) for k, v in inner.items()}
    return tuple(sorted(flat.items()))


def facts_of(run: RunEvidence) -> Facts:
    """The small remainder of a run's evidence."""
    head = next(iter(run.of(RunEvent)), None)
    rounds = run.of(RoundEvent)
    initial = next(((where, e) for where, e in run.of(LabelsEvent) if e.purpose == "initial"), None)
    began = _beginning(run)
    return Facts(
        key=run.key,
        path=run.path,
        present=run.record is not None or run.problem is not None,
        readable=run.record is not None,
        sealed=run.record is not None and run.record.sealed,
        has_run=run.run is not None or bool(run.source and run.record),
        failures=len(run.of(FailureEvent)),
        split=Noted(head[0], head[1].split.digest) if head else None,
        content=Noted(head[0], head[1].data.digest) if head else None,
        data=Noted(head[0], head[1].data.digest + head[1].data.units) if head else None,
        encoded=head[1].data.encoded if head else None,
        initial=Noted(initial[0], sha256(canonical_json([str(i) for i in sorted(initial[1].indices)])))
        if initial
        else None,
        chosen=initial is not None and initial[1].chosen,
        seeds=Noted(head[0], sha256(repr(sorted(head[1].seeds.items())).encode())) if head else None,
        curve=Noted(rounds[0][0], _curve_digest([e for _, e in rounds])) if len(rounds) > 1 else None,
        reached=_reached(run, [e for _, e in rounds]),
        weights=Noted(rounds[0][0], _weights(rounds[0][1])) if rounds else None,
        begun=Noted(rounds[0][0], rounds[0][1].predictions) if rounds and began else None,
        began=began,
        environments=environments_of(run),
        tuned=_tuned(run),
    )


def _weights(first: RoundEvent) -> str:
    """One digest of what a run's first round started from; empty if its weights were not recorded."""
    body = first.pretrained if first.initial_weights else ""
    return sha256(f"{body} {first.initial_weights}".encode()) if body else first.initial_weights


_MACHINE: Final = frozenset({"python", "commit", "platform", "device", "device_name", "threads"})


def _beginning(run: RunEvidence) -> str:
    """What a first round's predictions come from: labels in their order, weights, recipe, and where it was trained; empty if that is not known
    or does not give equal bytes."""
    bought: list[tuple[int, ...]] = []
    machine: dict[str, str] = {}
    for _, event in run.of(Event):
        if isinstance(event, LabelsEvent):
            bought.append(event.indices)
        elif isinstance(event, RunEvent | ResumeEvent):
            machine = {
                k: v for k, v in flat_environment(event.environment) if k in _MACHINE or k.startswith("packages.")
            }
        elif isinstance(event, RoundEvent):
            exact = machine.get("device") == "cpu" and run.protocol.regime.precision == "float32"
            told = [
                bought,
                sorted(machine.items()),
                _weights(event),
                event.recipe,
                sorted(event.setting.items()),
                event.steps,
            ]
            return sha256(repr(told).encode())[:12] if exact and machine.keys() >= _MACHINE else ""
    return ""


def _tuned(run: RunEvidence) -> Noted | None:
    trials = [(where, e) for where, e in run.of(TrialEvent) if e.round == 0]
    told = [[sorted(e.setting.items()), sorted(e.validation.items())] for _, e in trials]
    return Noted(trials[0][0], sha256(repr(told).encode())) if trials else None


def _reached(run: RunEvidence, rounds: list[RoundEvent]) -> tuple[tuple[int, float], ...]:
    if run.protocol.reference is None or run.strategy.id != BASELINE:
        return ()
    return tuple((e.budget, e.metrics[run.protocol.metric]) for e in rounds if run.protocol.metric in e.metrics)


def environments_of(run: RunEvidence) -> tuple[tuple[str, Environment], ...]:
    """(file:line, environment) of the start and of every resumption."""
    return tuple(
        (where, flat_environment(e.environment)) for where, e in run.of(Event) if isinstance(e, RunEvent | ResumeEvent)
    )


def _curve_digest(rounds: list[RoundEvent]) -> str:
    return sha256(repr([(e.budget, sorted(e.metrics.items())) for e in rounds]).encode())


@dataclass(frozen=True)
class StudyEvidence:
    """The plan, the facts of every planned run (present or not), and run folders that nobody planned."""

    folder: StudyFolder
    study: Study
    facts: tuple[Facts, ...]
    extra: tuple[str, ...]
    source: str = "study.json"
    """Where the plan stands."""
    amendments: tuple[Amendment, ...] = ()


def planned_runs(folder: StudyFolder, study: Study, plans: frozenset[str]) -> Iterator[RunEvidence]:
    """Every planned run, one at a time, runs of the same split next to each other."""
    shelf = SplitShelf(folder)
    for run in study.runs(by_seed=True):
        yield planned_run(folder, study, run, plans, shelf)


def planned_run(folder: StudyFolder, study: Study, run: RunId, plans: frozenset[str], shelf: SplitShelf) -> RunEvidence:
    """One planned run, whether it is there or not."""
    at = folder.run(run)
    record, problem = _read_record(at)
    if link := next((place for place in (at.events, at.path, *at.path.parents[:3]) if place.is_symlink()), None):
        # evidence that lies elsewhere can be exchanged without a trace here, and no seal covers it
        record, problem = (
            None,
            Fault(str(link), "a file or folder of its own", "a link", "put what it points at in its place"),
        )
    protocol, strategy = study.protocol(run.protocol), study.strategy(run.strategy)
    return RunEvidence(run, study, protocol, strategy, folder.path, at, record, problem, shelf, plans)


def _read_record(folder: RunFolder) -> tuple[Record | None, Fault | None]:
    if not os.path.exists(folder.events):  # noqa: PTH110 - Path.exists raises where a folder may not be entered
        return None, None
    try:
        return read(folder.events), None
    except RecordError as error:
        return None, error.faults[0]


def unplanned_runs(folder: StudyFolder, study: Study) -> tuple[str, ...]:
    """Folders under records/ that hold a record, or lie where a run would lie, and are in no plan; relative paths, sorted."""
    planned = {folder.run(run).path for run in study.runs()}
    depth = len(folder.records.parts) + 3
    found = []
    for place, inner, files in os.walk(folder.records):
        here = Path(place)
        links = [
            here / name for name in inner if (here / name).is_symlink()
        ]  # os.walk names them, but does not enter them
        found += [
            str(link.relative_to(folder.path))
            for link in links
            if link not in planned and not any(link in p.parents for p in planned)
        ]
        if here not in planned and ("events.jsonl" in files or len(here.parts) == depth):
            found.append(str(here.relative_to(folder.path)))
    return tuple(sorted(found))

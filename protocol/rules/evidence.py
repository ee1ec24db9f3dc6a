"""Evidence for the rules: the plan, each planned run's record, and unplanned folders.

A planned run may have no record. A study may have thousands of runs, so records are read one at a time. Rules about
one run see `RunEvidence`, which is then dropped. Rules that compare runs see the small `Facts` kept of each
(`protocol.rules.facts`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, RecordError
from protocol.record.chain import Record, read
from protocol.record.events import (
    AnyEvent,
    Event,
    RunEvent,
)
from protocol.record.layout import RunFolder, StudyFolder
from protocol.rules.sidecars import SidecarCache, SplitEvidence, form, read_arrays, read_integers
from protocol.safe_read import read_bytes
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.units import Units

E = TypeVar("E", bound=Event)

_LARGEST_TAIL: Final = 2**26
_MOST_PIXELS: Final = 2**32
"""Of one image, so that sums over images fit int64."""


def _tail(path: Path, root: Path) -> bytes | None:
    try:
        return read_bytes(path, _LARGEST_TAIL, root)
    except OSError:
        return None


@dataclass
class RunEvidence:
    """One planned run: its place in the plan, and its record if it can be read.

    Attributes:
        problem: why the record cannot be read, if it exists.
        plans: fingerprints of the plan and of the declared plans before it.
        source: the file that an imported record comes from; empty for a record of our own.
        places: where each event of an imported record stands.
        given_split: the split of an imported record.
    """

    key: RunId
    study: Study
    protocol: Protocol
    strategy: StrategySpec
    root: Path
    folder: RunFolder
    record: Record | None
    problem: Fault | None
    sidecars: SidecarCache
    plans: frozenset[str] = frozenset()
    source: str = ""
    places: tuple[str, ...] = ()
    given_split: SplitEvidence | None = None
    _predictions: dict[int, NDArray[np.int64] | Fault] = field(default_factory=dict)

    @cached_property
    def path(self) -> str:
        """Return the record's file, relative to the study folder."""
        return self.source or str(self.folder.events.relative_to(self.root))

    @property
    def run(self) -> RunEvent | None:
        """Return the record's first event."""
        return self.record.run if self.record else None

    @property
    def sealed(self) -> bool:
        """Return whether the record exists and ends with its seal."""
        return self.record is not None and self.record.sealed

    def of(self, kind: type[E]) -> list[tuple[str, E]]:
        """Return (file:line, event) of all events of one kind, in order."""
        return [(where, event) for where, event in self._numbered if isinstance(event, kind)]

    @cached_property
    def _numbered(self) -> list[tuple[str, AnyEvent]]:
        if self.record is None:
            return []
        places = self.places or tuple(f"{self.path}:{line}" for line in self.record.lines)
        return list(zip(places, self.record.events, strict=True))

    @cached_property
    def split(self) -> SplitEvidence:
        """Return the split that the record names."""
        if self.given_split is not None:
            return self.given_split
        if self.run is None:
            return SplitEvidence(problem=Fault(self.path, "a 'run' event that names the split", "none"))
        return self.sidecars.split(self.run.split, self.run.data.classes)

    def predictions(self, round_: int) -> NDArray[np.int64] | Fault:
        """Return the test predictions of one round, shape (n_test,), from the sidecar."""
        if round_ not in self._predictions:
            path = self.folder.predictions(round_)
            name = str(path.relative_to(self.root))
            arrays = read_integers(path, self._sizes(prediction=0), name, self.root)
            self._predictions[round_] = arrays if isinstance(arrays, Fault) else arrays["prediction"]
        return self._predictions[round_]

    def confusion(self, round_: int) -> NDArray[np.int64] | Fault:
        """Return the test confusion matrices of one round, shape (n_test, classes, classes), counts >= 0."""
        expected = "confusion of shape (test images, classes, classes) in integers"
        arrays = self._arrays(round_, {"confusion": 2}, expected, _is_confusion)
        if isinstance(arrays, Fault):
            return arrays
        [counts] = arrays
        if not counts.size or counts.max() > _MOST_PIXELS or counts.min() < 0:
            found = f"counts from {counts.min()} to {counts.max()}" if counts.size else "no counts"
            return Fault(self._sidecar(round_)[1], f"counts from 0 to {_MOST_PIXELS}", found)
        return counts.astype(np.int64)

    def maps(self, round_: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | Fault:
        """Return test positions (p,) and predicted maps (p, height, width) that one round kept."""
        expected = "map of shape (images, height, width) in bytes, and place of shape (images,) in integers"
        arrays = self._arrays(round_, {"place": 0, "map": None}, expected, _are_maps)
        if isinstance(arrays, Fault):
            return arrays
        return arrays[0].astype(np.int64), arrays[1]

    def log_probabilities(self, round_: int) -> NDArray[np.float16] | Fault:
        """Return one round's test log-probabilities, shape (n_test, classes).

        Each row has a value above -inf.
        """
        expected = "log_probability of shape (test images, classes) in half precision"
        arrays = self._arrays(round_, {"log_probability": 1}, expected, _is_table)
        if isinstance(arrays, Fault):
            return arrays
        [table] = arrays
        wrong = ~((table <= 0).all(1) & np.isfinite(table.max(1)))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            found = f"row {row}: {table[row][:8].tolist()}, and {int(wrong.sum()) - 1} more such rows"
            return Fault(self._sidecar(round_)[1], "logarithms of probabilities", found)
        return table

    def _sizes(self, **powers: int | None) -> dict[str, int | None]:
        """Return how many numbers arrays hold: per test image, a power of the number of classes; None: not known."""
        if self.run is None:
            return dict.fromkeys(powers)
        test, classes = self.run.split.test, max(self.run.data.classes, 1)
        return {key: None if power is None else test * classes**power for key, power in powers.items()}

    def _sidecar(self, round_: int) -> tuple[Path, str]:
        path = self.folder.predictions(round_)
        return path, str(path.relative_to(self.root))

    def _arrays(
        self, round_: int, powers: Mapping[str, int | None], expected: str, is_right: Callable[..., bool]
    ) -> list[NDArray[Any]] | Fault:
        path, name = self._sidecar(round_)
        arrays = read_arrays(path, self._sizes(**powers), name, self.root)
        if isinstance(arrays, Fault):
            return arrays
        values = [arrays[key] for key in powers]
        if all(isinstance(value, np.ndarray) for value in values) and is_right(*values):
            return values
        return Fault(name, expected, "; ".join(f"{key}: {form(value)}" for key, value in arrays.items()))

    @cached_property
    def units(self) -> Units | Fault:
        """Return what can be bought, from the sidecar whose digest the record names."""
        if self.run is None or not self.run.data.units:
            return Fault(self.path, "a digest of what can be bought", "nothing recorded")
        return self.sidecars.units(self.run.data.units, self.run.data.images)

    @cached_property
    def torn_tails(self) -> tuple[tuple[str, bytes | None], ...]:
        """Return (file, bytes) of the torn tails set aside at resumptions; None where unreadable or too large."""
        try:
            paths = sorted(self.folder.path.glob("events.torn-*"))
        except OSError:
            return ()
        return tuple((str(path.relative_to(self.root)), _tail(path, self.root)) for path in paths)

    @cached_property
    def twins(self) -> dict[str, NDArray[np.int64]] | Fault:
        """Return the groups of images that look alike: `content` and `look`, each (n,)."""
        if self.run is None or not self.run.data.twins:
            return Fault(self.path, "a digest of which images look alike", "nothing recorded")
        return self.sidecars.twins(self.run.data.digest, self.run.data.twins, self.run.data.images)


def _is_confusion(counts: NDArray[Any]) -> bool:
    return counts.ndim == 3 and counts.dtype.kind in "iu" and counts.shape[1] == counts.shape[2]


def _are_maps(places: NDArray[Any], maps: NDArray[Any]) -> bool:
    integers = places.ndim == 1 and places.dtype.kind in "iu"
    return integers and maps.ndim == 3 and maps.dtype == np.uint8 and maps.size > 0


def _is_table(table: NDArray[Any]) -> bool:
    return table.ndim == 2 and table.dtype == np.float16 and table.shape[1] > 0


def planned_runs(folder: StudyFolder, study: Study, plans: frozenset[str]) -> Iterator[RunEvidence]:
    """Yield every planned run, one at a time, runs of the same split next to each other."""
    sidecars = SidecarCache(folder)
    for run in study.runs(by_seed=True):
        yield planned_run(folder, study, run, plans, sidecars)


def planned_run(
    folder: StudyFolder, study: Study, run: RunId, plans: frozenset[str], sidecars: SidecarCache
) -> RunEvidence:
    """Return one planned run, whether its record exists or not."""
    at = folder.run(run)
    record, problem = _read_record(at)
    if link := next((place for place in (at.events, at.path, *at.path.parents[:3]) if place.is_symlink()), None):
        # what a link points at can be exchanged without a trace in this folder, and no seal covers it
        record, problem = None, Fault(str(link), "a file or folder, not a link", "a link", "replace it by its target")
    protocol, strategy = study.protocol(run.protocol), study.strategy(run.strategy)
    return RunEvidence(run, study, protocol, strategy, folder.path, at, record, problem, sidecars, plans)


def _read_record(folder: RunFolder) -> tuple[Record | None, Fault | None]:
    if not os.path.exists(folder.events):  # noqa: PTH110 - Path.exists raises where a folder may not be entered
        return None, None
    try:
        return read(folder.events, folder.root), None
    except RecordError as error:
        return None, error.faults[0]


def unplanned_runs(folder: StudyFolder, study: Study) -> tuple[str, ...]:
    """Return the unplanned folders under records/, sorted.

    These hold a record, or lie where a run would.
    """
    planned = {folder.run(run).path for run in study.runs()}
    above = {parent for path in planned for parent in path.parents}
    depth = len(folder.records.parts) + 3
    unplanned: list[Path] = []
    for name, inner, files in os.walk(folder.records):
        place = Path(name)
        links = [place / name for name in inner if (place / name).is_symlink()]  # os.walk does not enter them
        unplanned += [link for link in links if link not in planned and link not in above]
        if place not in planned and ("events.jsonl" in files or len(place.parts) == depth):
            unplanned.append(place)
    return tuple(sorted(str(path.relative_to(folder.path)) for path in unplanned))

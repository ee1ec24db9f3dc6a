"""What the runs of one process share: data sets, and the tensors that they train on."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import torch

from protocol.record.layout import StudyFolder
from runners.datasets import Images
from runners.progress.job import Job
from runners.regimes import Resident, prepare
from runners.run.kept_data import Shelf
from runners.run.open_oracle import SessionData
from runners.run.turns import takes_turns

_MOST: Final = 2
"""Prepared inputs kept at once."""


class KeptInputs:
    """Data sets and training inputs of runs that take turns in this process.

    Attributes:
        shelf: data sets that were read.
    """

    def __init__(self) -> None:
        self.shelf = Shelf()
        self._prepared: OrderedDict[tuple[str, ...], tuple[Images, Images, Resident]] = OrderedDict()

    def shelf_for(self, job: Job) -> Shelf | None:
        """Return the shelf for a run that takes turns.

        For any other run return None; what was kept is forgotten first, as the strategy's code is not known.
        """
        if takes_turns(job):
            return self.shelf
        self.shelf.clear()
        self._prepared.clear()
        return None

    def inputs(self, job: Job, data: SessionData) -> tuple[Images, Resident]:
        """Return images and resident images of the run; see `runners.regimes.prepare`."""
        if not takes_turns(job):
            return _prepared(job, data)
        key = _key(job, data)
        if key not in self._prepared or self._prepared[key][0] is not data.images:
            while len(self._prepared) >= _MOST:
                self._prepared.popitem(last=False)
            self._prepared[key] = (data.images, *_prepared(job, data))
        self._prepared.move_to_end(key)
        _, images, resident = self._prepared[key]
        return images, resident


def _key(job: Job, data: SessionData) -> tuple[str, ...]:
    protocol, pretraining = job.protocol, job.protocol.regime.pretraining
    if pretraining is None:
        return (data.images.digest, job.device)
    whole = (protocol.model.model_dump_json(), pretraining.model_dump_json(), protocol.regime.precision)
    return (data.images.digest, job.device, *whole, str(protocol.root_seed), data.split.digest, str(job.study))


def _prepared(job: Job, data: SessionData) -> tuple[Images, Resident]:
    raw = Resident.of(data.images, torch.device(job.device))
    return prepare(job.protocol, data.images, raw, data.split.pool, StudyFolder(job.study), data_root=job.data_root)

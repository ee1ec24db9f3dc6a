"""Pictures of changed classes are of the images that the sidecars say turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.secondary.changed_predictions import EACH, ClassChange
from protocol.draws.splits import make_split
from protocol.record.chain import read
from protocol.record.layout import StudyFolder, write_arrays
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from runners.data import load
from runners.purchases.load import load_purchases
from runners.run.perform import perform
from tests.support.made_jobs import made


def test_turned_images_are_those_of_the_sidecars(toy_study: Study, tmp_path: Path) -> None:
    for job in made(tmp_path / "study", toy_study):
        if job.seed == 0:
            assert perform(job).state == "done"
    folder, protocol = StudyFolder(tmp_path / "study"), toy_study.protocols[0]
    images, hidden = load(protocol.data, None)
    test = make_split(protocol, 0, images.train_size, images.test_size).test
    truth = hidden.for_oracle()[test]
    found = load_purchases(folder.path).changes
    assert [c.strategy for c in found] == [s.id for s in toy_study.strategies]
    for change in found:
        assert isinstance(change, ClassChange)
        run = folder.run(RunId(protocol.name, change.strategy, 0))
        first, *_, last = read(run.events).rounds
        before, after = (np.load(run.predictions(e.round))["prediction"].astype(int) for e in (first, last))
        assert (change.seed, change.budgets, change.tests) == (0, (first.budget, last.budget), len(test))
        gained = np.flatnonzero((before != truth) & (after == truth))
        assert change.gained.count == len(gained) > EACH  # so that only some are shown
        assert change.gained.indices == tuple(test[gained[:EACH]].tolist())
        np.testing.assert_array_equal(change.gained.pixels, images.pixels[test[gained[:EACH]]])
        assert change.gained.classes == tuple((before[i], truth[i]) for i in gained[:EACH])
        assert change.lost.count == ((before == truth) & (after != truth)).sum()
        wrong = (before != truth) & (after != truth)
        assert change.other == (wrong & (before != after)).sum()
    write_arrays(folder.run(RunId(protocol.name, "random", 0)).predictions(0), {"prediction": np.zeros(3, np.uint8)})
    assert "random" not in [c.strategy for c in load_purchases(folder.path).changes]

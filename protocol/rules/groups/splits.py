"""SPL: every strategy is measured on the same images, and none trains on them."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from protocol.draws.splits import Split, redraw_split
from protocol.errors import InputError
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import StudyEvidence
from protocol.rules.rule import (
    AnyRule,
    Observations,
    broken,
    by_protocol,
    need,
    run_rule,
    shared,
    study_rule,
    unverifiable,
)

_MOST_SHOWN = 5


def _where(run: RunEvidence) -> str:
    """Return where the record names the split."""
    return f"{run.path}:1"


def _parts(split: Split) -> dict[str, NDArray[np.int64]]:
    return {"pool": split.pool, "validation": split.validation, "test": split.test}


@run_rule(
    "SPL-01",
    "the split file matches its digest",
    why="the split is evidence only if it is the one that the run used",
    evidence="split in the 'run' event, splits/<digest>.npz",
    fix="restore the file under splits/ from a copy, or run the study again in a new folder",
    reads={"head", "split"},
)
def altered_split(run: RunEvidence) -> Observations:
    evidence, head = run.split, run.run
    if head is None:
        return
    if (problem := evidence.problem) is not None:
        altered = evidence.altered
        yield broken(problem.where, problem.expected, problem.found) if altered else unverifiable(problem)
    if evidence.split is None or evidence.targets is None:
        return
    card = head.split
    per_image = head.data.classes if run.protocol.task == "segmentation" else 1  # of masks, pixels per class are kept
    for what, recorded, kept in (
        ("pool", card.pool, len(evidence.split.pool)),
        ("validation", card.validation, len(evidence.split.validation)),
        ("test", card.test, len(evidence.split.test)),
        ("test labels", card.test * per_image, len(evidence.targets)),
    ):
        if recorded != kept:
            yield broken(_where(run), f"{what}: {kept}, as in the sidecar", recorded)


@study_rule(
    "SPL-02",
    "strategies with one seed share one split",
    why="a different test set or pool changes accuracy more than most strategies do",
    evidence="split digest in the 'run' events",
    fix="run the study again in a new folder",
    reads={"head", "peers"},
)
def unequal_splits(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.split, "split digest")


@run_rule(
    "SPL-03",
    "pool, validation and test share no image",
    why="an image both trained on and tested on is remembered, not recognised",
    evidence="splits/<digest>.npz, compared by index",
    fix="fix the split rule and run the study again in a new folder",
    reads={"split"},
)
def shared_images(run: RunEvidence) -> Observations:
    parts = _parts(need(run.split.indices))
    for name, indices in parts.items():
        if (repeated := len(indices) - len(np.unique(indices))) > 0:
            yield broken(_where(run), f"every image once in {name}", f"{repeated} repeated")
    for a, b in itertools.combinations(parts, 2):
        common = np.intersect1d(parts[a], parts[b])
        if common.size:
            found = f"{common.size}, e.g. {common[:_MOST_SHOWN].tolist()}"
            yield broken(_where(run), f"no image both in {a} and {b}", found)


@run_rule(
    "SPL-04",
    "pool, validation and test have the sizes of the protocol",
    why="a larger validation set means free labels",
    evidence="splits/<digest>.npz and splits in the protocol",
    fix="run the study again in a new folder",
    reads={"split"},
)
def wrong_split_sizes(run: RunEvidence) -> Observations:
    split, rules = need(run.split.indices), run.protocol.splits
    for expected, indices, what in (
        (rules.validation_size, split.validation, "validation images"),
        (rules.test_size, split.test, "test images"),
        (rules.pool_size, split.pool, "images in the pool"),
    ):
        if expected is not None and len(indices) != expected:
            yield broken(_where(run), f"{expected} {what}", len(indices))


@study_rule(
    "SPL-05",
    "all runs of a protocol used the same data",
    why="a data set with other images under the same name is a different experiment",
    evidence="data digest in the 'run' events and, if given, in the protocol",
    fix="run the study again on one copy of the data",
    reads={"head", "peers"},
)
def unequal_data(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.data, "data digest", within=by_protocol)
    expected = {p.name: p.data.digest and p.data.recorded_digest(p.data.digest) for p in study.study.protocols}
    for fact in study.facts:
        planned, content = expected[fact.key.protocol], fact.content
        if planned and content and content.value and content.value != planned:
            yield broken(content.where, f"the planned data, {planned[:16]}", content.value[:16], fact.key)


@run_rule(
    "SPL-06",
    "the split is the one drawn from the seed",
    why="a split chosen by hand can favour a strategy",
    evidence="splits/<digest>.npz, drawn again from the root seed",
    fix="run the study again in a new folder; custom splits belong in the data set",
    reads={"head", "split"},
)
def undrawn_split(run: RunEvidence) -> Observations:
    split, where = need(run.split.indices), _where(run)
    training = run.run.split.training if run.run else 0
    if run.run and training > run.run.data.images:
        expected = f"at most {run.run.data.images} training images, the size of the data set"
        yield broken(where, expected, training)
    sizes = {name: len(indices) for name, indices in _parts(split).items()}
    try:
        drawn = redraw_split(run.protocol, run.key.seed, training=training, **sizes)
    except InputError as error:
        yield broken(where, error.faults[0].expected, error.faults[0].found)
        return
    if drawn.digest != split.digest:
        yield broken(where, f"the split drawn from the seed, {drawn.digest[:16]}", split.digest[:16])


@run_rule(
    "SPL-07",
    "pool, validation and test share no content",
    why="a copy of a test image in the pool has a different index, but is remembered all the same",
    evidence="data/<digest>.npz, in which the runner records which images have the same pixels",
    fix="remove the copies from the data set and run the study again in a new folder",
    reads={"contents", "split"},
)
def shared_content(run: RunEvidence) -> Observations:
    yield from _alike_across_parts(run, "content", "the same pixels")


@run_rule(
    "SPL-08",
    "pool, validation and test share no near-duplicates",
    severity="warning",
    why="test images that hardly differ from training images overstate accuracy, most for strategies that find them",
    evidence="data/<digest>.npz, in which the runner records which images differ by at most 2 of 255 grey levels on "
    "average",
    fix="remove near-duplicates from the data set, or report them with the results",
    reads={"contents", "split"},
)
def near_duplicates(run: RunEvidence) -> Observations:
    yield from _alike_across_parts(run, "look", "nearly the same pixels")


def _alike_across_parts(run: RunEvidence, kind: str, alike: str) -> Observations:
    """Yield images of one group of the sidecar that are in different parts of the split."""
    parts, groups, where = _parts(need(run.split.indices)), need(run.twins)[kind], _where(run)
    if not len(groups):
        features = run.protocol.data.name == "features"
        why = "features, without the images to compare" if features else "a data set too large to compare"
        yield unverifiable(where, f"which images have {alike}", why)
        return
    every = np.concatenate(list(parts.values()))
    if every.size and (every.min() < 0 or every.max() >= len(groups)):
        expected = f"indices of the data set's images, 0 to {len(groups) - 1}"
        yield unverifiable(where, expected, f"indices from {every.min()} to {every.max()}")
        return
    for a, b in itertools.combinations(parts, 2):
        common = np.flatnonzero(np.isin(groups[parts[b]], groups[parts[a]]) & ~np.isin(parts[b], parts[a]))
        if common.size:
            found = f"{common.size}, e.g. {parts[b][common[:_MOST_SHOWN]].tolist()}"
            yield broken(where, f"no image of {b} with {alike} as one of {a}", found)


RULES: tuple[AnyRule, ...] = (
    altered_split,
    unequal_splits,
    shared_images,
    wrong_split_sizes,
    unequal_data,
    undrawn_split,
    shared_content,
    near_duplicates,
)

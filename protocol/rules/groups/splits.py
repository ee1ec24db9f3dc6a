"""SPL: everybody is measured on the same images, and nobody trains on them."""

from __future__ import annotations

import itertools

import numpy as np

from protocol.draws.splits import Split, redraw_split
from protocol.errors import Fault, InputError
from protocol.rules.evidence import RunEvidence, StudyEvidence
from protocol.rules.rule import (
    AnyRule,
    Observation,
    Observations,
    RunRule,
    StudyRule,
    by_protocol,
    shared,
    unverifiable,
)


def _split(run: RunEvidence) -> tuple[str, Split] | Observation:
    """(where, split), or the observation that it cannot be had."""
    evidence = run.split
    if evidence.split is None:
        problem = evidence.problem
        return unverifiable(
            problem.where if problem else run.path,
            problem.expected if problem else "a split",
            problem.found if problem else "",
            str(run.key),
        )
    return f"{run.path}:1", evidence.split


def _sidecar_is_what_its_digest_says(run: RunEvidence) -> Observations:
    key, evidence, head = str(run.key), run.split, run.run
    if head is None:
        return
    if evidence.problem is not None:
        report = Observation if evidence.altered else unverifiable
        yield report(evidence.problem.where, evidence.problem.expected, evidence.problem.found, key)
    if evidence.split is None or evidence.targets is None:
        return
    card = head.split
    each = head.data.classes if run.protocol.task == "segmentation" else 1  # of masks, pixels of every class are kept
    for what, said, there in (
        ("pool", card.pool, len(evidence.split.pool)),
        ("validation", card.validation, len(evidence.split.validation)),
        ("test", card.test, len(evidence.split.test)),
        ("test labels", card.test * each, len(evidence.targets)),
    ):
        if said != there:
            yield Observation(f"{run.path}:1", f"{what}: {there}, as in the sidecar", str(said), key)


def _strategies_share_the_split(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.split, "split digest")


def _parts_are_disjoint(run: RunEvidence) -> Observations:
    found = _split(run)
    if isinstance(found, Observation):
        yield found
        return
    where, split = found
    parts = {"pool": split.pool, "validation": split.validation, "test": split.test}
    for name, indices in parts.items():
        if (twice := len(indices) - len(np.unique(indices))) > 0:
            yield Observation(where, f"every image once in {name}", f"{twice} repeated", str(run.key))
    for a, b in itertools.combinations(parts, 2):
        common = np.intersect1d(parts[a], parts[b])
        if common.size:
            yield Observation(
                where, f"no image both in {a} and {b}", f"{common.size}, e.g. {common[:5].tolist()}", str(run.key)
            )


def _parts_have_the_sizes_of_the_protocol(run: RunEvidence) -> Observations:
    found = _split(run)
    if isinstance(found, Observation):
        yield found
        return
    where, split = found
    rules = run.protocol.splits
    if len(split.validation) != rules.validation_size:
        yield Observation(where, f"{rules.validation_size} validation images", str(len(split.validation)), str(run.key))
    if rules.test_size is not None and len(split.test) != rules.test_size:
        yield Observation(where, f"{rules.test_size} test images", str(len(split.test)), str(run.key))
    if rules.pool_size is not None and len(split.pool) != rules.pool_size:
        yield Observation(where, f"{rules.pool_size} images in the pool", str(len(split.pool)), str(run.key))


def _data_are_the_same(study: StudyEvidence) -> Observations:
    yield from shared(study.facts, lambda f: f.data, "data digest", within=by_protocol)
    expected = {p.name: p.data.digest and p.data.recorded_digest(p.data.digest) for p in study.study.protocols}
    for fact in study.facts:
        planned = expected[fact.key.protocol]
        if planned and fact.content and fact.content.value and fact.content.value != planned:
            yield Observation(
                fact.content.where, f"the planned data, {planned[:16]}", fact.content.value[:16], str(fact.key)
            )


def _split_is_drawn_from_the_seed(run: RunEvidence) -> Observations:
    found = _split(run)
    if isinstance(found, Observation):
        yield found
        return
    where, split = found
    sizes = {"pool": len(split.pool), "validation": len(split.validation), "test": len(split.test)}
    training = run.run.split.training if run.run else 0
    if run.run and training > run.run.data.images:
        yield Observation(
            where,
            f"at most {run.run.data.images} training images, as many as the data set has",
            str(training),
            str(run.key),
        )
    try:
        drawn = redraw_split(run.protocol, run.key.seed, training=training, **sizes)
    except InputError as error:
        yield Observation(where, error.faults[0].expected, error.faults[0].found, str(run.key))
        return
    if drawn.digest != split.digest:
        yield Observation(where, f"the split drawn from the seed, {drawn.digest[:16]}", split.digest[:16], str(run.key))


def _no_content_in_two_parts(run: RunEvidence) -> Observations:
    yield from _alike_across_parts(run, "content", "the same pixels")


def _no_look_in_two_parts(run: RunEvidence) -> Observations:
    yield from _alike_across_parts(run, "look", "nearly the same pixels")


def _alike_across_parts(run: RunEvidence, kind: str, alike: str) -> Observations:
    """Images of one group of the sidecar that are in different parts of the split."""
    found, twins = _split(run), run.twins
    if isinstance(found, Observation):
        yield found
        return
    if isinstance(twins, Fault):
        yield unverifiable(twins.where, twins.expected, twins.found, str(run.key))
        return
    where, split = found
    groups = twins[kind]
    if not len(groups):
        features = run.protocol.data.name == "features"
        why = (
            "features, whose images are not here to be compared"
            if features
            else "the data set was too large to compare"
        )
        yield unverifiable(where, f"which images have {alike}", why, str(run.key))
        return
    parts = {"pool": split.pool, "validation": split.validation, "test": split.test}
    if any(part.size and (part.min() < 0 or part.max() >= len(groups)) for part in parts.values()):
        yield unverifiable(where, "indices of the data set's images", "others", str(run.key))
        return
    for a, b in itertools.combinations(parts, 2):
        common = np.flatnonzero(np.isin(groups[parts[b]], groups[parts[a]]) & ~np.isin(parts[b], parts[a]))
        if common.size:
            examples = parts[b][common[:5]].tolist()
            yield Observation(
                where, f"no image of {b} with {alike} as one of {a}", f"{common.size}, e.g. {examples}", str(run.key)
            )


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="SPL-01",
        title="the split file holds what its digest says",
        why="the split is evidence only if it is the one the run was made with",
        evidence="split in the 'run' event, splits/<digest>.npz",
        fix="restore the file under splits/ from a copy, or run the study again in a new folder",
        reads=frozenset({"head", "split"}),
        function=_sidecar_is_what_its_digest_says,
    ),
    StudyRule(
        id="SPL-02",
        title="strategies with one seed share one split",
        why="another test set or pool moves accuracy more than most strategies do",
        evidence="split digest in the 'run' events",
        fix="run the study again in a new folder",
        reads=frozenset({"head", "peers"}),
        function=_strategies_share_the_split,
    ),
    RunRule(
        id="SPL-03",
        title="pool, validation and test share no image",
        why="an image both trained on and tested on is remembered, not recognised",
        evidence="splits/<digest>.npz, compared by index",
        fix="mend the split rule and run the study again in a new folder",
        reads=frozenset({"split"}),
        function=_parts_are_disjoint,
    ),
    RunRule(
        id="SPL-04",
        title="pool, validation and test have the sizes of the protocol",
        why="a larger validation set is free labels",
        evidence="splits/<digest>.npz and splits in the protocol",
        fix="run the study again in a new folder",
        reads=frozenset({"split"}),
        function=_parts_have_the_sizes_of_the_protocol,
    ),
    StudyRule(
        id="SPL-05",
        title="all runs of a protocol used the same data",
        why="a data set with other images under the same name is another experiment",
        evidence="data digest in the 'run' events and, if given, in the protocol",
        fix="run the study again on one copy of the data",
        reads=frozenset({"head", "peers"}),
        function=_data_are_the_same,
    ),
    RunRule(
        id="SPL-06",
        title="the split is the one drawn from the seed",
        why="a split chosen by hand can favour a strategy",
        evidence="splits/<digest>.npz, drawn again from the root seed",
        fix="run the study again in a new folder; own splits belong in the data set",
        reads=frozenset({"head", "split"}),
        function=_split_is_drawn_from_the_seed,
    ),
    RunRule(
        id="SPL-07",
        title="pool, validation and test share no content",
        why="a copy of a test image in the pool has another index and is remembered all the same",
        evidence="data/<digest>.npz, where the runner keeps which images have the same pixels",
        fix="remove the copies from the data set and run the study again in a new folder",
        reads=frozenset({"contents", "split"}),
        function=_no_content_in_two_parts,
    ),
    RunRule(
        id="SPL-08",
        title="pool, validation and test share no near-duplicates",
        severity="warning",
        why="test images that hardly differ from training images overstate accuracy, most for strategies that find them",
        evidence="data/<digest>.npz, where the runner keeps which images differ by no more than 2 of 255 grey levels on average",
        fix="remove near-duplicates from the data set, or say so beside the results",
        reads=frozenset({"contents", "split"}),
        function=_no_look_in_two_parts,
    ),
)

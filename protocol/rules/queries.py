"""QRY: what was asked for is what was bought, in that order, in a chain that shows edits."""

from __future__ import annotations

from protocol.rules.base import AnyRule, Observation, Observations, RunRule, unverifiable
from protocol.rules.evidence import RunEvidence
from protocol.rules.ledger import ledger


def _chain_is_intact(run: RunEvidence) -> Observations:
    if run.record is None:
        if run.problem is not None:
            yield unverifiable(run.problem.where, run.problem.expected, run.problem.found, str(run.key))
        return
    for fault in run.record.breaks:
        where = fault.where.replace(str(run.folder.events), run.path)
        found = f"{fault.found} ({fault.fix})" if fault.fix else fault.found
        yield Observation(where, fault.expected, found, str(run.key))


def _purchase_is_the_query(run: RunEvidence) -> Observations:
    purchases, trainings = ledger(run)
    finished = run.record is not None and run.record.sealed
    for training in trainings:
        asked = training.event.query
        bought = [p for p in purchases if p.trains and p.rounds == training.number + 1]
        indices = tuple(i for p in bought for i in p.event.indices)
        if bought and indices != asked:
            found = f"{len(indices)} labels, {len(set(indices) - set(asked))} of them not asked for"
            yield Observation(
                bought[0].where, f"the {len(asked)} labels that {training.where} asked for, in that order", found, str(run.key)
            )
        elif asked and not bought and (finished or training is not trainings[-1]):
            yield Observation(
                training.where, f"the {len(asked)} labels asked for bought before the next round", "no purchase", str(run.key)
            )


def _labels_are_bought_before_use(run: RunEvidence) -> Observations:
    for training in ledger(run)[1]:
        used = training.event.training_labels
        if training.owned < used:
            yield Observation(training.where, f"{used} training labels bought before this line", str(training.owned), str(run.key))


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="QRY-01",
        title="the record's chain is intact",
        why="an edited, removed or moved line shows in the hash of the next; a whole rewritten file does not",
        evidence="sequence numbers and hashes of the record's lines",
        fix="restore the record from a copy, or move the run's folder out of the study and run it again",
        needs="file",
        function=_chain_is_intact,
    ),
    RunRule(
        id="QRY-02",
        title="what was bought is what the strategy asked for",
        why="a purchase that the strategy did not ask for is somebody else's strategy",
        evidence="query of each round and the purchase after it",
        fix="run it again in a new folder",
        function=_purchase_is_the_query,
    ),
    RunRule(
        id="QRY-03",
        title="labels are bought before they are used",
        why="a label used before its purchase was not paid for when it helped",
        evidence="order of purchases and rounds in the record",
        fix="run it again in a new folder through the oracle, which sells before it reveals",
        function=_labels_are_bought_before_use,
    ),
)

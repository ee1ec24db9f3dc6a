"""Purchases and rounds of a run, counted again from the purchases themselves."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.record.events import Event, LabelsEvent, RoundEvent
from protocol.rules.evidence import RunEvidence


@dataclass(frozen=True)
class CountedPurchase:
    """One purchase and what was true before it, by the checker's count.

    Attributes:
        rounds: rounds before it.
        spent: cost paid before it.
        charge: what it costs by the protocol.
    """

    where: str
    event: LabelsEvent
    rounds: int
    spent: int
    charge: int

    @property
    def for_training(self) -> bool:
        """Return whether it buys training labels, not validation labels."""
        return self.event.purpose != "validation"


@dataclass(frozen=True)
class CountedRound:
    """One round and the number of training labels bought before it, by the checker's count."""

    where: str
    event: RoundEvent
    number: int
    labelled: int


def recount(run: RunEvidence) -> tuple[list[CountedPurchase], list[CountedRound]]:
    """Return purchases and rounds in the order of the record."""
    purchases: list[CountedPurchase] = []
    rounds: list[CountedRound] = []
    counted, metered = run.protocol.splits.validation_counted, run.protocol.metered
    spent = labelled = 0
    for where, event in run.of(Event):
        if isinstance(event, RoundEvent):
            rounds.append(CountedRound(where, event, len(rounds), labelled))
        elif isinstance(event, LabelsEvent):
            for_training = event.purpose != "validation"
            price = sum(event.costs) if metered else len(event.indices)
            charge = price if for_training or counted else 0
            purchases.append(CountedPurchase(where, event, len(rounds), spent, charge))
            spent += charge
            labelled += len(event.indices) if for_training else 0
    return purchases, rounds

"""The ledger of a run, counted again from the purchases themselves."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.record.events import Event, LabelsEvent, RoundEvent
from protocol.rules.evidence import RunEvidence


@dataclass(frozen=True)
class Purchase:
    """One purchase and what was true before it, by our own count (not the record's)."""

    where: str
    event: LabelsEvent
    rounds: int
    spent: int
    owned: int
    charge: int
    last_round: RoundEvent | None

    @property
    def trains(self) -> bool:
        return self.event.purpose != "validation"


@dataclass(frozen=True)
class Training:
    """One round and the labels paid for before it, by our own count."""

    where: str
    event: RoundEvent
    number: int
    spent: int
    owned: int


def ledger(run: RunEvidence) -> tuple[list[Purchase], list[Training]]:
    """Purchases and rounds in the order of the record."""
    purchases: list[Purchase] = []
    trainings: list[Training] = []
    counted, metered = run.protocol.splits.validation_counted, run.protocol.metered
    spent = owned = 0
    last: RoundEvent | None = None
    for where, event in run.of(Event):
        if isinstance(event, RoundEvent):
            trainings.append(Training(where, event, len(trainings), spent, owned))
            last = event
        elif isinstance(event, LabelsEvent):
            bought = len(event.indices)
            price = sum(event.costs) if metered else bought
            charge = price if event.purpose != "validation" or counted else 0
            purchases.append(Purchase(where, event, len(trainings), spent, owned, charge, last))
            spent, owned = spent + charge, owned + (bought if event.purpose != "validation" else 0)
    return purchases, trainings

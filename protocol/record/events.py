"""Events of a record, one model each.

`time`, `cost` and `environment` say when, how fast and where; everything else must be equal when a run is repeated.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter

from protocol.record.stored_arrays import StoredArray
from protocol.spec.base import EXACT, FrozenModel
from protocol.spec.cards import SplitCard
from protocol.spec.data import FeatureCard
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec
from protocol.spec.tuning import HyperparameterSetting

SCHEMA: Final = 1
VOLATILE: Final = frozenset({"seq", "prev", "time", "cost", "environment"})
"""Keys that may differ between a run and its repetition."""

Whole = Annotated[int, Field(ge=-EXACT, le=EXACT)]
"""Canonical JSON has no others."""


class Event(FrozenModel):
    """Fields of every line: position in the chain and wall-clock time (ISO 8601, UTC)."""

    seq: Whole = 0
    prev: str = ""
    time: str = ""


class DataCard(FrozenModel):
    """The images that were read."""

    name: str
    digest: str
    images: Whole
    classes: Whole
    twins: str = Field("", description="digest of the sidecar of duplicate images; empty: none kept")
    units: str = Field(
        "",
        description="digest of the sidecar of units, if labels are not one per image; else empty",
    )
    encoded: FeatureCard | None = Field(
        None,
        exclude_if=lambda card: card is None,  # records of other data keep the bytes they had before this field
        description="for frozen features from a file: encoder and images according to the card in the file",
    )


class RunEvent(Event):
    """First line: protocol, strategy, data, and environment."""

    event: Literal["run"] = "run"
    schema_version: Whole = SCHEMA
    protocol: Protocol
    fingerprint: str
    study: str = Field("", description="fingerprint of the study that planned the run")
    strategy: StrategySpec
    replicate: Whole
    seeds: dict[str, Whole]
    data: DataCard
    split: SplitCard
    environment: dict[str, Any]


class LabelsEvent(Event):
    """A purchase, written before the labels are revealed."""

    event: Literal["labels"] = "labels"
    purpose: Literal["initial", "validation", "query"]
    indices: tuple[Whole, ...] = Field(description="images, or regions as the sidecar of units numbers them")
    before: Whole
    after: Whole
    costs: tuple[Whole, ...] = Field((), description="cost of each unit, if units differ in cost; else empty")
    chosen: bool = Field(
        False, description="for the initial set: whether the strategy chose it, in this order; else the seed drew it"
    )


class TrialEvent(Event):
    """A setting that was tried before its round was trained; see `regime.tuning`."""

    event: Literal["trial"] = "trial"
    round: Whole
    trial: Whole = Field(description="number among the round's trials, from 0")
    setting: HyperparameterSetting
    validation: dict[str, float] = Field(description="metrics on the scored images; empty if the trial failed")
    failed: str = Field("", description="why the trial failed; else empty")
    scored_on: str = Field(description="digest of the ascending indices of the scored images")
    initial_weights: str = Field(
        "", description="digest of the weights before its first step; empty if the trial failed"
    )
    recipe: str = Field(description="digest of the recipe with this setting")
    steps: Whole
    examined: Whole = Field(description="number of times the oracle had compared test predictions with labels by then")
    cost: dict[str, float] = Field(default_factory=dict)


class RoundEvent(Event):
    """A round: trained, evaluated once, queried; the next purchase must be `query`."""

    event: Literal["round"] = "round"
    round: Whole
    budget: Whole
    training_labels: Whole
    metrics: dict[str, float]
    validation: dict[str, float] = Field(default_factory=dict)
    steps: Whole
    initial_weights: str = Field(description="digest of weights and buffers before the first step")
    final_weights: str = Field(
        "", description="digest of the evaluated weights, if the next round starts from them; else empty"
    )
    pretrained: str = Field("", description="digest of the pretrained body that the round started from; empty: none")
    recipe: str = Field("", description="digest of the recipe as executed: regime and model")
    setting: HyperparameterSetting = Field(
        default_factory=dict, description="setting that tuning chose; empty: the recipe as declared"
    )
    predictions: str = Field(description="digest of the test predictions in the sidecar")
    probabilities: str = Field("", description="digest of the test log-probabilities in the sidecar; empty: none kept")
    maps: str = Field(
        "", description="digest of the predicted maps of a few test images in the sidecar; empty: none kept"
    )
    examined: Whole | None = Field(
        None,
        description="number of times the oracle has compared test predictions with labels so far; null: not counted",
    )
    query: tuple[Whole, ...] = ()
    state: dict[str, StoredArray] | None = Field(
        None,
        exclude_if=lambda state: state is None,  # records without it keep the bytes they had before this field
        description="what a strategy that is not built in keeps for the next round; null: nothing",
    )
    extra: dict[str, float] = Field(default_factory=dict)
    cost: dict[str, float] = Field(default_factory=dict)


class ExaminedEvent(Event):
    """Test predictions of one round were compared with the test labels.

    Only ledgers of separate oracles have this event.
    """

    event: Literal["examined"] = "examined"
    round: Whole
    predictions: str
    metrics: dict[str, float]


class DisclosureEvent(Event):
    """Labels were disclosed without payment: to the strategy `oracle`, never to a competitor."""

    event: Literal["disclosure"] = "disclosure"
    count: Whole = Field(description="labels disclosed")
    images: str = Field(description="digest of their indices, ascending")


class ResumeEvent(Event):
    """The run continued after an interruption."""

    event: Literal["resume"] = "resume"
    next_round: Whole
    dropped_bytes: Whole = 0
    environment: dict[str, Any]


class FailureEvent(Event):
    """An attempt failed; it stays in the record and is counted."""

    event: Literal["failure"] = "failure"
    round: Whole
    kind: str
    message: str
    details: str = ""


class EndEvent(Event):
    """The seal: number of rounds; its `prev` fixes all earlier lines."""

    event: Literal["end"] = "end"
    rounds: Whole


AnyEvent = Annotated[
    RunEvent
    | LabelsEvent
    | TrialEvent
    | RoundEvent
    | ExaminedEvent
    | DisclosureEvent
    | ResumeEvent
    | FailureEvent
    | EndEvent,
    Field(discriminator="event"),
]
EVENTS: Final[TypeAdapter[AnyEvent]] = TypeAdapter(AnyEvent)

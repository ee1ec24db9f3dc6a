"""Protocol of a comparison: everything that is fixed but the query strategy.

Strict and frozen: no coercion, no unknown keys, no NaN. `protocol.spec.toml_files` reads it from TOML, and its
`fingerprint` identifies the comparison. Budgets are in labels, sizes in images, lengths in pixels, shares in [0, 1].
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from protocol.digests import fingerprint
from protocol.spec.base import EXACT as EXACT
from protocol.spec.base import NETWORK, Budget, Images, Name, Size, Width
from protocol.spec.base import FrozenModel as FrozenModel
from protocol.spec.data import Construction as Construction
from protocol.spec.data import Data as Data
from protocol.spec.data import Encoder as Encoder
from protocol.spec.data import Frames as Frames
from protocol.spec.labelling import Labelling as Labelling
from protocol.spec.recipe import Augmentation as Augmentation
from protocol.spec.recipe import Discriminator as Discriminator
from protocol.spec.recipe import Optimizer as Optimizer
from protocol.spec.recipe import Pretraining as Pretraining
from protocol.spec.recipe import RandAugment as RandAugment
from protocol.spec.recipe import Regime as Regime
from protocol.spec.recipe import SelfSupervised as SelfSupervised
from protocol.spec.recipe import Semi as Semi
from protocol.spec.recipe import Swa as Swa
from protocol.spec.recipe import Views as Views
from protocol.spec.solver import Solver as Solver
from protocol.spec.tuning import Dimension as Dimension
from protocol.spec.tuning import HyperparameterSetting, held_out_size, with_setting
from protocol.spec.tuning import Tuning as Tuning

PROTOCOL_TAG: Final = "beatrandom/protocol/1"
RECIPE_TAG: Final = "beatrandom/recipe/1"
DENSE_METRICS: Final = ("mean_iou", "pixel_accuracy")
"""Metrics of segmentation."""

LATER: Final = (
    ("data", "resolution"),
    ("data", "size"),
    ("data", "construction"),
    ("data", "encoder"),
    ("splits", "pool_size"),
)
"""Fields of later releases: fingerprints cover them only where they are used, so that older protocols keep theirs."""

Argument = bool | int | float | str


class Splits(FrozenModel):
    """Division of the images into test, validation and pool, per seed."""

    test_size: Images | None = Field(
        None, description="images held out as test set, per seed; null: the data set's official test set"
    )
    validation_size: Size = Field(
        0, description="labelled validation images, drawn from the training images before the pool is formed"
    )
    validation_counted: bool = Field(True, description="whether validation labels are charged to the budget")
    pool_size: Images | None = Field(None, description="images of the pool, drawn per seed; null: all remaining images")
    initial: Literal["random", "balanced", "strategy"] = Field(
        "random",
        description="what chooses the starting set: the seed, uniformly or with the same number per class; or every "
        "strategy that can choose without labels and without a trained network, while for random and all others the "
        "seed draws uniformly",
    )
    order: Literal["hidden", "shown"] = Field(
        "hidden",
        exclude_if=lambda order: order == "hidden",  # protocols without it keep the fingerprint they had before it
        description="whether a strategy that declares sees_order (for example of neighbours in a video) sees images in "
        "the order in which the data set stores them; strategies that are not built in see random ids otherwise",
    )


class Model(FrozenModel):
    """Network, built from the seed's model stream in every round; `regime.start` decides on its weights."""

    name: Annotated[str, Field(pattern=NETWORK, max_length=100)] = Field(
        description="name of the network in the runner, e.g. small-cnn, resnet18; for segmentation e.g. unet-small, "
        "smp:Unet:resnet18"
    )
    width: Width | None = Field(None, description="channels of the first stage; null: the network's own")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="dropout before the last layer, the same for all strategies"
    )


class Reference(FrozenModel):
    """Published result of random under the protocol.

    A random far below it is a weak baseline, easily beaten.
    """

    source: Annotated[str, Field(min_length=1)] = Field(description="where the values were published: paper and table")
    values: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="budget -> the protocol's metric on the test set, mean over seeds"
    )
    aubc: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="mean of the curve over all budgets: area by the trapezoid rule in labels / (last - first budget)",
    )
    tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.03, description="difference in either direction that raises no finding"
    )


class Protocol(FrozenModel):
    """Frozen, fully resolved description of one comparison: everything but the strategy."""

    name: Name = Field(description="readable id; part of record paths")
    title: str = Field("", description="one line for people; not part of the fingerprint")
    source: str = Field("", description="paper or page the values follow; not part of the fingerprint")
    provenance: dict[str, str] = Field(
        default_factory=dict,
        description="path of a field or table -> 'published: …' or 'our choice: …'; the longest prefix of a field's "
        "path counts; not part of the fingerprint",
    )
    reference: Reference | None = Field(
        None, description="published result of random, for rule STA-03; not part of the fingerprint"
    )
    task: Literal["classification", "segmentation"] = Field(
        "classification", description="kind of prediction: one class per image, or one per pixel"
    )
    data: Data
    splits: Splits = Field(default_factory=Splits)
    budgets: tuple[Budget, ...] = Field(
        max_length=10_000,
        description="labels paid for at each round, strictly increasing; validation labels included if "
        "validation_counted",
    )
    model: Model
    regime: Regime
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1", "mean_iou", "pixel_accuracy"] = Field(
        "accuracy",
        description="primary metric on the test set, in [0, 1], higher is better; the last two for segmentation",
    )
    labelling: Labelling | None = Field(
        None,
        description="segmentation: regions instead of whole images, or budgets in pixels or clicks; null: one label "
        "per image",
    )
    root_seed: Size = Field(0, description="root of all random streams")
    label_noise: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of labels, validation labels included, that the oracle replaces by another class, drawn "
        "uniformly and the same for all strategies of a seed; test labels stay true",
    )

    @field_validator("budgets")
    @classmethod
    def _budgets_increase(cls, budgets: tuple[int, ...]) -> tuple[int, ...]:
        if not budgets:
            raise ValueError("expected at least one budget, found none")
        if any(b <= a for a, b in itertools.pairwise(budgets)):
            raise ValueError(f"expected strictly increasing budgets, found {list(budgets)}")
        return budgets

    @model_validator(mode="after")
    def _validation_fits(self) -> Protocol:
        if self.charged_validation >= self.budgets[0]:
            raise ValueError(
                f"expected the first budget ({self.budgets[0]}) to exceed the counted validation labels "
                f"({self.charged_validation}); raise budgets[0], lower splits.validation_size, or set "
                "splits.validation_counted = false"
            )
        if self.regime.selection == "best-validation" and not self.splits.validation_size:
            raise ValueError("regime.selection = 'best-validation' needs splits.validation_size >= 1, found 0")
        return self

    @model_validator(mode="after")
    def _tuning_has_labels(self) -> Protocol:
        tuning = self.regime.tuning
        if tuning is None:
            return self
        if (tuning.held_out is None) == (not self.splits.validation_size):
            found = (
                "neither" if tuning.held_out is None else f"both: {self.splits.validation_size} and {tuning.held_out:g}"
            )
            raise ValueError(
                "expected regime.tuning to score its trials on labels that the protocol grants: "
                "splits.validation_size, or else "
                f"regime.tuning.held_out, a share of the labelled images; found {found}; give one of them"
            )
        first = self.training_labels[0]
        if tuning.held_out and self.labelling is None and not 0 < held_out_size(tuning.held_out, first) < first:
            raise ValueError(
                f"expected regime.tuning.held_out to leave images on both sides at the first budget, found "
                f"{held_out_size(tuning.held_out, first)} of {first} held out; change it, or raise budgets[0]"
            )
        return self

    @model_validator(mode="after")
    def _reference_fits_the_budgets(self) -> Protocol:
        if self.reference is None:
            return self
        unknown = sorted(set(self.reference.values) - {str(b) for b in self.budgets})
        if unknown or (not self.reference.values and self.reference.aubc is None):
            found = f"values at {', '.join(unknown)}" if unknown else "neither values nor aubc"
            raise ValueError(
                f"expected reference.values at budgets among {list(self.budgets)}, or reference.aubc; found {found}"
            )
        return self

    @model_validator(mode="after")
    def _construction_fits_the_splits(self) -> Protocol:
        made = self.data.construction
        if made and made.unknown_classes and self.splits.test_size is not None:
            raise ValueError(
                "data.construction.unknown_classes needs the official test set, found splits.test_size; remove one"
            )
        near = made and (made.redundancy is not None or (made.sequence is not None and made.sequence.length > 1))
        if near and (self.splits.test_size is not None or self.splits.validation_size):
            what = "redundancy" if made and made.sequence is None else "sequence"
            raise ValueError(
                f"data.construction.{what} would put near-copies of pool images into validation or test; "
                "use the official test set and splits.validation_size = 0"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit_the_task(self) -> Protocol:
        dense, augmentation, problems = self.task == "segmentation", self.regime.augmentation, []
        if (self.metric in DENSE_METRICS) != dense:
            known = DENSE_METRICS if dense else ("accuracy", "balanced_accuracy", "macro_f1")
            problems.append(f"expected a metric of {self.task}, one of {', '.join(known)}, found {self.metric}")
        if dense and self.splits.initial == "balanced":
            problems.append("splits.initial = 'balanced' needs one class per image; use 'random' for segmentation")
        if dense and self.regime.imbalance != "none":
            problems.append(
                f"regime.imbalance = {self.regime.imbalance!r} needs one class per image; use 'none' for segmentation"
            )
        if dense and self.regime.pretraining:
            problems += self.regime.pretraining.segmentation_problems()
        if dense and self.regime.stop_at is not None:
            problems.append("regime.stop_at is an accuracy over images; leave it out for segmentation")
        if dense and self.label_noise:
            problems.append("label_noise exchanges the class of whole images; set it to 0 for segmentation")
        if dense and self.data.encoder:
            problems.append("data.encoder embeds whole images; leave it out for segmentation")
        if dense and self.data.construction and self.data.construction.sequence is None:
            problems.append(
                "data.construction uses the classes of whole images; for segmentation use only its sequence"
            )
        for spec in (augmentation, self.regime.semi and self.regime.semi.strong):
            used = {name for name, value in spec if value} if spec else set()
            if unknown := sorted(used & ({"shift", "rand_augment", "cutout"} if dense else {"zoom", "crop", "colour"})):
                problems.append(f"augmentation of {self.task} has no {', '.join(unknown)}; remove it")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _solver_has_a_linear_head(self) -> Protocol:
        if self.regime.solver is None:
            return self
        problems = []
        if self.model.name != "linear" and self.regime.pretraining is None:
            problems.append(f"regime.solver solves a linear head, found model.name = {self.model.name!r}; use 'linear'")
        if self.model.dropout:
            problems.append(f"regime.solver has no dropout, found model.dropout = {self.model.dropout:g}; set it to 0")
        if self.task != "classification":
            problems.append(f"regime.solver is for classification, found task = {self.task!r}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _labelling_fits(self) -> Protocol:
        if self.labelling is None:
            return self
        problems = []
        if self.task != "segmentation":
            problems.append("labelling is for masks; remove it, or use task = 'segmentation'")
        if self.charged_validation:
            problems.append(
                "labelling charges only training labels: set splits.validation_counted = false or "
                "splits.validation_size = 0"
            )
        if self.splits.initial == "strategy":
            problems.append("labelling starts from regions that the seed draws: set splits.initial = 'random'")
        if self.regime.epochs is not None:
            problems.append(
                "labelling needs regime.steps, not regime.epochs: images differ in their share of labelled pixels"
            )
        if self.regime.method == "s4gan" and self.labelling.unit != "image":
            problems.append(
                "s4gan's critic could tell real masks by their unlabelled pixels; use another method with regions"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def frozen_features(self) -> bool:
        """Return whether only a small head is trained, so that a run is short."""
        pretraining = self.regime.pretraining
        return self.model.name in ("linear", "mlp") or (pretraining is not None and pretraining.then == "linear-probe")

    @property
    def metered(self) -> bool:
        """Return whether budgets limit the total cost of units of different cost, and not their number."""
        return self.labelling is not None and self.labelling.metered

    @property
    def currency(self) -> str:
        """Return what budgets count, in the plural: labels, regions, pixels or clicks."""
        return "labels" if self.labelling is None else self.labelling.currency

    @property
    def charged_validation(self) -> int:
        """Return the number of validation labels that the budget pays for."""
        return self.splits.validation_size if self.splits.validation_counted else 0

    @property
    def training_labels(self) -> tuple[int, ...]:
        """Return the labelled training units of each round; with metered budgets, their largest total cost."""
        return tuple(b - self.charged_validation for b in self.budgets)

    def with_setting(self, setting: HyperparameterSetting) -> Protocol:
        """Return the protocol with its recipe changed by a setting. Its fingerprint has no meaning."""
        return self.model_copy(update={"regime": with_setting(self.regime, setting)})

    @property
    def recipe(self) -> str:
        """Return the SHA-256 of regime and model, as recorded in every round.

        In tuned rounds it is that of the protocol after `with_setting`.
        """
        return fingerprint(
            RECIPE_TAG, {"regime": self.regime.fingerprint_content(), "model": self.model.model_dump(mode="json")}
        )

    @property
    def fingerprint(self) -> str:
        """Return a SHA-256 that is equal for equal comparisons, whatever their names."""
        return fingerprint(PROTOCOL_TAG, self.fingerprint_content())

    def fingerprint_content(self) -> dict[str, Any]:
        """Return what the fingerprint covers: every value but names.

        Fields of later releases are included only where they are used.
        """
        body = self.model_dump(mode="json", exclude={"name", "title", "source", "provenance", "reference", "regime"})
        for part, field in LATER:
            if body[part][field] is None:
                del body[part][field]
        if self.data.construction is not None:
            body["data"]["construction"] = self.data.construction.fingerprint_content()
        if self.data.encoder is not None:
            body["data"]["encoder"] = self.data.encoder.fingerprint_content()
        if not self.label_noise:
            del body["label_noise"]
        if self.labelling is None:
            del body["labelling"]
        return body | {"regime": self.regime.fingerprint_content()}


UPPER_LINE: Final = "oracle"
"""The only strategy that sees labels before it buys them: an upper bound, never judged."""

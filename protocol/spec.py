"""What a comparison fixes: `Protocol` (everything but the strategy) and `Study` (what is run).

Strict and frozen: no coercion, no unknown keys, no NaN. TOML comes in through `protocol.reading`;
`fingerprint` goes out and identifies the comparison. Budgets are in labels, sizes in images,
lengths in pixels, shares in [0, 1].
"""

from __future__ import annotations

import itertools
import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from protocol.canonical import fingerprint

PROTOCOL_TAG: Final = "beatrandom/protocol/1"
STUDY_TAG: Final = "beatrandom/study/1"
BASELINE: Final = "random"

LATER: Final = (("data", "resolution"), ("splits", "pool_size"))
"""Fields that fingerprints cover only where they are used, so that older protocols keep theirs."""

EXACT: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly; fingerprints need that."""

Count = Annotated[int, Field(ge=1, le=EXACT)]
Size = Annotated[int, Field(ge=0, le=EXACT)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
Argument = bool | int | float | str


class Part(BaseModel):
    """Base of every part of a specification: strict, frozen, closed, finite."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Part):
    """Which images."""

    name: Name = Field(description="data set as listed by `beatrandom datasets`, or 'npz' / 'folder' for your own")
    path: str | None = Field(None, description="own data: file or folder, relative to --data-root unless absolute")
    digest: str | None = Field(None, description="SHA-256 of the content that is expected; null: taken as found and recorded")
    resolution: Count | None = Field(
        None, description="shorter side in pixels to which images are averaged down; a divisor of both sides; null: as they are"
    )


class Splits(Part):
    """How the images are divided, per seed."""

    test_size: Count | None = Field(None, description="images held out as test set, per seed; null: the data set's official test set")
    validation_size: Size = Field(0, description="labelled validation images, drawn from the training images before the pool is formed")
    validation_counted: bool = Field(True, description="whether validation labels are charged to the budget")
    pool_size: Count | None = Field(None, description="images of the pool, drawn per seed; null: all that are left")
    initial: Literal["random", "balanced"] = Field(
        "random", description="how the starting set is drawn: uniformly, or the same number per class"
    )


class RandAugment(Part):
    """RandAugment (Cubuk 2020, arXiv 1909.13719)."""

    ops: Count = Field(2, description="operations applied one after the other to each image")
    magnitude: Annotated[float, Field(ge=0, le=10)] = Field(10.0, description="strength of each operation, 0 to 10")


class Augmentation(Part):
    """Random changes of the training images; never applied when predicting or scoring the pool."""

    flip: bool = Field(False, description="mirror left-right with probability 1/2")
    shift: Size = Field(0, description="reflect-pad by this many pixels and crop back at a random place")
    rand_augment: RandAugment | None = Field(None, description="RandAugment; null: none")
    cutout: Size = Field(0, description="side in pixels of a square blanked at a random place; 0: none")


class Optimizer(Part):
    """How weights are updated."""

    name: Literal["sgd", "adam", "adamw"] = Field(description="torch.optim class")
    lr: Annotated[float, Field(gt=0)] = Field(description="peak learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="momentum (sgd only)")
    nesterov: bool = Field(False, description="Nesterov momentum (sgd only)")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="weight decay")
    schedule: Literal["constant", "cosine"] = Field("constant", description="learning rate over the steps of a round; cosine ends at 0")
    warmup_steps: Size = Field(0, description="steps of linear warm-up from 0")

    @model_validator(mode="after")
    def _momentum_is_for_sgd(self) -> Optimizer:
        if self.name != "sgd" and (self.momentum or self.nesterov):
            raise ValueError(f"momentum and nesterov belong to sgd, found them with {self.name}; remove them")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0")
        return self


class Swa(Part):
    """Stochastic weight averaging (Izmailov 2018, arXiv 1803.05407): the mean of late weights is evaluated."""

    start: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of the steps after which weights are averaged")
    lr: Annotated[float, Field(gt=0)] = Field(description="constant learning rate from then on")
    every: Count = Field(description="steps between averaged weights; the last step counts in any case")


class Semi(Part):
    """What the semi-supervised methods do with the pool's images; those already labelled are among them."""

    unlabelled_batch: Count = Field(description="pool images a step; a smaller pool is one batch")
    weight: Annotated[float, Field(ge=0)] = Field(1.0, description="weight of the loss on them")
    ramp_steps: Size = Field(0, description="steps over which that weight grows from 0: linearly, mean-teacher by exp(-5 (1 - t)^2)")
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="least probability of a predicted class that is learned from")
    temperature: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="divides the logits of the target (uda only)")
    tsa: Literal["none", "linear", "exp", "log"] = Field("none", description="training signal annealing (uda only)")
    strong: Augmentation | None = Field(
        None, description="second view (uda, fixmatch and flexmatch, which need it); the first is augmentation"
    )


class Regime(Part):
    """The training recipe; the same for every strategy of a comparison."""

    name: Name = Field(description="label of the recipe in tables and figures, e.g. plain, augmented")
    method: Literal["supervised", "pseudo-label", "mean-teacher", "uda", "fixmatch", "flexmatch"] = Field(
        "supervised", description="learning method; all but the first also learn from the pool's images, never from their labels"
    )
    steps: Count | None = Field(None, description="optimisation steps a round, whatever the labelled set's size; or give epochs")
    epochs: Count | None = Field(None, description="passes over the labelled set a round; or give steps")
    batch_size: Count = Field(description="labelled images a step; a smaller labelled set is one batch")
    optimizer: Optimizer
    augmentation: Augmentation = Field(default_factory=Augmentation)
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share of the target spread over all classes")
    selection: Literal["last", "best-validation"] = Field(
        "last", description="which weights are evaluated: after the last step, or the best on the validation labels"
    )
    validate_every: Count | None = Field(None, description="steps between validation passes (best-validation only)")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="arithmetic of forward and backward (bfloat16: autocast)")
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="evaluate a moving average of the weights that keeps this share a step (less at the start); null: the weights"
    )
    swa: Swa | None = Field(None, description="evaluate the mean of late weights; null: the weights")
    semi: Semi | None = Field(None, description="the semi-supervised part; null for supervised")

    @model_validator(mode="after")
    def _one_length_and_a_way_to_select(self) -> Regime:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"expected exactly one of steps and epochs, found steps={self.steps}, epochs={self.epochs}")
        if (self.selection == "best-validation") != (self.validate_every is not None):
            raise ValueError("selection = 'best-validation' and validate_every go together; give both or neither")
        if self.swa and (self.ema_decay or self.selection != "last"):
            raise ValueError("swa evaluates the mean of late weights, so it excludes ema_decay and selection = 'best-validation'")
        return self

    @model_validator(mode="after")
    def _semi_fits_the_method(self) -> Regime:
        if (self.method == "supervised") != (self.semi is None):
            raise ValueError(f"method {self.method!r} and the table semi do not go together: supervised has none, all others need one")
        if self.semi is None:
            return self
        two_views = self.method in ("uda", "fixmatch", "flexmatch")
        if two_views != (self.semi.strong is not None):
            raise ValueError(f"{self.method}: semi.strong is {'needed' if two_views else 'not used; remove it'}")
        if self.method != "uda" and (self.semi.temperature != 1 or self.semi.tsa != "none"):
            raise ValueError(f"semi.temperature and semi.tsa belong to uda, found them with {self.method}; remove them")
        if self.method == "mean-teacher" and (self.ema_decay is None or self.semi.threshold):
            raise ValueError("mean-teacher needs ema_decay, its teacher, and has no semi.threshold")
        return self

    def fingerprinted(self) -> dict[str, Any]:
        """What fingerprints cover: fields that came later only where they are used, so that older recipes keep theirs."""
        return self.model_dump(mode="json", exclude={name for name in ("ema_decay", "swa", "semi") if getattr(self, name) is None})


class Model(Part):
    """The network, rebuilt from the seed's model stream every round."""

    name: Name = Field(description="network as known to the runner, e.g. small-cnn, resnet18")
    width: Count | None = Field(None, description="channels of the first stage; null: the network's own")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="dropout before the last layer, for every strategy alike")


class Protocol(Part):
    """Frozen, fully resolved description of one comparison: everything but the strategy."""

    name: Name = Field(description="readable id; part of record paths")
    title: str = Field("", description="one line for people; not part of the fingerprint")
    source: str = Field("", description="paper or page the values follow; not part of the fingerprint")
    provenance: dict[str, str] = Field(
        default_factory=dict, description="field path -> 'published: …' or 'our choice: …'; not part of the fingerprint"
    )
    task: Literal["classification"] = Field("classification", description="kind of prediction")
    data: Data
    splits: Splits = Field(default_factory=Splits)
    budgets: tuple[Count, ...] = Field(
        description="labels paid for at each round, strictly increasing; validation labels included if validation_counted"
    )
    model: Model
    regime: Regime
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1"] = Field(
        "accuracy", description="primary metric on the test set, in [0, 1], higher is better"
    )
    root_seed: Size = Field(0, description="root of all random streams")

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
                f"({self.charged_validation}); raise budgets[0], lower splits.validation_size, or set splits.validation_counted = false"
            )
        if self.regime.selection == "best-validation" and not self.splits.validation_size:
            raise ValueError("regime.selection = 'best-validation' needs splits.validation_size >= 1, found 0")
        return self

    @property
    def charged_validation(self) -> int:
        """Validation labels that the budget pays for."""
        return self.splits.validation_size if self.splits.validation_counted else 0

    @property
    def training_labels(self) -> tuple[int, ...]:
        """Labelled training images at each round."""
        return tuple(b - self.charged_validation for b in self.budgets)

    @property
    def fingerprint(self) -> str:
        """SHA-256 that is equal for equal comparisons, whatever they are called."""
        body = self.model_dump(mode="json", exclude={"name", "title", "source", "provenance", "regime"})
        for part, field in LATER:
            if body[part][field] is None:
                del body[part][field]
        return fingerprint(PROTOCOL_TAG, body | {"regime": self.regime.fingerprinted()})


UPPER_LINE: Final = "oracle"
"""The one strategy that is told labels before it buys them: shown as an upper line, never judged."""


class StrategySpec(Part):
    """One query strategy with its arguments."""

    name: str = Field(min_length=1, description="registered name, 'file.py:Name' or 'package.module:Name'")
    label: str = Field(
        "", pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]*)?$", max_length=100, description="name in paths and tables; empty: derived from name"
    )
    args: dict[str, Argument] = Field(default_factory=dict, description="keyword arguments of the strategy")
    source_digest: str | None = Field(None, description="SHA-256 of an own strategy's file, filled in when the study is resolved")
    tuning: Size | None = Field(
        None, description="how many settings were tried, on any data, before these arguments were chosen; null: not declared"
    )

    @field_validator("args")
    @classmethod
    def _integers_are_exact(cls, args: dict[str, Argument]) -> dict[str, Argument]:
        for key, value in args.items():
            if isinstance(value, int | float) and value == int(value) and abs(value) > EXACT:
                raise ValueError(f"expected {key} within ±(2**53 - 1), found {value}")
        return args

    @property
    def upper_line(self) -> bool:
        """Whether it may see labels that were not bought, and is therefore no competitor."""
        return self.name == UPPER_LINE

    @property
    def id(self) -> str:
        """Label that is safe in paths and unique in a study."""
        if self.label:
            return self.label
        stem = self.name.rsplit("/", 1)[-1].replace(".py:", "-").replace(":", "-")
        return re.sub(r"[^A-Za-z0-9._+-]", "-", stem).lstrip("._+-") or "strategy"


class Plan(Part):
    """The analysis, fixed before the first run; anything else is exploratory."""

    endpoint: Literal["aubc"] = Field("aubc", description="primary endpoint: paired difference to random in area under the budget curve")
    test: Literal["sign-flip", "t", "wilcoxon"] = Field("sign-flip", description="two-sided paired test of the endpoint")
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(0.05, description="family-wise error rate")
    delta: Annotated[float, Field(gt=0)] = Field(0.01, description="equivalence margin in units of the metric; below 1 in a study")
    correction: Literal["holm", "hochberg", "hommel", "bh", "by"] = Field(
        "holm",
        description="multiplicity correction over the family; hochberg and hommel assume positive dependence, bh and by hold the false "
        "discovery rate, not the family-wise error",
    )
    family: Literal["strategies x protocols", "strategies"] = Field(
        "strategies x protocols", description="tests corrected together: all of the study, or within each protocol"
    )
    secondary: tuple[Literal["aubc-log2", "final"], ...] = Field((), description="planned secondary endpoints; others are exploratory")
    at_budgets: tuple[Count, ...] = Field((), description="budgets at which the metric itself is a planned secondary endpoint")
    looks: tuple[Annotated[int, Field(ge=2, le=EXACT)], ...] = Field(
        (), description="numbers of seeds at which the endpoint is tested, the last one all of them; empty: once, at the end"
    )
    spending: Literal["obrien-fleming", "pocock"] = Field(
        "obrien-fleming", description="how alpha is spent over the looks (Lan & DeMets 1983)"
    )

    @field_validator("looks")
    @classmethod
    def _looks_increase(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if any(b <= a for a, b in itertools.pairwise(looks)):
            raise ValueError(f"expected strictly increasing looks, found {list(looks)}")
        return looks

    def fingerprinted(self) -> dict[str, Any]:
        """What a study's fingerprint covers: fields that came later only where they are used, so that older plans keep theirs."""
        later = {name for name in ("secondary", "at_budgets", "looks") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=later | (set() if self.looks else {"spending"}))


class Study(Part):
    """Protocols x strategies (random always among them) x seeds, and the plan of analysis."""

    name: Name
    protocols: tuple[Protocol, ...] = Field(min_length=1)
    strategies: tuple[StrategySpec, ...] = Field(min_length=1)
    seeds: tuple[Size, ...] = Field(min_length=1, description="replicates; curves are paired by them")
    plan: Plan = Field(default_factory=Plan)

    @model_validator(mode="after")
    def _names_are_unique_and_random_is_in(self) -> Study:
        problems = []
        for what, values in (
            ("protocol name", [p.name for p in self.protocols]),
            ("protocol fingerprint", [p.fingerprint for p in self.protocols]),
            ("strategy label", [s.id.casefold() for s in self.strategies]),
            ("seed", [str(s) for s in self.seeds]),
        ):
            repeated = sorted({v for v in values if values.count(v) > 1})
            if repeated:
                problems.append(f"expected each {what} once, found {', '.join(repeated)} more than once")
        if not any(s.id == BASELINE and s.name == BASELINE for s in self.strategies):
            problems.append("expected the baseline 'random' among the strategies, found it missing")
        problems += self._plan_does_not_fit()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _plan_does_not_fit(self) -> list[str]:
        plan, problems = self.plan, []
        if plan.delta >= 1:
            problems.append(f"expected plan.delta below 1, as metrics lie in [0, 1], found {plan.delta:g}")
        if plan.looks and plan.looks[-1] != len(self.seeds):
            problems.append(f"expected the last of plan.looks to be all {len(self.seeds)} seeds, found {plan.looks[-1]}")
        for p in self.protocols:
            absent = sorted(set(plan.at_budgets) - set(p.budgets))
            if absent:
                problems.append(f"expected plan.at_budgets among the budgets of {p.name}, found {absent}")
        return problems

    def with_strategies(self, strategies: tuple[StrategySpec, ...]) -> Study:
        """The same study with other strategies, checked as if read anew."""
        return Study(name=self.name, protocols=self.protocols, strategies=strategies, seeds=self.seeds, plan=self.plan)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over protocols' fingerprints, strategies, seeds and plan."""
        body: dict[str, Any] = self.model_dump(mode="json", exclude={"name", "protocols", "plan"}) | {"plan": self.plan.fingerprinted()}
        body["protocols"] = {p.name: p.fingerprint for p in self.protocols}
        for strategy in body["strategies"]:  # what is not declared leaves the fingerprint as it was before one could declare it
            if strategy["tuning"] is None:
                del strategy["tuning"]
        return fingerprint(STUDY_TAG, body)

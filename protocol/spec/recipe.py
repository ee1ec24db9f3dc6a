"""The training recipe: `Regime` and its parts. Lengths are in pixels, shares in [0, 1]."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from protocol.spec.base import DIGEST, Count, FrozenModel, Images, Name, Side, Size, Steps, Width
from protocol.spec.solver import Solver, solver_faults
from protocol.spec.tuning import Tuning, tuning_faults

Positive = Annotated[float, Field(gt=0)]


class RandAugment(FrozenModel):
    """RandAugment (Cubuk 2020, arXiv 1909.13719)."""

    ops: Count = Field(2, description="operations applied one after the other to each image")
    magnitude: Annotated[float, Field(ge=0, le=10)] = Field(10.0, description="strength of each operation, 0 to 10")


class Augmentation(FrozenModel):
    """Random changes of the training images; not applied when predicting or scoring the pool."""

    flip: bool = Field(False, description="mirror left-right with probability 1/2")
    shift: Size = Field(0, description="reflect-pad by this many pixels and crop back at a random position")
    rand_augment: RandAugment | None = Field(None, description="RandAugment; null: none")
    cutout: Size = Field(0, description="side in pixels of a square blanked at a random position; 0: none")
    zoom: tuple[Positive, Positive] | None = Field(
        None,
        description="smallest and largest factor by which image and mask are enlarged, drawn log-uniformly "
        "(segmentation only)",
    )
    crop: Side | None = Field(
        None,
        description="side in pixels of a square cropped from image and mask at a random position (segmentation only)",
    )
    colour: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="brightness, contrast and saturation are each scaled by a factor in 1 ± this (segmentation only)",
    )

    @field_validator("zoom")
    @classmethod
    def _zoom_is_a_range(cls, zoom: tuple[float, float] | None) -> tuple[float, float] | None:
        if zoom and zoom[0] > zoom[1]:
            raise ValueError(f"expected zoom = [smallest, largest], found {list(zoom)}")
        return zoom

    def unused_fields(self) -> set[str]:
        """Return the fields of later releases that are not used."""
        return {name for name in ("zoom", "crop", "colour") if not getattr(self, name)}


class Optimizer(FrozenModel):
    """Optimizer and learning-rate schedule."""

    name: Literal["sgd", "adam", "adamw", "nadam"] = Field(description="torch.optim class")
    lr: Annotated[float, Field(gt=0)] = Field(description="peak learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="momentum (sgd only)")
    nesterov: bool = Field(False, description="Nesterov momentum (sgd only)")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="weight decay")
    schedule: Literal["constant", "cosine", "poly"] = Field(
        "constant",
        description="learning rate over the steps of a round; cosine and poly, which is lr (1 - t/T)^0.9, end at 0",
    )
    warmup_steps: Size = Field(0, description="steps of linear warm-up from 0")

    @model_validator(mode="after")
    def _momentum_is_for_sgd(self) -> Optimizer:
        if self.name != "sgd" and (self.momentum or self.nesterov):
            raise ValueError(f"momentum and nesterov belong to sgd, found them with {self.name}; remove them")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0")
        return self


class Swa(FrozenModel):
    """Stochastic weight averaging (Izmailov 2018, arXiv 1803.05407).

    The mean of late weights is evaluated.
    """

    start: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of the steps after which averaging begins")
    lr: Annotated[float, Field(gt=0)] = Field(description="constant learning rate while averaging")
    every: Steps = Field(description="steps between averaged weights; the last step is always included")


class Discriminator(FrozenModel):
    """Image-wise critic of s4gan (arXiv 1908.05724).

    It distinguishes labelled masks from predicted maps of the pool.
    """

    lr: Annotated[float, Field(gt=0)] = Field(
        1e-4, description="peak learning rate of its own Adam; the schedule is that of optimizer"
    )
    width: Width = Field(64, description="channels of its first layer; they double three times")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="share of channels dropped after every layer but the last"
    )
    feature_weight: Annotated[float, Field(ge=0)] = Field(
        0.1, description="weight of the feature-matching loss, growing over ramp_steps"
    )


class Semi(FrozenModel):
    """Options of the semi-supervised methods.

    These methods learn from all images of the pool, labelled ones included.
    """

    unlabelled_batch: Images = Field(description="pool images per step; a smaller pool is one batch")
    weight: Annotated[float, Field(ge=0)] = Field(1.0, description="weight of the loss on them")
    ramp_steps: Size = Field(
        0, description="steps over which that weight grows from 0: linearly, mean-teacher by exp(-5 (1 - t)^2)"
    )
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="smallest probability of a predicted class (s4gan: smallest score of a whole map) that is learned "
        "from",
    )
    temperature: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="divides the logits of the target (uda only)"
    )
    tsa: Literal["none", "linear", "exp", "log"] = Field("none", description="training signal annealing (uda only)")
    strong: Augmentation | None = Field(
        None,
        description="second view, needed by uda, fixmatch, flexmatch and unimatch (there it changes only colours and "
        "is mixed); the first view is augmentation",
    )
    discriminator: Discriminator | None = Field(
        None, description="critic of s4gan, which needs it; null for all other methods"
    )

    def unused_fields(self) -> set[str]:
        """Return the fields of later releases that are not used."""
        return {"discriminator"} if self.discriminator is None else set()


class Views(FrozenModel):
    """Random views of an image, mapped to similar embeddings (arXiv 2002.05709, section 3)."""

    flip: bool = Field(False, description="mirror left-right with probability 1/2")
    least_area: Annotated[float, Field(gt=0, le=1)] = Field(
        0.2, description="smallest share of the image that a random crop keeps, before it is scaled back; 1: no crop"
    )
    jitter: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5,
        description="strength of the colour jitter, applied with probability 0.8: at 1, brightness, contrast and "
        "saturation 1 ± 0.8, hue ± 0.2",
    )
    grey: Annotated[float, Field(ge=0, le=1)] = Field(0.2, description="probability of a grey image")


class SelfSupervised(FrozenModel):
    """Pretraining on the pool's images without labels, done once for all runs with the same pool."""

    method: Literal["simclr", "simsiam"] = Field(description="SimCLR (arXiv 2002.05709) or SimSiam (arXiv 2011.10566)")
    epochs: Steps = Field(description="passes over the pool")
    batch_size: Images = Field(description="images per step, each in two views; a smaller pool is one batch")
    optimizer: Optimizer
    views: Views = Field(default_factory=Views)
    temperature: Annotated[float, Field(gt=0)] | None = Field(
        None, description="temperature of the contrastive loss (needed by simclr, simclr only)"
    )
    hidden: Width = Field(512, description="width of the projection head, which is discarded afterwards")
    projection: Width = Field(128, description="size of the head's output")

    @model_validator(mode="after")
    def _temperature_is_for_simclr(self) -> SelfSupervised:
        if (self.method == "simclr") != (self.temperature is not None):
            raise ValueError(
                f"temperature is {'needed by simclr' if self.method == 'simclr' else 'not used by simsiam; remove it'}"
            )
        return self


class Pretraining(FrozenModel):
    """Initial weights of the network's body, and how every round trains from them."""

    then: Literal["linear-probe", "fine-tune"] = Field(
        description="train a linear layer on the frozen, standardised embeddings, or the whole network from the "
        "pretrained body"
    )
    self_supervised: SelfSupervised | None = Field(None, description="learn the body from the pool's images")
    weights: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="or a file of weights of the body (.pth, .pt, .safetensors; for segmentation: of the encoder), "
        "relative to --data-root unless absolute; its path is not part of the fingerprint",
    )
    weights_digest: Annotated[str, Field(pattern=DIGEST)] | None = Field(
        None, description="SHA-256 of that file, filled in when the study is resolved"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Pretraining:
        if self.self_supervised is None and self.weights is None:
            raise ValueError("expected the table self_supervised or a file of weights, found neither")
        if self.self_supervised is not None and self.weights is not None:
            raise ValueError("expected one of self_supervised and weights, found both; remove one")
        if self.weights is None and self.weights_digest is not None:
            raise ValueError("weights_digest belongs to the file weights; add the file, or remove the digest")
        return self

    def segmentation_problems(self) -> list[str]:
        """Return what segmentation cannot use of it, in words."""
        problems = []
        if self.self_supervised:
            problems.append("regime.pretraining.self_supervised embeds whole images; use weights for segmentation")
        if self.then != "fine-tune":
            problems.append(
                "regime.pretraining.then = 'linear-probe' embeds whole images; use 'fine-tune' for segmentation"
            )
        return problems

    def fingerprint_content(self) -> dict[str, Any]:
        """Return the values that are used; of a weights file its content, not its path."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"weights"})


class Regime(FrozenModel):
    """Training recipe, the same for every strategy of a comparison."""

    name: Name = Field(description="label of the recipe in tables and figures, e.g. plain, augmented")
    method: Literal[
        "supervised", "pseudo-label", "mean-teacher", "uda", "fixmatch", "flexmatch", "cutmix", "s4gan", "unimatch"
    ] = Field(
        "supervised",
        description="learning method; all but the first also learn from the pool's images, never from their labels; "
        "the last three are for segmentation, the others but the first for classification",
    )
    steps: Steps | None = Field(
        None, description="optimisation steps per round, whatever the size of the labelled set; or give epochs"
    )
    epochs: Steps | None = Field(None, description="passes over the labelled set per round; or give steps")
    batch_size: Images | None = Field(
        None, description="labelled images per step; a smaller labelled set is one batch; null: only with a solver"
    )
    optimizer: Optimizer | None = Field(
        None, description="optimizer and learning-rate schedule; null: only with a solver"
    )
    solver: Solver | None = Field(
        None,
        description="solve a linear head to convergence, instead of steps, batch_size and optimizer; null: train by "
        "steps",
    )
    augmentation: Augmentation = Field(default_factory=Augmentation)
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of the target spread over all classes"
    )
    selection: Literal["last", "best-validation"] = Field(
        "last", description="evaluated weights: those after the last step, or the best on the validation labels"
    )
    validate_every: Steps | None = Field(None, description="steps between validation passes (best-validation only)")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of forward and backward (bfloat16: autocast)"
    )
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="evaluate a moving average of the weights that keeps this share per step (less at the start); "
        "null: no average",
    )
    swa: Swa | None = Field(None, description="evaluate the mean of late weights; null: no mean")
    semi: Semi | None = Field(None, description="the semi-supervised part; null for supervised")
    pretraining: Pretraining | None = Field(
        None, description="initial weights of the network's body; null: untrained, from the seed"
    )
    epoch_at_least: Images | None = Field(
        None,
        description="smallest number of images per epoch: smaller labelled sets are passed over more often; null: no "
        "minimum",
    )
    stop_at: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="training accuracy over an epoch at which a round ends; steps or epochs are then the maximum "
        "(supervised only); null: never",
    )
    imbalance: Literal["none", "balanced-batches", "weighted-loss"] = Field(
        "none",
        description="treatment of classes of unequal size: draw every class equally often, or weight an image's loss "
        "by the inverse of its class's number of labels",
    )
    start: Literal["reset", "warm"] = Field(
        "reset",
        description="initial weights of a round: drawn from the seed in every round, or (warm, from the second round "
        "on) those that the previous round was evaluated with; optimizer and schedule restart in either case",
    )
    tuning: Tuning | None = Field(
        None,
        description="trials inside every run that choose some of these values, the same for all strategies; null: no "
        "tuning",
    )

    @model_validator(mode="after")
    def _one_length_and_a_way_to_select(self) -> Regime:
        if problems := solver_faults(self):
            raise ValueError("; ".join(problems))
        if (self.selection == "best-validation") != (self.validate_every is not None):
            raise ValueError("selection = 'best-validation' and validate_every go together; give both or neither")
        if self.swa and (self.ema_decay or self.selection != "last"):
            raise ValueError(
                "swa evaluates the mean of late weights, so it excludes ema_decay and selection = 'best-validation'"
            )
        return self

    @model_validator(mode="after")
    def _semi_fits_the_method(self) -> Regime:
        if (self.method == "supervised") != (self.semi is None):
            raise ValueError(
                f"method {self.method!r} and the table semi do not fit: supervised has none, all other methods need one"
            )
        if self.semi is None:
            return self
        two_views = self.method in ("uda", "fixmatch", "flexmatch", "unimatch")
        if two_views != (self.semi.strong is not None):
            raise ValueError(f"{self.method}: semi.strong is {'needed' if two_views else 'not used; remove it'}")
        if self.method != "uda" and (self.semi.temperature != 1 or self.semi.tsa != "none"):
            raise ValueError(f"semi.temperature and semi.tsa belong to uda, found them with {self.method}; remove them")
        if self.method == "mean-teacher" and (self.ema_decay is None or self.semi.threshold):
            raise ValueError("mean-teacher needs ema_decay, its teacher, and has no semi.threshold")
        if self.method == "cutmix" and self.ema_decay is None:
            raise ValueError("cutmix needs ema_decay, its teacher")
        if (self.method == "s4gan") != (self.semi.discriminator is not None):
            raise ValueError(
                f"{self.method}: semi.discriminator is {'needed' if self.method == 's4gan' else 'not used; remove it'}"
            )
        if (
            self.method == "unimatch"
            and self.semi.strong
            and {name for name, value in self.semi.strong if value} - {"colour"}
        ):
            raise ValueError(
                "unimatch mixes the strong views of one weak view, so semi.strong changes only colours; move the rest "
                "to augmentation"
            )
        return self

    @model_validator(mode="after")
    def _length_options_fit(self) -> Regime:
        if self.epoch_at_least is not None and self.epochs is None:
            raise ValueError("epoch_at_least sets the smallest length of an epoch, so it needs epochs; found steps")
        if self.stop_at is not None and (self.semi or self.swa):
            raise ValueError(
                "stop_at ends supervised rounds early; semi-supervision and swa need a fixed last step; remove one"
            )
        return self

    @model_validator(mode="after")
    def _frozen_embeddings_are_not_images(self) -> Regime:
        if self.pretraining and self.pretraining.then == "linear-probe":
            if self.augmentation != Augmentation():
                raise ValueError(
                    "a linear-probe learns from embeddings, which have no augmentation; remove the table augmentation"
                )
            if self.semi and self.semi.strong:
                raise ValueError(
                    f"a linear-probe learns from embeddings, so {self.method} has no two views; use fine-tune"
                )
        return self

    @model_validator(mode="after")
    def _tuning_fits(self) -> Regime:
        if problems := tuning_faults(self):
            raise ValueError("; ".join(problems))
        return self

    @property
    def step_optimizer(self) -> Optimizer:
        """Return the optimizer. Raises ValueError if the recipe has a solver instead."""
        if self.optimizer is None:
            raise ValueError(f"the recipe {self.name} has a solver, and no optimizer")
        return self.optimizer

    @property
    def step_batch(self) -> int:
        """Return the labelled images per step. Raises ValueError if the recipe has a solver instead."""
        if self.batch_size is None:
            raise ValueError(f"the recipe {self.name} has a solver, and no batches")
        return self.batch_size

    def steps_per_epoch(self, labelled: int) -> int:
        """Return the number of batches that cover the labelled images, or `epoch_at_least` images, once."""
        return math.ceil(max(labelled, self.epoch_at_least or 0) / self.step_batch)

    @property
    def fixed_length(self) -> bool:
        """Return whether every round makes exactly `max_steps` steps."""
        return self.stop_at is None and self.solver is None

    def max_steps(self, labelled: int) -> int:
        """Return the steps of a round on that many labelled images; `stop_at` or a solver may end it sooner."""
        if self.solver is not None:
            return self.solver.max_iterations
        return self.steps if self.steps is not None else (self.epochs or 0) * self.steps_per_epoch(labelled)

    def fingerprint_content(self) -> dict[str, Any]:
        """Return what fingerprints cover.

        Fields of later releases are included only where they are used, so that older recipes keep their fingerprint.
        """
        table = self.model_dump(
            mode="json",
            exclude={name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default},
        )
        strong = self.semi and self.semi.strong
        semi: dict[str, Any] = table.get("semi") or {}
        parts = ((self.augmentation, table["augmentation"]), (self.semi, semi), (strong, semi.get("strong", {}) or {}))
        for spec, dumped in parts:
            for name in spec.unused_fields() if spec else ():
                del dumped[name]
        if self.pretraining:
            table["pretraining"] = self.pretraining.fingerprint_content()
        if self.tuning:
            table["tuning"] = self.tuning.fingerprint_content()
        return table


_LATER: Final = (
    *("ema_decay", "swa", "semi", "pretraining", "epoch_at_least", "stop_at", "imbalance", "start", "tuning"),
    *("solver", "batch_size", "optimizer"),
)

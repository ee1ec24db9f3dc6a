"""Hyperparameter tuning inside the protocol: the search space, and the settings that every run tries.

A setting gives values to some fields of a recipe. Which settings are tried depends only on the root seed, the replicate
and the round, so all strategies of a seed try the same, and a checker can draw them again. A round trains with the
setting that scores best on labels that the protocol grants; test labels play no part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

from pydantic import Field, ValidationError, model_validator

from protocol.digests import canonical_json
from protocol.errors import nearest
from protocol.spec.base import FrozenModel

Value = bool | int | float | str
HyperparameterSetting = dict[str, Value]
"""Path in the recipe, such as `optimizer.lr` -> value."""

FIXED: Final = frozenset(
    {"name", "method", "selection", "validate_every", "precision", "imbalance", "start", "stop_at"}
)
"""Top-level fields of a recipe that define the comparison and are not tuned; nor are pretraining and tuning itself."""
DIGITS: Final = 6
"""Significant digits of a drawn real number: readable, and independent of the last bits of a machine's logarithm."""


class Dimension(FrozenModel):
    """Search range of one field: two bounds, or a list of choices."""

    low: float | None = Field(None, description="smallest value")
    high: float | None = Field(None, description="largest value; included for whole numbers")
    scale: Literal["linear", "log"] = Field("linear", description="draw the value uniformly, or its logarithm")
    choices: Annotated[tuple[Value, ...], Field(strict=False)] | None = Field(
        None, description="values, equally likely; instead of low and high"
    )

    @model_validator(mode="after")
    def _bounds_or_choices(self) -> Dimension:
        bounds = (self.low is not None, self.high is not None)
        if (self.choices is not None) == any(bounds) or len(set(bounds)) > 1:
            raise ValueError(f"expected low and high, or choices, found {_given(self)}")
        if self.choices is not None:
            if len({(type(c), c) for c in self.choices}) < max(2, len(self.choices)):
                raise ValueError(f"expected at least two choices, each once, found {list(self.choices)}")
            if self.scale != "linear":
                raise ValueError("scale belongs to low and high, found it with choices; remove it")
        elif self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError(
                    f"expected low below high, found {self.low:g} and {self.high:g}; set fixed values in the recipe"
                )
            if self.scale == "log" and self.low <= 0:
                raise ValueError(f"expected low above 0, since its logarithm is drawn, found {self.low:g}")
        return self

    def ends(self) -> tuple[Value, ...]:
        """Return both bounds, or every choice."""
        return self.choices if self.choices is not None else (self.low or 0.0, self.high or 0.0)


class Tuning(FrozenModel):
    """Random search inside a run (Bergstra & Bengio 2012), the same for every strategy."""

    policy: Literal["starting-set", "every-round"] = Field(
        description="when settings are tried: once on the starting set, for all rounds, or again in every round; "
        "without this table: never"
    )
    trials: Annotated[int, Field(ge=2, le=10_000)] = Field(
        description="settings tried each time, each in a separate training"
    )
    held_out: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="share of the labelled images that trials are scored on and not trained on, drawn again each "
        "time; the round itself trains on all of them; null: trials are scored on the validation images",
    )
    space: dict[str, Dimension] = Field(
        min_length=1,
        description="field of the recipe -> search range: optimizer.lr = { low = 1e-4, high = 0.1, scale = 'log' }, "
        "or { choices = […] }",
    )

    @model_validator(mode="before")
    @classmethod
    def _paths_are_one_key(cls, table: Any) -> Any:
        """Join nested tables, which is how TOML reads `optimizer.lr = …`, into one path."""
        if isinstance(table, dict) and isinstance(table.get("space"), dict):
            return table | {"space": dict(_flat(table["space"]))}
        return table

    def round_of(self, number: int) -> int:
        """Return the round whose trials decide how round `number` trains."""
        return 0 if self.policy == "starting-set" else number

    def steps_of(self, rounds: Sequence[int]) -> int:
        """Return the steps of all trials of a run, given the steps of one training in each round."""
        return self.trials * (rounds[0] if self.policy == "starting-set" else sum(rounds))

    def fingerprint_content(self) -> dict[str, Any]:
        """Return what fingerprints cover: the given values, and `scale` only where it has an effect."""
        table = self.model_dump(mode="json", exclude_none=True)
        for dimension in table["space"].values():
            if "choices" in dimension:
                del dimension["scale"]
        return table


class Recipe(Protocol):
    """Interface of a recipe; `protocol.spec.recipe.Regime` implements it and imports this module."""

    @property
    def name(self) -> str: ...

    @property
    def tuning(self) -> Tuning | None: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...

    def model_dump_json(self) -> str: ...

    @classmethod
    def model_validate_json(cls: type[R], json_data: bytes) -> R: ...


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class RecipeKey:
    """Recipe compared by its content, to cache what the thousands of records of one recipe need."""

    content: str
    regime: Any = field(compare=False)

    @classmethod
    def of(cls, regime: Recipe) -> RecipeKey:
        """Build the key of a recipe."""
        return cls(regime.model_dump_json(), regime)


def tuning_faults(regime: Recipe) -> tuple[str, ...]:
    """Return why a recipe's search space does not fit it, path by path; empty if it does or there is none."""
    return _faults(RecipeKey.of(regime)) if regime.tuning else ()


@lru_cache(maxsize=128)
def _faults(key: RecipeKey) -> tuple[str, ...]:
    return tuple(_find_faults(tuning_of(key.regime), key.regime))


def _find_faults(tuning: Tuning, regime: Recipe) -> Iterator[str]:
    table = regime.model_dump(mode="json")
    sizes: list[float] = []
    for path, dimension in tuning.space.items():
        where, declared = f"tuning.space.{path!r}", at_path(table, path)
        problem = _not_tunable(path, declared, table) or _unlike(dimension, declared)
        if problem is None:
            problem = next(filter(None, (_refused(regime, path, end) for end in _typed(dimension, declared))), None)
            sizes.append(_size(dimension, declared))
        if problem is not None:
            yield f"{where}: {problem}"
    if len(sizes) == len(tuning.space) and tuning.trials > math.prod(sizes):
        most = f"{math.prod(sizes):g}, the number of settings in the space"
        yield f"tuning.trials: expected at most {most}, found {tuning.trials}"


def held_out_size(share: float, labelled: int) -> int:
    """Return the number of held-out images, rounded to the nearest; half rounds up."""
    return math.floor(share * labelled + 0.5)


def with_setting(regime: R, setting: Mapping[str, Value]) -> R:
    """Return the recipe with the values of a setting, without the table tuning.

    Momentum and nesterov are dropped if the drawn optimizer is not SGD.

    Raises:
        ValueError: the values contradict one another.
    """
    table = regime.model_dump(mode="json")
    table["tuning"] = None
    for path, value in setting.items():
        *parents, last = path.split(".")
        part = table
        for parent in parents:
            part = part[parent]
        part[last] = value
    if update := table["optimizer"]:
        update["momentum"] = update["momentum"] if update["name"] == "sgd" else 0.0
        update["nesterov"] = update["nesterov"] and update["momentum"] > 0
    return type(regime).model_validate_json(canonical_json(table))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def tuning_of(regime: Recipe) -> Tuning:
    """Return the tuning table of a recipe. Raises ValueError if it has none."""
    if regime.tuning is None:
        raise ValueError(f"the recipe {regime.name} has no table tuning")
    return regime.tuning


def _given(dimension: Dimension) -> str:
    given = [name for name in ("low", "high", "choices") if getattr(dimension, name) is not None]
    return " and ".join(given) or "neither"


def at_path(table: Mapping[str, Any], path: str) -> Any:
    """Return the value, table or None at a path of a recipe's table.

    Return `...` if the recipe has no such field.
    """
    value: Any = table
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return ...
        value = value[step]
    return value


def _paths(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all single values that may be tuned."""
    for key, value in table.items():
        if prefix or key not in FIXED | {"pretraining", "tuning"}:
            if isinstance(value, dict):
                yield from _paths(value, f"{prefix}{key}.")
            elif isinstance(value, Value):
                yield prefix + key


def _not_tunable(path: str, declared: Any, table: Mapping[str, Any]) -> str | None:
    if path.split(".")[0] in FIXED | {"pretraining", "tuning"}:
        return "defines the comparison and is the same in all trials; leave it out of the space"
    if declared is None:
        return "expected a value in the recipe that trials can change, found none; set one in the recipe"
    if not isinstance(declared, Value):
        known = ", ".join(nearest(path, list(_paths(table))))
        return f"expected a field of the recipe with a single value: {known}; found no such field"
    return None


def _unlike(dimension: Dimension, declared: Value) -> str | None:
    """Return why the dimension is not of the kind of the value that the recipe declares; None if it is."""
    ends = dimension.ends()
    if isinstance(declared, bool | str):
        if dimension.choices is None or any(type(end) is not type(declared) for end in ends):
            kind = "true and false" if isinstance(declared, bool) else "names"
            return f"expected choices among {kind}, found {_spelled(dimension)}"
        return None
    if any(isinstance(end, bool | str) for end in ends):
        return f"expected numbers, found {_spelled(dimension)}"
    if isinstance(declared, int) and any(end != int(end) for end in ends):
        return f"expected whole numbers, found {_spelled(dimension)}"
    return None


def _spelled(dimension: Dimension) -> str:
    return str(list(dimension.ends())) if dimension.choices is not None else f"{dimension.low:g} to {dimension.high:g}"


def _typed(dimension: Dimension, declared: Value) -> Iterator[Value]:
    """Yield the ends in the declared value's type."""
    for end in dimension.ends():
        yield type(declared)(end) if isinstance(declared, int | float) else end


def _refused(regime: Recipe, path: str, value: Value) -> str | None:
    """Return why the recipe cannot have the value; None if it can."""
    try:
        with_setting(regime, {path: value})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        return f"expected values that the recipe can have, found {value!r}: {reason}"
    return None


def _size(dimension: Dimension, declared: Value) -> float:
    """Return a lower bound of the number of values to draw from."""
    if dimension.choices is not None:
        return len(dimension.choices)
    low, high = (float(end) for end in dimension.ends())
    step = 1.0 if isinstance(declared, int) else 10.0 ** (math.floor(math.log10(max(abs(low), abs(high)))) + 1 - DIGITS)
    return max(1, math.floor((high - low) / step) + isinstance(declared, int))

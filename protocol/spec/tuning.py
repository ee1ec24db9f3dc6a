"""Tuning inside the protocol: `Tuning`, and the settings it has every run try, drawn from the seed.

A setting gives values to some of a recipe's fields. Which settings are tried depends on the root seed, the replicate and the
round alone, so all strategies of a seed try the same, and a checker can draw them again. The best by labels that the protocol
grants is the one that the round trains with; test labels have no part in it.
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
"""Fields at the top of a recipe that say what the comparison is, and are not tuned; the tables pretraining and tuning neither."""
DIGITS: Final = 6
"""Significant digits of a drawn real number: readable, and the same whatever last bits a machine's logarithm has."""


class Dimension(FrozenModel):
    """What one field may become: drawn between two bounds, or from a list."""

    low: float | None = Field(None, description="least value")
    high: float | None = Field(None, description="largest value; whole numbers include it")
    scale: Literal["linear", "log"] = Field("linear", description="draw the value itself evenly, or its logarithm")
    choices: Annotated[tuple[Value, ...], Field(strict=False)] | None = Field(
        None, description="values, each as likely; instead of low and high"
    )

    @model_validator(mode="after")
    def _bounds_or_choices(self) -> Dimension:
        bounds = (self.low is not None, self.high is not None)
        if (self.choices is not None) == any(bounds) or len(set(bounds)) > 1:
            raise ValueError(f"expected low and high, or choices, found {_given(self)}")
        if self.choices is not None:
            if len({(type(c), c) for c in self.choices}) < max(2, len(self.choices)):
                raise ValueError(f"expected two choices or more, each once, found {list(self.choices)}")
            if self.scale != "linear":
                raise ValueError("scale is for low and high; remove it beside choices")
        elif self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError(
                    f"expected low below high, found {self.low:g} and {self.high:g}; a fixed value belongs in the recipe"
                )
            if self.scale == "log" and self.low <= 0:
                raise ValueError(f"expected low above 0, as its logarithm is drawn, found {self.low:g}")
        return self

    def ends(self) -> tuple[Value, ...]:
        """Both bounds, or every choice."""
        return self.choices if self.choices is not None else (self.low or 0.0, self.high or 0.0)


class Tuning(FrozenModel):
    """How hyperparameters are chosen inside a run, alike for every strategy: by random search (Bergstra & Bengio 2012)."""

    policy: Literal["starting-set", "every-round"] = Field(
        description="when settings are tried: once, on the starting set, for all rounds, or anew in every round; without the table: never"
    )
    trials: Annotated[int, Field(ge=2, le=10_000)] = Field(
        description="settings tried each time, each by a training of its own"
    )
    held_out: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="share of the labelled images, drawn anew each time, that trials are scored on and not trained on; null: scored on the "
        "validation images. A round itself trains on all of them",
    )
    space: dict[str, Dimension] = Field(
        min_length=1,
        description="field of the recipe -> what it may become: optimizer.lr = { low = 1e-4, high = 0.1, scale = 'log' }, or { choices = […] }",
    )

    @model_validator(mode="before")
    @classmethod
    def _paths_are_one_key(cls, table: Any) -> Any:
        """TOML reads `optimizer.lr = …` as a table in a table; here it is one path."""
        if isinstance(table, dict) and isinstance(table.get("space"), dict):
            return table | {"space": dict(_flat(table["space"]))}
        return table

    def round_of(self, number: int) -> int:
        """The round whose trials decide how round `number` trains."""
        return 0 if self.policy == "starting-set" else number

    def steps_of(self, rounds: Sequence[int]) -> int:
        """Steps of all trials of a run, given those of a training in each round."""
        return self.trials * (rounds[0] if self.policy == "starting-set" else sum(rounds))

    def fingerprint_content(self) -> dict[str, Any]:
        """What fingerprints cover: what is given, scale only where it counts."""
        table = self.model_dump(mode="json", exclude_none=True)
        for dimension in table["space"].values():
            if "choices" in dimension:
                del dimension["scale"]
        return table


class Recipe(Protocol):
    """What this module needs of a recipe; `protocol.spec.recipe.Regime` has it and imports this module."""

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
class Keyed:
    """A recipe that is compared by what it says: the records of a study name one recipe thousands of times."""

    said: str
    regime: Any = field(compare=False)

    @classmethod
    def of(cls, regime: Recipe) -> Keyed:
        return cls(regime.model_dump_json(), regime)


def tuning_faults(regime: Recipe) -> tuple[str, ...]:
    """Why the space of a recipe's table tuning does not fit the recipe, path by path; empty if it does, or if there is no such table."""
    return _faults(Keyed.of(regime)) if regime.tuning else ()


@lru_cache(maxsize=128)
def _faults(keyed: Keyed) -> tuple[str, ...]:
    return tuple(_told_faults(tuning_of(keyed.regime), keyed.regime))


def _told_faults(tuning: Tuning, regime: Recipe) -> Iterator[str]:
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
        yield f"tuning.trials: expected at most {math.prod(sizes):g}, as many settings as the space has, found {tuning.trials}"


def held_out_size(share: float, labelled: int) -> int:
    """Images held out of so many, rounded to the nearest; half goes up."""
    return math.floor(share * labelled + 0.5)


def with_setting(regime: R, setting: Mapping[str, Value]) -> R:
    """The recipe that a setting makes, without the table tuning. Momentum goes where the drawn optimizer has none, nesterov with it.

    Raises:
        ValueError: the values do not fit together.
    """
    table = regime.model_dump(mode="json")
    table["tuning"] = None
    for path, value in setting.items():
        *parents, last = path.split(".")
        part = table
        for parent in parents:
            part = part[parent]
        part[last] = value
    update = table["optimizer"]
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
    """Return the tuning table of a recipe; raise ValueError if it has none."""
    if regime.tuning is None:
        raise ValueError(f"the recipe {regime.name} has no table tuning")
    return regime.tuning


def _given(dimension: Dimension) -> str:
    given = [name for name in ("low", "high", "choices") if getattr(dimension, name) is not None]
    return " and ".join(given) or "neither"


def at_path(table: Mapping[str, Any], path: str) -> Any:
    """What a recipe, as a table, has at a path: a value, a table, None; `...` where it has no such field."""
    here: Any = table
    for step in path.split("."):
        if not isinstance(here, dict) or step not in here:
            return ...
        here = here[step]
    return here


def _paths(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of all single values that may be tuned."""
    for key, value in table.items():
        if prefix or key not in FIXED | {"pretraining", "tuning"}:
            if isinstance(value, dict):
                yield from _paths(value, f"{prefix}{key}.")
            elif isinstance(value, Value):
                yield prefix + key


def _not_tunable(path: str, declared: Any, table: Mapping[str, Any]) -> str | None:
    if path.split(".")[0] in FIXED | {"pretraining", "tuning"}:
        return "says what is compared and is the same in all trials; leave it out of the space"
    if declared is None:
        return "expected a value in the recipe that trials can change, found none; give it one there"
    if not isinstance(declared, Value):
        return f"expected a field of the recipe with a single value: {', '.join(nearest(path, list(_paths(table))))}; found no such field"
    return None


def _unlike(dimension: Dimension, declared: Value) -> str | None:
    """Whether the dimension is of another kind than the value that the recipe declares."""
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
    """The ends in the declared value's type."""
    for end in dimension.ends():
        yield type(declared)(end) if isinstance(declared, int | float) else end


def _refused(regime: Recipe, path: str, value: Value) -> str | None:
    """Why the recipe cannot have the value."""
    try:
        with_setting(regime, {path: value})
    except ValidationError as error:
        return f"expected values that the recipe can have, found {value!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
    return None


def _size(dimension: Dimension, declared: Value) -> float:
    """How many values there are to draw, at least."""
    if dimension.choices is not None:
        return len(dimension.choices)
    low, high = (float(end) for end in dimension.ends())
    step = 1.0 if isinstance(declared, int) else 10.0 ** (math.floor(math.log10(max(abs(low), abs(high)))) + 1 - DIGITS)
    return max(1, math.floor((high - low) / step) + isinstance(declared, int))

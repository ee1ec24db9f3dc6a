"""What a strategy declares about itself, as its process tells it and the run checks it."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any, Final, TypeVar, cast

from pydantic import Field, ValidationError

from protocol.errors import Fault
from protocol.spec.base import FrozenModel
from runners.guard.errors import StrategyError
from runners.strategies.base import Estimation, Strategy
from runners.strategies.on_maps import MapStrategy
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import CHEAP, NEEDS, Need

_Word = Annotated[str, Field(max_length=200)]
_MOST_DRAWS: Final = 10_000
M = TypeVar("M", bound=FrozenModel)


class Sampling(FrozenModel):
    """How uncertainty over the classifier is sampled; see `Estimation`."""

    samples: int = Field(20, ge=1, le=_MOST_DRAWS)
    dropout: float = Field(0.5, gt=0, lt=1)
    members: int = Field(5, ge=1, le=_MOST_DRAWS)


class Pixels(FrozenModel):
    """How scores of pixels become scores of images; see `Aggregation`."""

    top_share: float = Field(1.0, gt=0, le=1)
    boundary_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    per_cost: bool = False


class Declared(FrozenModel):
    """Declarations of a strategy that the run acts upon."""

    needs: tuple[_Word, ...] = Field((), max_length=len(NEEDS))
    tasks: tuple[_Word, ...] = Field((), max_length=10)
    cold_start: bool = False
    sees_order: bool = False
    least: float = Field(0.0, allow_inf_nan=False)
    maps: bool = Field(False, description="whether it scores the pixels of predicted maps")
    estimation: Sampling = Sampling()
    aggregation: Pixels = Pixels()

    @classmethod
    def of(cls, strategy: Strategy) -> Declared:
        """Return what a built strategy declares. Whatever its attributes raise is raised."""
        estimation, aggregation = strategy.estimation, strategy.aggregation
        return cls(
            needs=tuple(map(str, strategy.needs)),
            tasks=tuple(map(str, strategy.tasks)),
            cold_start=bool(strategy.cold_start),
            sees_order=bool(strategy.sees_order),
            least=float(strategy.least),
            maps=isinstance(strategy, MapStrategy),
            estimation=Sampling(samples=estimation.samples, dropout=estimation.dropout, members=estimation.members),
            aggregation=Pixels(
                top_share=aggregation.top_share,
                boundary_weight=aggregation.boundary_weight,
                per_cost=aggregation.per_cost,
            ),
        )

    def known_needs(self) -> tuple[Need, ...]:
        """Return the needs as the runner knows them; unknown ones are refused when the view is built."""
        return cast(tuple[Need, ...], self.needs)

    def as_estimation(self) -> Estimation:
        """Return how to sample uncertainty."""
        return Estimation(**self.estimation.model_dump())

    def as_aggregation(self) -> Aggregation:
        """Return how scores of pixels become one score."""
        return Aggregation(**self.aggregation.model_dump())


class Facts(FrozenModel):
    """What `beatrandom strategies show` says about a strategy."""

    about: str = Field("", max_length=20_000)
    paper: str = Field("", max_length=2_000)
    needs: tuple[_Word, ...] = Field((), max_length=100)
    cost: str = Field("-", max_length=200)
    cold_start: bool = False
    arguments: tuple[Annotated[str, Field(max_length=2_000)], ...] = Field((), max_length=200)

    @classmethod
    def of(cls, builder: Any, declaration: Any) -> Facts:
        """Return the facts of a class or function, as its attributes and its docstring say."""
        return cls(
            about=(inspect.getdoc(builder) or "")[:20_000],
            paper=str(getattr(declaration, "paper", "")),
            needs=tuple(map(str, getattr(declaration, "needs", CHEAP))),
            cost=str(getattr(declaration, "cost", "-")),
            cold_start=bool(getattr(declaration, "cold_start", False)),
            arguments=tuple(map(str, _parameters(builder))) if inspect.isclass(builder) else (),
        )


def _parameters(builder: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(builder, eval_str=True).parameters.values())
    except Exception:  # annotations that cannot be evaluated are shown as written
        return list(inspect.signature(builder).parameters.values())


def checked(model: type[M], told: object, where: str) -> M:
    """Return what a strategy's process told as a model. Raises StrategyError, with every fault."""
    try:
        return model.model_validate_json(json.dumps(told))
    except ValidationError as error:
        raise StrategyError(
            Fault(f"{where}: {'.'.join(map(str, e['loc'])) or 'declarations'}", e["msg"], repr(e["input"])[:200])
            for e in error.errors()[:5]
        ) from None

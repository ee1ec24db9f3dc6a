"""Define a study: protocols, strategies, seeds and the plan of the analysis."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from protocol.digests import fingerprint
from protocol.names import folder_problem, look_alikes, name_problem
from protocol.spec.base import EXACT, Budget, FrozenModel, Label, Name, Size
from protocol.spec.protocol import UPPER_LINE, Argument, Protocol
from protocol.spec.run_id import RunId

STUDY_TAG: Final = "beatrandom/study/1"


BASELINE: Final = "random"
MOST_SEEDS: Final = 10_000
MOST_RUNS: Final = 500_000
_LONGEST_ID: Final = 100
_CASE: Final = {
    "strategy label": " (upper and lower case are one; label = '…' sets another)",
    "protocol name": " (upper and lower case are one)",
}


class StrategySpec(FrozenModel):
    """Query strategy with its arguments."""

    name: str = Field(
        min_length=1, max_length=1000, description="registered name, 'file.py:Name' or 'package.module:Name'"
    )
    label: Label = Field("", description="name in paths and tables; empty: derived from name")
    args: dict[str, Argument] = Field(default_factory=dict, description="keyword arguments of the strategy")
    source_digest: str | None = Field(
        None, description="SHA-256 of a user's strategy file, filled in when the study is resolved"
    )
    tuning: Size | None = Field(
        None,
        description="number of settings tried, on any data, before these arguments were chosen; null: not declared",
    )

    @field_validator("name")
    @classmethod
    def _name_is_what_it_looks_like(cls, name: str) -> str:
        if problem := name_problem(name):
            raise ValueError(f"expected a name that is what it looks like, found {problem}; write it anew")
        return name

    @model_validator(mode="after")
    def _id_is_a_folder(self) -> StrategySpec:
        if problem := folder_problem(self.id) or ("more than 100 characters" if len(self.id) > _LONGEST_ID else ""):
            raise ValueError(f"expected a name that is a folder on every system, found {problem}; add label = '…'")
        return self

    @field_validator("args")
    @classmethod
    def _integers_are_exact(cls, args: dict[str, Argument]) -> dict[str, Argument]:
        for key, value in args.items():
            if isinstance(value, int | float) and value == int(value) and abs(value) > EXACT:
                raise ValueError(f"expected {key} within ±(2**53 - 1), found {value}")
        return args

    @property
    def upper_line(self) -> bool:
        """Return whether it may see labels that were not bought, and is therefore never judged."""
        return self.name == UPPER_LINE

    @property
    def id(self) -> str:
        """Return a label that is safe in paths and unique in a study."""
        if self.label:
            return self.label
        stem = self.name.rsplit("/", 1)[-1].replace(".py:", "-").replace(":", "-")
        return re.sub(r"[^A-Za-z0-9._+-]", "-", stem).lstrip("._+-") or "strategy"


class Plan(FrozenModel):
    """Plan of the analysis, fixed before the first run; any other analysis is exploratory."""

    endpoint: Literal["aubc"] = Field(
        "aubc", description="primary endpoint: paired difference to random in area under the budget curve"
    )
    test: Literal["sign-flip", "t", "wilcoxon"] = Field(
        "sign-flip", description="two-sided paired test of the endpoint"
    )
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(0.05, description="family-wise error rate")
    delta: Annotated[float, Field(gt=0)] = Field(
        0.01, description="equivalence margin in units of the metric; below 1 in a study"
    )
    correction: Literal["holm", "hochberg", "hommel", "bh", "by"] = Field(
        "holm",
        description="multiplicity correction over the family; hochberg and hommel assume positive dependence, bh and "
        "by control the false discovery rate, not the family-wise error",
    )
    family: Literal["strategies x protocols", "strategies"] = Field(
        "strategies x protocols", description="tests corrected together: all of the study, or within each protocol"
    )
    secondary: tuple[Literal["aubc-log2", "final"], ...] = Field(
        (), description="planned secondary endpoints; others are exploratory"
    )
    at_budgets: tuple[Budget, ...] = Field(
        (), description="budgets at which the metric itself is a planned secondary endpoint"
    )
    looks: tuple[Annotated[int, Field(ge=2, le=EXACT)], ...] = Field(
        (),
        description="numbers of seeds at which the endpoint is tested, the last one all of them; empty: once, at the "
        "end",
    )
    spending: Literal["obrien-fleming", "pocock"] = Field(
        "obrien-fleming", description="spending function of alpha over the looks (Lan & DeMets 1983)"
    )

    @field_validator("looks")
    @classmethod
    def _looks_increase(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if any(b <= a for a, b in itertools.pairwise(looks)):
            raise ValueError(f"expected strictly increasing looks, found {list(looks)}")
        return looks

    def fingerprint_content(self) -> dict[str, Any]:
        """Return what a study's fingerprint covers.

        Fields of later releases are included only where they are used, so that older plans keep their fingerprint.
        """
        later = {name for name in ("secondary", "at_budgets", "looks") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=later | (set() if self.looks else {"spending"}))


Better = Literal["higher", "lower"]


class StudyMetric(FrozenModel):
    """What a study states about the metric that it compares."""

    direction: Better = Field(description="whether higher or lower values of the metric are better")


class Study(FrozenModel):
    """Protocols x strategies (always with random) x seeds, and the plan of the analysis."""

    name: Name
    protocols: tuple[Protocol, ...] = Field(min_length=1)
    strategies: tuple[StrategySpec, ...] = Field(min_length=1)
    seeds: tuple[Size, ...] = Field(
        min_length=1, max_length=MOST_SEEDS, description="seeds (replicates); curves are paired by them"
    )
    plan: Plan = Field(default_factory=Plan)
    metric: StudyMetric | None = Field(
        None, description="direction of the metric, if its name does not say it; null: by the metric's name"
    )

    @model_validator(mode="after")
    def _names_are_unique_and_random_is_in(self) -> Study:
        problems = []
        for what, values in (
            ("protocol name", [p.name.casefold() for p in self.protocols]),
            ("protocol fingerprint", [p.fingerprint for p in self.protocols]),
            ("strategy label", [s.id.casefold() for s in self.strategies]),
            ("seed", [str(s) for s in self.seeds]),
        ):
            repeated = sorted(v for v, times in Counter(values).items() if times > 1)
            if repeated:
                fix = _CASE.get(what, "")
                problems.append(f"expected each {what} once, found {', '.join(repeated)} more than once{fix}")
        if not any(s.id == BASELINE and s.name == BASELINE for s in self.strategies):
            problems.append("expected the baseline 'random' among the strategies, found it missing")
        for names, known in (([p.name for p in self.protocols], ()), ([s.id for s in self.strategies], (BASELINE,))):
            alike = look_alikes(names, known)
            problems += [f"expected names that no reader mixes up, found {p}; rename it" for p in alike]
        if (runs := len(self.protocols) * len(self.strategies) * len(self.seeds)) > MOST_RUNS:
            problems.append(f"expected at most {MOST_RUNS} runs, found {runs}; make several studies")
        problems += self._plan_does_not_fit()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _plan_does_not_fit(self) -> list[str]:
        plan, problems = self.plan, []
        if plan.delta >= 1:
            problems.append(f"expected plan.delta below 1, as metrics lie in [0, 1], found {plan.delta:g}")
        if plan.looks and plan.looks[-1] != len(self.seeds):
            problems.append(
                f"expected the last of plan.looks to be all {len(self.seeds)} seeds, found {plan.looks[-1]}"
            )
        for p in self.protocols:
            absent = sorted(set(plan.at_budgets) - set(p.budgets))
            if absent:
                problems.append(f"expected plan.at_budgets among the budgets of {p.name}, found {absent}")
        return problems

    def runs(self, *, by_seed: bool = False) -> Iterator[RunId]:
        """Yield every planned run: by protocol, then strategy, then seed.

        Args:
            by_seed: order by seed before strategy, so that runs of the same split follow one another.
        """
        strategies = [s.id for s in self.strategies]
        for protocol in self.protocols:
            if by_seed:
                yield from (RunId(protocol.name, name, seed) for seed in self.seeds for name in strategies)
            else:
                yield from (RunId(protocol.name, name, seed) for name in strategies for seed in self.seeds)

    def protocol(self, name: str) -> Protocol:
        """Return the protocol with this name. Raises KeyError if the study has none."""
        return {p.name: p for p in self.protocols}[name]

    def strategy(self, id_: str) -> StrategySpec:
        """Return the strategy with this id. Raises KeyError if the study has none."""
        return {s.id: s for s in self.strategies}[id_]

    def with_strategies(self, strategies: tuple[StrategySpec, ...]) -> Study:
        """Return the study with other strategies, validated again."""
        own = {name: getattr(self, name) for name in type(self).model_fields} | {"strategies": strategies}
        return Study(**own)

    def content(self) -> dict[str, Any]:
        """Return what a study folder stores; fields of later releases only where they are used."""
        return self.model_dump(mode="json", exclude={"metric"} if self.metric is None else None)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the protocols' fingerprints, the strategies, seeds and plan."""
        body: dict[str, Any] = self.model_dump(mode="json", exclude={"name", "protocols", "plan"}) | {
            "plan": self.plan.fingerprint_content()
        }
        if self.metric is None:  # the field came later: unstated, it leaves older fingerprints as they were
            del body["metric"]
        body["protocols"] = {p.name: p.fingerprint for p in self.protocols}
        for strategy in body[
            "strategies"
        ]:  # the field came later: undeclared, it leaves older fingerprints as they were
            if strategy["tuning"] is None:
                del strategy["tuning"]
        return fingerprint(STUDY_TAG, body)

"""Everything that needs several data sets or regimes, gathered from one table of curves. All of it is secondary:
the verdicts of `analysis.verdict` are the primary answer, and nothing here changes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import across_tables, across_words
from analysis.aggregate import iqm, performance_profile, probability_of_improvement
from analysis.bootstrap import Resampler
from analysis.crossed import CrossedEffect, crossed
from analysis.curves import matrix
from analysis.labels import LabelsSaved, labels_saved
from analysis.levers import Lever, levers
from analysis.load import Curves
from analysis.mixed import Growth, growth
from analysis.penalty import PenaltyMatrix, penalty_matrix
from analysis.ranks import AgainstControl, Friedman, against_control, critical_difference, friedman, nemenyi
from analysis.rows import Rows
from analysis.settings import Setting, settings
from analysis.stability import Agreement, SeedAgreement, agreement, seed_agreement

Floats = NDArray[np.float64]
RESAMPLES: Final = 10_000
"""Of the bootstrap over all settings; `LABEL_RESAMPLES` of the many intervals of labels and levers, each within one data set."""
LABEL_RESAMPLES: Final = 2_000
LEAST_RUNS: Final = 6
"""Seeds below which what is read off curves of one data set has no bootstrap interval: no resample lies beyond the extremes."""
GROWTH_RUNS: Final = 500
"""Runs up to which the mixed model is fitted here: statsmodels visits every curve in every step."""


@dataclass(frozen=True)
class RankTable:
    """Strategies ranked over the data sets of one regime, by mean AUBC over seeds.

    Attributes:
        left_out: data sets in which a strategy has no complete run.
        critical_difference: Nemenyi's, at alpha.
        nemenyi: p of every pair, k rows of k.
    """

    regime: str
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]
    strategies: tuple[str, ...]
    friedman: Friedman
    alpha: float
    critical_difference: float
    nemenyi: tuple[tuple[float, ...], ...]
    against_control: tuple[AgainstControl, ...]


@dataclass(frozen=True)
class Gain:
    """One strategy against the baseline over all settings, with 95 % stratified bootstrap intervals, expanded for few seeds.

    Attributes:
        iqm: interquartile mean of the paired AUBC differences, in the metric's units.
        plain, paired: probability of improvement between unrelated seeds, and at the same seed.
        thresholds, profile: share of runs whose paired difference exceeds each threshold, averaged over settings.
    """

    strategy: str
    settings: int
    runs: int
    iqm: float
    iqm_low: float
    iqm_high: float
    plain: float
    plain_low: float
    plain_high: float
    paired: float
    paired_low: float
    paired_high: float
    thresholds: tuple[float, ...]
    profile: tuple[float, ...]
    profile_low: tuple[float, ...]
    profile_high: tuple[float, ...]


@dataclass(frozen=True)
class Saved:
    """Labels saved by one strategy under one protocol, target by target."""

    protocol: str
    dataset: str
    regime: str
    strategy: str
    targets: tuple[LabelsSaved, ...]


@dataclass(frozen=True)
class Across:
    """See the modules named like the attributes. Parts that do not apply are empty, and `notes` say why."""

    baseline: str
    datasets: tuple[str, ...]
    regimes: tuple[str, ...]
    resamples: int
    ranks: tuple[RankTable, ...] = ()
    gains: tuple[Gain, ...] = ()
    penalties: tuple[PenaltyMatrix, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    seeds: tuple[SeedAgreement, ...] = ()
    labels: tuple[Saved, ...] = ()
    levers: tuple[Lever, ...] = ()
    growth: tuple[Growth, ...] = ()
    crossed: tuple[CrossedEffect, ...] = ()
    notes: tuple[str, ...] = ()
    label: str = "secondary"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, unrounded; NaN and infinities become null and "inf", "-inf"."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def parts(self) -> dict[str, Rows[Any]]:
        """Every part by name as a table of typed rows, with .to_frame(), .to_markdown(), .to_latex() and .to_list()."""
        return across_tables.parts(self)

    def frames(self) -> dict[str, pd.DataFrame]:
        """The same as frames, unrounded."""
        return {name: part.to_frame() for name, part in self.parts().items()}

    def to_markdown(self) -> str:
        """Every part that has rows under its title, as pipe tables."""
        return "\n".join(f"## {part.title}\n\n{part.to_markdown()}" for part in self.parts().values() if part.rows)

    def to_latex(self) -> str:
        """The same as booktabs tables, the titles as comments."""
        return "\n".join(f"% {part.title}\n{part.to_latex()}" for part in self.parts().values() if part.rows)

    def to_json(self) -> str:
        """Everything, unrounded, as strict JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def summary(self) -> str:
        """What it says, in sentences."""
        return across_words.summary(self)


def across(curves: Curves, rng: np.random.Generator, resamples: int = RESAMPLES, *, alone: bool = False) -> Across | None:
    """All statistics over data sets and regimes that the table allows; None with a single data set under a single regime.

    Args:
        rng: of the bootstrap and the draws of seeds.
        alone: a single data set under a single regime is enough: labels, penalties and stability mean something there, too.
    """
    notes: list[str] = []
    tables = rank_tables(curves, notes)
    if curves.unit == "data set":
        if not tables:
            return None
        datasets = tuple(dict.fromkeys(d for t in tables for d in t.datasets))
        notes.append("one value per data set: nothing that needs seeds or budgets applies")
        regimes = tuple(t.regime for t in tables)
        return Across(curves.baseline, datasets, regimes, resamples, tables, notes=tuple(notes))
    found = _competing(curves)
    if len({(s.dataset, s.regime) for s in found}) < (1 if alone else 2):
        return None
    resampler = Resampler(rng, min(resamples, LABEL_RESAMPLES), method="expanded")
    others = [s for s in curves.competitors if s != curves.baseline]
    paired = curves.paired
    if not paired:
        notes.append("unpaired analysis: everything that pairs seeds is left out")
    return Across(
        baseline=curves.baseline,
        datasets=tuple(dict.fromkeys(s.dataset for s in found)),
        regimes=tuple(dict.fromkeys(s.regime for s in found)),
        resamples=resamples,
        ranks=tables,
        gains=_gains(others, curves.baseline, found, Resampler(rng, resamples, method="expanded")) if paired else (),
        penalties=_penalties(curves, found) if paired else (),
        agreement=_agreement(curves.competitors, found),
        seeds=tuple(row for s in found for row in _seed_rows(curves.competitors, s, rng)) if paired else (),
        labels=_labels(curves.baseline, found, resampler, notes) if paired else (),
        levers=_levers(curves.baseline, found, resampler, notes) if paired else (),
        growth=_growth(others, curves, found, notes) if paired else (),
        crossed=_crossed(curves, found, notes) if paired else (),
        notes=tuple(notes),
    )


def rank_tables(curves: Curves, notes: list[str]) -> tuple[RankTable, ...]:
    """A table per regime with two data sets or more; what was left out is appended to `notes`."""
    if curves.unit == "data set":
        return tuple(t for protocol in curves.protocols if (t := _one_value_each(curves, protocol, notes)))
    found = _competing(curves)
    return tuple(t for regime in dict.fromkeys(s.regime for s in found) if (t := _rank_table(curves, regime, found, notes)))


def _competing(curves: Curves) -> tuple[Setting, ...]:
    """Settings without the upper lines, which are compared nowhere."""
    return tuple(
        replace(
            s,
            seeds={n: v for n, v in s.seeds.items() if n not in curves.upper},
            curves={n: v for n, v in s.curves.items() if n not in curves.upper},
        )
        for s in settings(curves)
    )


def _one_value_each(curves: Curves, protocol: str, notes: list[str]) -> RankTable | None:
    """A table without seeds: its pairs are data sets already."""
    wide = matrix(curves, protocol)
    if not len(wide):
        return None
    last = wide.iloc[:, -1].unstack("strategy")  # noqa: PD010  (a pivot of one column)
    names = [curves.unit_name(int(i)) for i in last.index]
    regime = curves.places.get(protocol, ("", ""))[1] or protocol
    means = {d: {str(s): float(v) for s, v in row.items() if math.isfinite(v)} for d, (_, row) in zip(names, last.iterrows(), strict=True)}
    return _ranked(curves, regime, means, notes)


def _rank_table(curves: Curves, regime: str, found: Sequence[Setting], notes: list[str]) -> RankTable | None:
    """Blocks are data sets; several protocols of one data set are one block, their mean."""
    own: dict[str, list[Setting]] = {}
    for setting in found:
        if setting.regime == regime:
            own.setdefault(setting.dataset, []).append(setting)
    means = {
        dataset: {
            s: float(np.mean([part.area(s).mean() for part in parts]))
            for s in curves.competitors
            if all(s in part.curves for part in parts)
        }
        for dataset, parts in own.items()
    }
    if uneven := [place for parts in own.values() for part in parts if (place := _uneven(part, curves.competitors))]:
        notes.append(f"ranks, {regime}: means are over different seeds: {'; '.join(uneven)}")
    return _ranked(curves, regime, means, notes)


def _uneven(setting: Setting, strategies: Sequence[str]) -> str:
    """Who has other seeds than most in a setting, in words: what seeds share does not drop out of a mean over others."""
    seeds = {s: setting.seeds[s] for s in strategies if s in setting.seeds}
    every = sorted({seed for own in seeds.values() for seed in own})
    few = [f"{s} {len(own)} of {len(every)}" for s, own in seeds.items() if len(own) < len(every)]
    return f"{setting.protocol}: {', '.join(few)}" if few else ""


def _ranked(curves: Curves, regime: str, means: Mapping[str, Mapping[str, float]], notes: list[str]) -> RankTable | None:
    names = [s for s in curves.competitors if any(s in row for row in means.values())]
    whole = [d for d, row in means.items() if all(s in row for s in names)]
    left_out = tuple(d for d in means if d not in whole)
    if left_out:
        notes.append(f"ranks, {regime}: left out {', '.join(left_out)}, where a strategy has no complete run")
    if len(whole) < 2 or len(names) < 2 or curves.baseline not in names:
        if len(means) > 1:
            notes.append(f"ranks, {regime}: fewer than two data sets or strategies to rank")
        return None
    scores = np.array([[means[d][s] for s in names] for d in whole])
    alpha = curves.plan.alpha
    pairs = tuple(tuple(float(p) for p in row) for row in nemenyi(scores))
    control = against_control(scores, names, curves.baseline)
    distance = critical_difference(len(names), len(whole), alpha)
    return RankTable(regime, tuple(whole), left_out, tuple(names), friedman(scores), alpha, distance, pairs, control)


def _gains(others: Sequence[str], baseline: str, found: Sequence[Setting], resampler: Resampler) -> tuple[Gain, ...]:
    """Strategies that have the same numbers of paired runs share one pass over the resamples."""
    sides = {s: [pair for setting in found if len((pair := setting.paired_areas(s, baseline))[0])] for s in others}
    alike: dict[tuple[int, ...], list[str]] = {}
    for strategy, pairs in sides.items():
        alike.setdefault(tuple(len(ours) for ours, _ in pairs), []).append(strategy)
    made: dict[str, Gain] = {}
    for sizes, names in alike.items():
        if sizes:
            ours, theirs = ([np.stack([sides[s][d][side] for s in names], axis=1) for d in range(len(sizes))] for side in (0, 1))
            made |= dict(zip(names, _gain(names, ours, theirs, resampler), strict=True))
    return tuple(made[s] for s in others if s in made)


def _gain(names: Sequence[str], ours: Sequence[Floats], theirs: Sequence[Floats], resampler: Resampler) -> list[Gain]:
    """Areas per setting, (n_d, C), a column per name."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    middle = iqm(differences, resampler)
    plain, paired = (probability_of_improvement(ours, theirs, resampler, paired=p) for p in (False, True))
    rows = []
    for c, name in enumerate(names):
        reach = float(max(np.abs(d[:, c]).max() for d in differences))
        thresholds = np.linspace(-reach, reach, 11)
        profile = performance_profile([d[:, c] for d in differences], thresholds, resampler)
        shares = (_row(part) for part in (thresholds, profile.value, profile.low, profile.high))
        rows.append(Gain(name, len(ours), sum(map(len, ours)), *middle.at(c), *plain.at(c), *paired.at(c), *shares))
    return rows


def _row(values: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _penalties(curves: Curves, found: Sequence[Setting]) -> tuple[PenaltyMatrix, ...]:
    return tuple(penalty_matrix(found, curves.competitors, curves.baseline, d) for d in ("ash-2020", "lueth-2023"))


def _agreement(strategies: Sequence[str], found: Sequence[Setting]) -> tuple[Agreement, ...]:
    """Between data sets within each regime, and between regimes within each data set, over the strategies that all have."""
    rows: list[Agreement] = []

    def compare(group: Sequence[Setting], name: Callable[[Setting], str]) -> tuple[list[str], list[Floats]]:
        shared = [s for s in strategies if all(s in part.curves for part in group)]
        return [name(part) for part in group], [np.array([part.area(s).mean() for s in shared]) for part in group] if len(
            shared
        ) > 1 else []

    for regime in dict.fromkeys(s.regime for s in found):
        names, scores = compare([s for s in found if s.regime == regime], lambda s: s.dataset)
        rows += agreement("data sets", regime, names, scores) if scores else ()
    for dataset in dict.fromkeys(s.dataset for s in found):
        names, scores = compare([s for s in found if s.dataset == dataset], lambda s: s.regime)
        rows += agreement("regimes", dataset, names, scores) if scores else ()
    return tuple(rows)


def _seed_rows(strategies: Sequence[str], setting: Setting, rng: np.random.Generator) -> tuple[SeedAgreement, ...]:
    names = [s for s in strategies if s in setting.curves]
    shared = set.intersection(*({*setting.seeds[s]} for s in names))
    if len(names) < 2 or len(shared) < 2:
        return ()
    kept = [setting.area(s)[[seed in shared for seed in setting.seeds[s]]] for s in names]
    return seed_agreement(setting.protocol, np.stack(kept, axis=1), rng)


def _labels(baseline: str, found: Sequence[Setting], resampler: Resampler, notes: list[str]) -> tuple[Saved, ...]:
    rows = []
    for setting in found:
        if len(setting.budgets) < 2:
            notes.append(f"labels, {setting.protocol}: a single budget has no curve to read labels from")
            continue
        for strategy in setting.curves:
            if strategy != baseline and (targets := labels_saved(setting, strategy, baseline, resampler)):
                rows.append(Saved(setting.protocol, setting.dataset, setting.regime, strategy, tuple(map(_known, targets))))
    if any(t.n < LEAST_RUNS for row in rows for t in row.targets):
        notes.append(f"labels: no interval for fewer than {LEAST_RUNS} seeds, where bootstrap intervals cover far less than 95 %")
    return tuple(rows)


def _known(row: LabelsSaved) -> LabelsSaved:
    if row.n >= LEAST_RUNS:
        return row
    return replace(row, saved_low=math.nan, saved_high=math.nan, efficiency_low=math.nan, efficiency_high=math.nan)


def _levers(baseline: str, found: Sequence[Setting], resampler: Resampler, notes: list[str]) -> tuple[Lever, ...]:
    if len({s.regime for s in found}) < 2:
        return ()
    try:
        rows = levers(found, baseline, resampler)
    except ValueError as error:
        notes.append(f"levers: {error}")
        return ()
    if any(r.n < LEAST_RUNS for r in rows):
        notes.append(
            f"levers: no interval of labels worth for fewer than {LEAST_RUNS} seeds, where bootstrap intervals cover far less than 95 %"
        )
    return tuple(r if r.n >= LEAST_RUNS else replace(r, worth_low=math.nan, worth_high=math.nan) for r in rows)


def _growth(others: Sequence[str], curves: Curves, found: Sequence[Setting], notes: list[str]) -> tuple[Growth, ...]:
    if curves.complete > GROWTH_RUNS:
        notes.append(f"mixed model: not fitted to more than {GROWTH_RUNS} runs; analysis.mixed.growth fits it strategy by strategy")
        return ()
    rows = []
    for strategy in others:
        try:
            rows.append(growth(found, strategy, curves.baseline))
        except ValueError as error:
            notes.append(f"mixed model, {strategy}: {error}")
    return tuple(rows)


def _crossed(curves: Curves, found: Sequence[Setting], notes: list[str]) -> tuple[CrossedEffect, ...]:
    if curves.complete > GROWTH_RUNS:
        notes.append(f"crossed mixed model: not fitted to more than {GROWTH_RUNS} runs; analysis.crossed.crossed fits it")
        return ()
    try:
        return crossed(found, curves.competitors, curves.baseline)
    except ValueError as error:
        notes.append(f"crossed mixed model: {error}")
        return ()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value

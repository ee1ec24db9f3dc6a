"""Settings of the tuning trials, and the labels that score them, drawn from the seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protocol.draws.seeds import generator
from protocol.spec.recipe import Regime
from protocol.spec.tuning import (
    DIGITS,
    Dimension,
    HyperparameterSetting,
    RecipeKey,
    Value,
    at_path,
    held_out_size,
    tuning_of,
)


def draw_settings(regime: Regime, root: int, replicate: int, round_: int) -> tuple[HyperparameterSetting, ...]:
    """Draw the settings tried in a round, in order and all different.

    Args:
        regime: recipe with the table tuning.
        root: the protocol's root seed.
        replicate: the run's seed.
        round_: the round that tries them, see `Tuning.round_of`.
    """
    return tuple(dict(setting) for setting in _drawn(RecipeKey.of(regime), root, replicate, round_))


@lru_cache(maxsize=128)
def _drawn(key: RecipeKey, root: int, replicate: int, round_: int) -> tuple[HyperparameterSetting, ...]:
    regime: Regime = key.regime
    tuning = tuning_of(regime)
    rng, table = generator(root, "estimator", replicate, "tuning", round_), regime.model_dump(mode="json")
    settings: list[HyperparameterSetting] = []
    while len(settings) < tuning.trials:
        setting = {path: _draw(tuning.space[path], at_path(table, path), rng) for path in sorted(tuning.space)}
        if setting not in settings:
            settings.append(setting)
    return tuple(settings)


def draw_held_out(
    regime: Regime, root: int, replicate: int, round_: int, labelled: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Draw the labelled images that score a round's trials, sorted.

    None are drawn if the validation images score the trials.

    Args:
        labelled: (l,) labelled images, in any order.
    """
    share = tuning_of(regime).held_out
    if share is None:
        return np.empty(0, np.int64)
    rng = generator(root, "estimator", replicate, "tuning-held-out", round_)
    return np.sort(rng.choice(np.sort(labelled), held_out_size(share, len(labelled)), replace=False))


def best_trial(scores: Sequence[float | None]) -> int | None:
    """Return the position of the highest score, the first of equals; None if no trial has a score."""
    valid = [(score, -position) for position, score in enumerate(scores) if score is not None]
    return -max(valid)[1] if valid else None


def _draw(dimension: Dimension, declared: Value, rng: np.random.Generator) -> Value:
    if dimension.choices is not None:
        chosen = dimension.choices[int(rng.integers(len(dimension.choices)))]
        return type(declared)(chosen) if isinstance(declared, int | float) else chosen
    low, high = (float(end) for end in dimension.ends())
    half = 0.5 if isinstance(declared, int) else 0.0  # so that the bounds are drawn as often as the values between them
    if dimension.scale == "log":
        x = math.exp(rng.uniform(math.log(low - half), math.log(high + half)))
    else:
        x = rng.uniform(low - half, high + half)
    if isinstance(declared, int):
        return int(min(max(math.floor(x + 0.5), low), high))
    return min(max(float(f"{x:.{DIGITS}g}"), low), high)

"""Settings of trials: drawn from the seed, inside the space; a space must fit its recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocol.draws.trials import best_trial, draw_held_out, draw_settings
from protocol.errors import InputError
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from protocol.spec.tuning import held_out_size, with_setting
from tests.support.study_builder import protocol_table

SPACE: dict[str, Any] = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-1, "scale": "log"},
    "optimizer.name": {"choices": ["sgd", "adam"]},
    "batch_size": {"low": 3, "high": 5},
    "augmentation.flip": {"choices": [True, False]},
}


def tuned_table(
    splits: dict[str, Any] | None = None, recipe: dict[str, Any] | None = None, **tuning: Any
) -> dict[str, Any]:
    told = {"policy": "every-round", "trials": 6, "space": SPACE} | tuning
    regime = (
        protocol_table()["regime"]
        | {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "tuning": told}
        | (recipe or {})
    )
    return protocol_table(regime=regime) | ({"splits": splits} if splits else {})


def protocol(**changes: Any) -> Protocol:
    return parse(Protocol, tuned_table(**changes), "p")


def draws(trials: int = 400, **space: Any) -> list[Any]:
    regime = protocol(trials=trials, space=space).regime
    return [next(iter(s.values())) for s in draw_settings(regime, 3, 1, 0)]


def test_golden_draws() -> None:
    """What seeds draw is a promise to everybody who has records."""
    assert draw_settings(protocol().regime, 7, 2, 1)[:2] == (
        {"augmentation.flip": False, "batch_size": 3, "optimizer.lr": 0.00326321, "optimizer.name": "adam"},
        {"augmentation.flip": True, "batch_size": 5, "optimizer.lr": 0.00829437, "optimizer.name": "adam"},
    )


def test_seed_replicate_and_round_decide_and_nothing_else() -> None:
    regime = protocol().regime
    first = draw_settings(regime, 7, 2, 1)
    assert first == draw_settings(regime, 7, 2, 1)
    others = [draw_settings(regime, *key) for key in ((8, 2, 1), (7, 3, 1), (7, 2, 0))]
    assert all(other != first for other in others)
    more = draw_settings(protocol(trials=9).regime, 7, 2, 1)
    assert more[:6] == first  # more trials do not change the first ones
    reordered = dict(reversed(SPACE.items()))
    assert draw_settings(protocol(space=reordered).regime, 7, 2, 1) == first


def test_logarithms_are_drawn_evenly_where_asked_for() -> None:
    values = np.array(draws(2000, **{"optimizer.lr": {"low": 1e-4, "high": 1e-1, "scale": "log"}}))
    assert ((values >= 1e-4) & (values <= 1e-1)).all()
    thirds = np.histogram(np.log10(values), [-4, -3, -2, -1])[0]
    assert (abs(thirds - 2000 / 3) < 5 * np.sqrt(2000 * 2 / 9)).all()
    linear = np.array(draws(2000, **{"optimizer.lr": {"low": 1e-4, "high": 1e-1}}))
    assert abs(np.mean(linear) - 0.05) < 5 * 0.1 / np.sqrt(12 * 2000)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_whole_numbers_include_both_bounds(scale: str) -> None:
    regime = protocol(
        trials=27,
        space={"batch_size": {"low": 2, "high": 10, "scale": scale}, "augmentation.shift": {"choices": [0, 1, 2]}},
    ).regime
    found = draw_settings(regime, 0, 0, 0)
    assert {s["batch_size"] for s in found} == set(range(2, 11))
    assert all(type(s["batch_size"]) is int for s in found)
    assert len({tuple(s.values()) for s in found}) == 27  # every setting of the space, once


def test_the_bounds_of_whole_numbers_are_as_likely_as_the_rest() -> None:
    regime = protocol(
        trials=3000, space={"batch_size": {"low": 2, "high": 5}, "optimizer.lr": {"low": 0.1, "high": 0.2}}
    ).regime
    counts = np.unique([s["batch_size"] for s in draw_settings(regime, 0, 0, 0)], return_counts=True)[1]
    assert (abs(counts - 750) < 5 * np.sqrt(3000 * 3 / 16)).all()


def test_a_setting_makes_the_recipe_and_momentum_goes_with_sgd() -> None:
    regime = protocol().regime
    made = with_setting(
        regime, {"optimizer.lr": 0.02, "optimizer.name": "adam", "batch_size": 4, "augmentation.flip": True}
    )
    assert (made.step_optimizer.lr, made.step_optimizer.name, made.step_optimizer.momentum) == (0.02, "adam", 0.0)
    assert (made.batch_size, made.augmentation.flip, made.steps, made.tuning) == (4, True, 5, None)
    assert with_setting(regime, {"optimizer.lr": 0.02}).step_optimizer.momentum == 0.9


def test_toml_may_write_paths_with_dots() -> None:
    nested = {"optimizer": {k.split(".")[1]: SPACE[k] for k in ("optimizer.lr", "optimizer.name")}}
    nested |= {"augmentation": {"flip": SPACE["augmentation.flip"]}, "batch_size": SPACE["batch_size"]}
    assert protocol(space=nested) == protocol()


def test_held_out_images_are_labelled_ones_whatever_their_order() -> None:
    regime = protocol(splits={"test_size": 40}, held_out=0.25).regime
    owned = np.array([9, 4, 30, 2, 77, 12, 50, 8, 1, 40])
    apart = draw_held_out(regime, 7, 2, 1, owned)
    assert len(apart) == 3 == held_out_size(0.25, 10)
    assert set(apart) <= set(owned)
    assert (np.diff(apart) > 0).all()
    assert (draw_held_out(regime, 7, 2, 1, owned[::-1]) == apart).all()
    assert not np.array_equal(draw_held_out(regime, 7, 2, 2, owned), apart)
    assert len(draw_held_out(protocol().regime, 7, 2, 1, owned)) == 0


@pytest.mark.parametrize(
    ("scores", "place"),
    [([0.2, 0.5, 0.4], 1), ([0.2, 0.5, 0.5], 1), ([None, 0.0, None], 1), ([None, None], None), ([], None)],
)
def test_the_highest_score_is_best_and_the_first_of_equals(scores: list[float | None], place: int | None) -> None:
    assert best_trial(scores) == place


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"policy": "none"}, "'starting-set' or 'every-round'"),
        ({"trials": 1}, "greater than or equal to 2"),
        ({"space": {}}, "at least 1 item"),
        ({"space": {"optimizer.lr": {"low": 0.1}}}, "expected low and high, or choices, found low"),
        ({"space": {"optimizer.lr": {}}}, "found neither"),
        (
            {"space": {"optimizer.lr": {"low": 0.1, "high": 1.0, "choices": [0.1, 0.2]}}},
            "found low and high and choices",
        ),
        ({"space": {"optimizer.lr": {"low": 0.1, "high": 0.1}}}, "low below high"),
        ({"space": {"optimizer.lr": {"low": 0, "high": 0.1, "scale": "log"}}}, "low above 0"),
        ({"space": {"optimizer.lr": {"lowest": 0.1, "high": 0.2}}}, "a known key: low"),
        ({"space": {"batch_size": {"choices": [8, 8]}}}, "each once"),
        ({"space": {"batch_size": {"choices": [8, 16], "scale": "log"}}}, "scale belongs to low and high"),
        ({"space": {"optimizer.rate": {"low": 0.1, "high": 0.2}}}, "found no such field"),
        ({"space": {"optimizer.nam": {"choices": ["sgd", "adam"]}}}, "optimizer.name"),
        ({"space": {"optimizer": {"choices": ["sgd", "adam"]}}}, "found no such field"),
        ({"space": {"augmentation.rand_augment.ops": {"low": 1, "high": 3}}}, "found no such field"),
        ({"space": {"epochs": {"low": 1, "high": 3}}}, "found none; set one"),
        ({"space": {"precision": {"choices": ["float32", "bfloat16"]}}}, "defines the comparison"),
        ({"space": {"pretraining.then": {"choices": ["fine-tune", "linear-probe"]}}}, "defines the comparison"),
        ({"space": {"batch_size": {"low": 1.5, "high": 3}}}, "whole numbers, found 1.5 to 3"),
        ({"space": {"batch_size": {"choices": ["a", "b"]}}}, "expected numbers"),
        ({"space": {"optimizer.name": {"low": 1, "high": 2}}}, "choices among names"),
        ({"space": {"augmentation.flip": {"choices": [0, 1]}}}, "choices among true and false"),
        ({"space": {"optimizer.name": {"choices": ["sgd", "sdg"]}}}, "'sdg'.*'sgd', 'adam'"),
        ({"space": {"optimizer.momentum": {"low": 0, "high": 1}}}, "found 1.0.*less than 1"),
        (
            {"trials": 7, "space": {"batch_size": {"choices": [4, 8]}, "augmentation.shift": {"low": 0, "high": 2}}},
            "at most 6",
        ),
        ({"trials": 9, "space": {"optimizer.lr": {"low": 0.1, "high": 0.1000002}}}, "at most 1"),
        ({"splits": {"test_size": 40}}, "found neither"),
        ({"held_out": 0.2}, "found both: 6 and 0.2"),
        ({"splits": {"test_size": 40}, "held_out": 0.01}, "0 of 16 held out"),
        ({"splits": {"test_size": 40}, "held_out": 0.99}, "16 of 16 held out"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        protocol(**changes)


def test_all_faults_of_a_space_are_told_at_once() -> None:
    with pytest.raises(InputError, match=r"(?s)optimizer\.rate.*precision"):
        protocol(space={"optimizer.rate": {"low": 0.1, "high": 0.2}, "precision": {"choices": ["float32", "bfloat16"]}})

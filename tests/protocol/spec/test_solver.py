"""A solved head: what goes with it, what does not, and fingerprints that recipes without it keep."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import InputError
from protocol.spec.protocol import Protocol, Solver
from protocol.spec.recipe import Regime
from protocol.spec.toml_files import parse

STEPS: dict[str, Any] = {"steps": 5, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.1}}


def protocol(regime: dict[str, Any], **changes: Any) -> Protocol:
    table = {"name": "p", "data": {"name": "digits"}, "budgets": [20, 40], "model": {"name": "linear"}}
    return parse(Protocol, table | {"regime": {"name": "r"} | regime} | changes, "p")


def test_a_solver_stands_for_steps_batches_and_optimizer() -> None:
    regime = protocol({"solver": {"l2": 0.5}}).regime
    assert regime.solver == Solver(name="lbfgs", l2=0.5, tolerance=1e-6, max_iterations=1000)
    assert (regime.steps, regime.batch_size, regime.optimizer, regime.fixed_length) == (None, None, None, False)
    assert regime.max_steps(40) == 1000
    assert set(regime.fingerprint_content()) & {"batch_size", "optimizer", "solver"} == {"solver"}


@pytest.mark.parametrize("change", [{"l2": 2.0}, {"tolerance": 1e-5}, {"max_iterations": 99}])
def test_every_value_of_a_solver_is_in_the_fingerprint(change: dict[str, Any]) -> None:
    one, other = (protocol({"solver": told}) for told in ({}, change))
    assert one.fingerprint != other.fingerprint
    assert one.recipe != other.recipe


def test_recipes_by_steps_do_not_name_the_solver_in_their_fingerprint() -> None:
    content = protocol(STEPS).regime.fingerprint_content()
    assert "solver" not in content
    assert content["batch_size"] == 8
    assert content["optimizer"]["lr"] == 0.1


@pytest.mark.parametrize(
    ("regime", "found"),
    [
        ({}, "needs batch_size"),
        ({"steps": 5, "batch_size": 8}, "needs optimizer"),
        ({"solver": {}, "steps": 5}, "excludes steps"),
        ({"solver": {}, **STEPS}, "excludes steps, batch_size, optimizer"),
        ({"solver": {}, "label_smoothing": 0.1}, "excludes label_smoothing"),
        ({"solver": {}, "start": "warm"}, "excludes start"),
        ({"solver": {}, "augmentation": {"flip": True}}, "excludes augmentation"),
        ({"solver": {}, "precision": "bfloat16"}, "excludes precision"),
        ({"solver": {}, "imbalance": "balanced-batches"}, "weighted-loss"),
        ({"solver": {"tolerance": 0.1}}, "tolerance"),
        ({"solver": {"l2": 0.0}}, "l2"),
    ],
)
def test_what_a_solver_cannot_have_is_named(regime: dict[str, Any], found: str) -> None:
    with pytest.raises(InputError, match=found):
        protocol(regime)


def test_a_solver_needs_a_linear_head_without_dropout() -> None:
    with pytest.raises(InputError, match=r"model\.name = 'mlp'"):
        protocol({"solver": {}}, model={"name": "mlp"})
    with pytest.raises(InputError, match="no dropout"):
        protocol({"solver": {}}, model={"name": "linear", "dropout": 0.5})


def test_its_penalty_can_be_tuned() -> None:
    space = {"solver.l2": {"low": 0.01, "high": 100.0, "scale": "log"}}
    told = {"policy": "every-round", "trials": 3, "held_out": 0.25, "space": space}
    made = protocol({"solver": {}, "tuning": told}).with_setting({"solver.l2": 7.5}).regime
    assert made.solver == Solver(name="lbfgs", l2=7.5, tolerance=1e-6, max_iterations=1000)
    assert made.optimizer is None


def test_a_recipe_by_steps_refuses_what_only_a_solver_lacks() -> None:
    solved = Regime(name="r", solver=Solver(name="lbfgs", l2=1.0, tolerance=1e-6, max_iterations=10))
    with pytest.raises(ValueError, match="no optimizer"):
        _ = solved.step_optimizer
    with pytest.raises(ValueError, match="no batches"):
        _ = solved.step_batch

"""Solved heads: scikit-learn's solution, convergence, absent classes, and equal bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from protocol.errors import InputError
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol, Solver
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets import Images
from runners.models.learner import Learner
from runners.preflight import refuse_unusable_inputs
from runners.regimes import FitInputs, Resident, fit, solved
from runners.regimes.schedule import class_weights
from runners.regimes.solved import ABSENT_LOGIT, solve

SOLVER = Solver(name="lbfgs", l2=1.0, tolerance=1e-8, max_iterations=1000)


def mixture(n: int = 90, d: int = 12, classes: int = 4, seed: int = 3) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return overlapping clusters of unequal size."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    return (rng.normal(size=(classes, d))[labels] + rng.normal(size=(n, d)) * 1.5).astype(np.float32), labels


@pytest.mark.parametrize(("l2", "weighted"), [(1.0, False), (0.02, False), (30.0, False), (0.5, True)])
def test_it_is_scikit_learns_logistic_regression(l2: float, weighted: bool) -> None:
    x, y = mixture()
    balanced = "balanced" if weighted else None
    reference = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-12, max_iter=500, class_weight=balanced)
    reference.fit(x.astype(np.float64), y)
    weights = class_weights(torch.from_numpy(y), 4) if weighted else None
    found = solve(SOLVER.model_copy(update={"l2": l2}), torch.from_numpy(x), torch.from_numpy(y), 4, weights)
    assert found.gradient <= 1e-8
    error = 1e-8 * np.sqrt(48) * 90 / l2  # the objective's curvature is at least l2 / n
    np.testing.assert_allclose(found.weights.numpy(), reference.coef_, atol=error)
    shift = reference.intercept_.mean()  # biases are unique up to a constant
    np.testing.assert_allclose(found.biases.numpy(), reference.intercept_ - shift, atol=error)


def test_weighting_classes_changes_the_solution() -> None:
    x, y = (torch.from_numpy(a) for a in mixture())
    plain, weighted = (solve(SOLVER, x, y, 4, w) for w in (None, class_weights(y, 4)))
    assert (plain.weights - weighted.weights).abs().max() > 0.01


def test_a_class_without_labels_is_never_predicted() -> None:
    x, y = mixture()
    y[y == 2] = 3
    found = solve(SOLVER, torch.from_numpy(x), torch.from_numpy(y), 5)
    assert found.biases[[2, 4]].tolist() == [ABSENT_LOGIT, ABSENT_LOGIT]
    logits = torch.from_numpy(x).double() @ found.weights.T + found.biases
    assert set(logits.argmax(1).tolist()) <= {0, 1, 3}
    assert logits.softmax(1)[:, [2, 4]].max() < np.exp(ABSENT_LOGIT)
    only = solve(SOLVER, torch.from_numpy(x[:3]), torch.zeros(3, dtype=torch.int64), 5)
    assert (only.iterations, only.gradient, only.biases[0].item()) == (0, 0.0, 0.0)


def test_too_few_iterations_are_reported_by_the_gradient() -> None:
    x, y = (torch.from_numpy(a) for a in mixture())
    early = solve(SOLVER.model_copy(update={"max_iterations": 3}), x, y, 4)
    assert early.iterations == 3
    assert early.gradient > 1e-4
    assert early.loss > solve(SOLVER, x, y, 4).loss


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_converges_whatever_the_scale_of_the_features(scale: float) -> None:
    x, y = (torch.from_numpy(a) for a in mixture(n=400, d=300, classes=10))
    assert solve(SOLVER.model_copy(update={"tolerance": 1e-6}), x * scale, y, 10).gradient <= 1e-6


def test_it_begins_anew_where_it_is_and_keeps_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (torch.from_numpy(a) for a in mixture())
    whole = solve(SOLVER, x, y, 4)
    monkeypatch.setattr(solved, "_LEG", 7)
    legs = solve(SOLVER, x, y, 4)
    assert legs.iterations > 7
    assert legs.gradient <= 1e-8
    np.testing.assert_allclose(legs.weights.numpy(), whole.weights.numpy(), atol=1e-5)
    assert solve(SOLVER.model_copy(update={"max_iterations": 10}), x, y, 4).iterations == 10


def test_it_converges_on_the_pixels_of_digits(digits: tuple[Images, NDArray[np.integer]]) -> None:
    pixels = digits[0].pixels.reshape(1797, -1).astype(np.float32)
    x, y = torch.from_numpy((pixels - pixels.mean()) / pixels.std()), torch.from_numpy(digits[1].copy())
    solver, rng = SOLVER.model_copy(update={"tolerance": 1e-6}), np.random.default_rng(8)
    for size in (20, 60, 100, 160) * 5:
        chosen = rng.choice(1797, size, replace=False)
        assert solve(solver, x[chosen], y[chosen], 10).gradient <= 1e-6


def protocol(**regime: Any) -> Protocol:
    table = {"name": "t", "data": {"name": "digits"}, "budgets": [20, 40], "model": {"name": "linear"}}
    table |= {"splits": {"test_size": 200}, "regime": {"name": "solved", "solver": {}} | regime}
    return parse(Protocol, table, "t")


@pytest.fixture(scope="module")
def digits() -> tuple[Images, NDArray[np.integer]]:
    images, labels = load(Data(name="digits"), None)
    return images, labels.for_oracle()


def inputs(digits: tuple[Images, NDArray[np.integer]], n: int = 40) -> FitInputs:
    images, labels = digits
    order = np.random.default_rng(0).permutation(1500).astype(np.int64)
    labelled, validation, unlabelled = np.split(order, [n, n + 60])
    return FitInputs(images, labelled, labels[labelled], validation, labels[validation], unlabelled)


def test_a_round_is_the_same_for_all_seeds_and_says_how_it_ended(
    digits: tuple[Images, NDArray[np.integer]],
) -> None:
    resident = Resident.of(digits[0], torch.device("cpu"))
    one, other = (fit(protocol(), inputs(digits), seed, 0, resident) for seed in (0, 7))
    assert isinstance(one.learner, Learner)
    assert isinstance(other.learner, Learner)
    assert torch.equal(one.learner.net.head.weight, other.learner.net.head.weight)
    assert one.initial_weights == other.initial_weights
    assert one.extra["gradient"] <= 1e-6
    assert 5 < one.steps < 1000
    assert one.validation["accuracy"] > 0.6
    assert one.recipe == protocol().recipe


def test_it_learns_from_features_scaled_over_the_pool(digits: tuple[Images, NDArray[np.integer]]) -> None:
    given = inputs(digits, 60)
    fitted = fit(protocol(), given, 0, 0, Resident.of(digits[0], torch.device("cpu")))
    assert isinstance(fitted.learner, Learner)
    flat = digits[0].pixels.reshape(len(digits[0].pixels), -1).astype(np.float64)
    grey = digits[0].pixels[given.pool].astype(np.float64)
    flat = (flat - grey.mean()) / grey.std()
    reference = LogisticRegression(solver="newton-cg", tol=1e-8, max_iter=500).fit(flat[given.labelled], given.labels)
    asked = np.arange(1500, 1797)
    expected = reference.predict_proba(flat[asked])
    np.testing.assert_allclose(fitted.learner.predict(asked).probabilities.numpy(), expected, atol=1e-4)


def test_an_ensemble_of_solved_heads_is_refused() -> None:
    strategies = (StrategySpec(name="random"), StrategySpec(name="ensemble-entropy"))
    study = Study(name="s", protocols=(protocol(),), strategies=strategies, seeds=(0,))
    with pytest.raises(InputError, match="gives all members one head"):
        refuse_unusable_inputs(study, None)

"""Heads that are solved instead of trained by steps: multinomial logistic regression on frozen features."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from protocol.spec.base import FrozenModel

STEPWISE: Final = ("steps", "epochs", "batch_size", "optimizer")
"""Fields of a recipe that describe training by steps, which a solved head does without."""


class Solver(FrozenModel):
    """L2-regularised multinomial logistic regression, solved to convergence on the labels bought so far.

    It minimises f(W, b) = 1/n (Σ w_i (-log p_i) + l2/2 |W|²) over weights W and biases b, where w_i are class weights
    (`imbalance = "weighted-loss"`, else 1). This is scikit-learn's LogisticRegression with C = 1/l2. It begins at
    W = 0, b = 0, so the solution depends on the labels alone, not on the seed's weights.
    """

    name: Literal["lbfgs"] = Field("lbfgs", description="L-BFGS with a strong Wolfe line search, in float64")
    l2: Annotated[float, Field(gt=0)] = Field(1.0, description="weight of the penalty on W, not on b: 1/C")
    tolerance: Annotated[float, Field(ge=1e-8, le=1e-2)] = Field(
        1e-6, description="converged: no entry of the gradient of f is larger in size"
    )
    max_iterations: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000,
        description="iterations after which it ends unconverged; the round is then evaluated as it is, the record says "
        "so, and rule TRN-12 finds it",
    )


def solver_faults(regime: Any) -> list[str]:
    """Return what of a recipe does not go with its solver, or what is missing without one, in words.

    Args:
        regime: the `protocol.spec.recipe.Regime`, which imports this module.
    """
    if regime.solver is None:
        missing = [name for name in ("batch_size", "optimizer") if getattr(regime, name) is None]
        problems = [f"training by steps needs {name}; give it, or the table solver" for name in missing]
        if (regime.steps is None) == (regime.epochs is None):
            found = f"steps={regime.steps}, epochs={regime.epochs}"
            problems.append(f"expected exactly one of steps and epochs, found {found}")
        return problems
    given = [name for name in STEPWISE if getattr(regime, name) is not None]
    given += [name for name, plain in _PLAIN.items() if getattr(regime, name) != plain]
    if regime.augmentation.model_dump(exclude_defaults=True):
        given.append("augmentation")
    if regime.imbalance == "balanced-batches":
        given.append("imbalance = 'balanced-batches' (use 'weighted-loss')")
    if regime.pretraining is not None and regime.pretraining.then != "linear-probe":
        given.append("pretraining.then = 'fine-tune' (use 'linear-probe')")
    if not given:
        return []
    return [f"a solver trains a linear head on all labels at once, so it excludes {', '.join(given)}; remove them"]


_PLAIN: Final[dict[str, Any]] = {
    "method": "supervised",
    "label_smoothing": 0.0,
    "selection": "last",
    "precision": "float32",
    "ema_decay": None,
    "swa": None,
    "epoch_at_least": None,
    "stop_at": None,
    "start": "reset",
}
"""Values that leave nothing to do for a solver."""

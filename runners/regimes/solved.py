"""Multinomial logistic regression on frozen features, solved to convergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor

from protocol.spec.protocol import Protocol
from protocol.spec.solver import Solver
from runners.machine.device import plain_kernels
from runners.models.net import Net
from runners.models.resident import Resident
from runners.models.solved import SolvedLearner
from runners.regimes.base import Fit, FitInputs
from runners.regimes.schedule import class_weights
from runners.regimes.training import digest_of, initial_network, validate

ABSENT_LOGIT: Final = -30.0
"""Logit of a class without labels, where the logits of all others have mean 0: a probability below e^-30.

Without a penalty on biases it would be minus infinity.
"""
_HISTORY: Final = 20
"""Steps that L-BFGS remembers: with half as many, 2 of 29,000 heads on digits did not converge."""
_LEG: Final = 300


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved head.

    Attributes:
        weights: (classes, d) float64.
        biases: (classes,) float64; `ABSENT_LOGIT` for a class without labels.
        iterations: iterations of L-BFGS.
        loss: objective f at the end.
        gradient: largest entry of its gradient, in size.
    """

    weights: Tensor
    biases: Tensor
    iterations: int
    loss: float
    gradient: float


def solve(solver: Solver, x: Tensor, targets: Tensor, classes: int, class_weights: Tensor | None = None) -> Solution:
    """Minimise the objective of `protocol.spec.solver.Solver`, from zero, in float64.

    Equal calls with equal thread counts give equal bytes on one device. Only classes with labels take part.

    Args:
        solver: penalty, tolerance and limit.
        x: (n, d) scaled features, n >= 1.
        targets: (n,) int64 classes.
        classes: number of classes.
        class_weights: (classes,) weights of the classes, with mean 1 over the images; None: all 1.
    """
    present, positions = torch.unique(targets, return_inverse=True)
    bordered = torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.float64, device=x.device)], 1)
    weights = torch.ones(len(x), device=x.device) if class_weights is None else class_weights[targets]
    objective = _objective(bordered, positions, len(present), weights.double(), solver.l2)
    solution, iterations = _minimise(solver, objective, torch.zeros(len(present), bordered.shape[1]).to(bordered))
    loss, gradient = objective(solution)
    head = torch.zeros(classes, bordered.shape[1], dtype=torch.float64, device=x.device)
    head[:, -1] = ABSENT_LOGIT
    head[present] = solution
    return Solution(head[:, :-1].clone(), head[:, -1].clone(), iterations, float(loss), float(gradient.abs().max()))


Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""(k, d + 1) weights and biases → value, and gradient of their shape."""


def _objective(x: Tensor, positions: Tensor, classes: int, weights: Tensor, l2: float) -> Objective:
    """Return f and its gradient: 1/n (Σ w_i (-log p_i) + l2/2 |W|²)."""
    truth = torch.nn.functional.one_hot(positions, classes).double()
    n = len(x)

    def value_and_gradient(head: Tensor) -> tuple[Tensor, Tensor]:
        log_p = (x @ head.T).log_softmax(1)
        value = -((log_p * truth).sum(1) * weights).sum() + l2 / 2 * head[:, :-1].square().sum()
        gradient = ((log_p.exp() - truth) * weights[:, None]).T @ x
        gradient[:, :-1] += l2 * head[:, :-1]
        return value / n, gradient / n

    return value_and_gradient


@torch.no_grad()
def _minimise(solver: Solver, objective: Objective, start: Tensor) -> tuple[Tensor, int]:
    """Return the minimum and the number of iterations; see torch.optim.LBFGS (Nocedal & Wright 2006, 7.2).

    It begins anew where it is after `_LEG` iterations: near the solution, rounding can stop the line search from making
    progress with what it remembers.
    """
    head, iterations, largest = torch.nn.Parameter(start), 0, math.inf

    def evaluate() -> Tensor:
        value, head.grad = objective(head.detach())
        return value

    while iterations < solver.max_iterations and largest > solver.tolerance:
        left = min(_LEG, solver.max_iterations - iterations)
        method = torch.optim.LBFGS(
            [head],
            max_iter=left,
            max_eval=4 * left,
            tolerance_grad=solver.tolerance,
            tolerance_change=0.0,
            history_size=_HISTORY,
            line_search_fn="strong_wolfe",
        )
        method.step(evaluate)  # type: ignore[no-untyped-call]
        made = int(method.state[head]["n_iter"]) if method.state[head] else 0
        iterations, largest = iterations + made, float(objective(head.detach())[1].abs().max())
        if not made:
            break
    return head.detach(), iterations


def solve_head(protocol: Protocol, inputs: FitInputs, seed: int, resident: Resident) -> Fit:
    """Solve the linear head of one round to convergence; see `runners.regimes.fit`.

    The initial weights are those that it begins with: zero.
    """
    solver, device = protocol.regime.solver, resident.device
    if solver is None:
        raise ValueError(f"the recipe {protocol.regime.name} has no solver")
    net = cast(Net, initial_network(protocol, inputs.images, seed, resident)).to(device).requires_grad_(False)
    net.head.weight.zero_()
    net.head.bias.zero_()
    initial = digest_of(protocol, net.state_dict(), resident)
    scaling = resident.scaling(inputs.pool)
    targets = torch.from_numpy(inputs.labels.astype("int64")).to(device)
    x = resident.scaled_rows(scaling, inputs.labelled)
    classes = len(inputs.images.classes)
    weights = class_weights(targets, classes) if protocol.regime.imbalance == "weighted-loss" else None
    with plain_kernels(device):
        solution = solve(solver, x, targets, classes, weights)
    net.head.weight.copy_(solution.weights)
    net.head.bias.copy_(solution.biases)
    learner = SolvedLearner(net, resident, scaling)
    return Fit(
        learner=learner,
        steps=solution.iterations,
        initial_weights=initial,
        recipe=protocol.recipe,
        validation=validate(learner, inputs),
        extra={
            "final_loss": solution.loss,
            "gradient": solution.gradient,
            "selected_step": float(solution.iterations),
        },
        pretrained=resident.start.digest if resident.start else "",
    )

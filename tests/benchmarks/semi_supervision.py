"""Gain of learning from the unlabelled pool on digits: all recipes on the same random labels, paired by seed.

    uv run python tests/benchmarks/semi_supervision.py --labels 20 40 60 --seeds 8

Prints accuracy on the test images, and the difference
to the supervised recipe with augmentation at as many steps.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy import stats

from protocol.draws.splits import make_split, starting_set
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import load_preset
from runners.data import load
from runners.regimes import FitInputs, Learner, Resident, fit

SEMI = ("pseudo-label", "mean-teacher", "uda", "fixmatch", "flexmatch")
NONE = np.empty(0, np.int64)


def recipes() -> dict[str, Protocol]:
    """Return the presets by recipe; `augmented` takes the steps of the semi-supervised ones."""
    found = {name: load_preset(f"digits-{name}") for name in ("plain", "augmented", *SEMI)}
    for name in ("plain", "augmented"):
        regime = found[name].regime.model_copy(update={"steps": found["fixmatch"].regime.steps})
        found[name] = found[name].model_copy(update={"regime": regime})
    return found


def accuracy(protocol: Protocol, labels: int, seed: int) -> tuple[float, dict[str, float]]:
    """Return test accuracy after one round on `labels` random images, and the record's extras."""
    images, hidden = load(protocol.data, None)
    truth = hidden.for_oracle()
    protocol = protocol.model_copy(update={"budgets": (labels,)})
    split = make_split(protocol, seed, images.train_size, images.test_size)
    owned = starting_set(protocol, seed, split, truth)
    inputs = FitInputs(images, owned, truth[owned], NONE, NONE, np.setdiff1d(split.pool, owned))
    fitted = fit(protocol, inputs, seed, 0, Resident.of(images, torch.device("cpu")))
    assert isinstance(fitted.learner, Learner)
    return float((fitted.learner.labels(split.test) == truth[split.test]).mean()), fitted.extra


def interval(values: list[float]) -> str:
    """Return the mean and the 95 % t interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{np.mean(values):+.3f} [{np.mean(values) - half:+.3f}, {np.mean(values) + half:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 40, 60])
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for labels in given.labels:
        reference: list[float] = []
        for name, protocol in sorted(recipes().items(), key=lambda item: item[0] != "augmented"):
            pairs = [accuracy(protocol, labels, seed) for seed in range(given.seeds)]
            values = [value for value, _ in pairs]
            reference = reference or values
            learned = [extra["mask_ratio"] for _, extra in pairs if "mask_ratio" in extra]
            difference = (
                "" if values is reference else interval([a - b for a, b in zip(values, reference, strict=True)])
            )
            used = f"  learned from {np.mean(learned):.0%} of the pool images seen" if learned else ""
            print(
                f"{labels:3d} labels  {name:13s} {interval(values)}  to augmented: {difference or '-'}{used}",
                flush=True,
            )


if __name__ == "__main__":
    main()

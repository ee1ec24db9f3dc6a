"""Gain of learning from the unlabelled pool in segmentation: all recipes on the same random masks, paired by seed.

    uv run python tests/benchmarks/semi_maps.py --masks 20 40 --seeds 10 [--steps 600]

Prints mean IoU on the test scenes, and the difference to
the supervised recipe with augmentation, mean and 95 % t interval. All recipes take the same steps: those of their
presets, or `--steps`, over which the weight of the pool then also grows as much more slowly.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from scipy import stats

from protocol.draws.splits import make_split, starting_set
from protocol.metrics import confusion_matrices, segmentation_metrics
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import load_preset
from runners.data import load
from runners.regimes import FitInputs, Resident, fit
from runners.tasks.segmentation import MapLearner

RECIPES = ("augmented", "plain", "cutmix", "s4gan", "unimatch")
NONE = np.empty(0, np.int64)


def mean_iou(protocol: Protocol, seed: int) -> tuple[float, dict[str, float], float]:
    """Return mean IoU on the test scenes after one round on random masks, the record's extras, and seconds."""
    images, hidden = load(protocol.data, None)
    truth = hidden.for_oracle()
    split = make_split(protocol, seed, images.train_size, images.test_size)
    owned = starting_set(protocol, seed, split, truth)
    inputs = FitInputs(images, owned, truth[owned], NONE, NONE, np.setdiff1d(split.pool, owned))
    start = time.perf_counter()
    fitted = fit(protocol, inputs, seed, 0, Resident.of(images, torch.device("cpu")))
    took = time.perf_counter() - start
    assert isinstance(fitted.learner, MapLearner)
    counts = confusion_matrices(fitted.learner.labels(split.test), truth[split.test], len(images.classes))
    return segmentation_metrics(counts)["mean_iou"], fitted.extra, took


def asked(name: str, masks: int, steps: int | None) -> Protocol:
    """Return the preset with one budget and, if given, other steps and a ramp stretched alike."""
    protocol = load_preset(f"digit-scenes-{name}")
    regime = protocol.regime
    if steps is not None and regime.steps is not None:
        semi = regime.semi and regime.semi.model_copy(
            update={"ramp_steps": regime.semi.ramp_steps * steps // regime.steps}
        )
        regime = regime.model_copy(update={"steps": steps, "semi": semi})
    return protocol.model_copy(update={"budgets": (masks,), "regime": regime})


def interval(values: list[float]) -> str:
    """Return the mean and the 95 % t interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{np.mean(values):+.3f} [{np.mean(values) - half:+.3f}, {np.mean(values) + half:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, help="instead of those of the presets (150)")
    parser.add_argument(
        "--recipes", nargs="+", default=RECIPES, help="names after digit-scenes-; differences are to the first"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    for masks in given.masks:
        reference: list[float] = []
        for name in given.recipes:
            protocol = asked(name, masks, given.steps)
            runs = [mean_iou(protocol, seed) for seed in range(given.seeds)]
            values = [value for value, _, _ in runs]
            reference = reference or values
            difference = (
                "-" if values is reference else interval([a - b for a, b in zip(values, reference, strict=True)])
            )
            told = {
                key: np.mean([extra[key] for _, extra, _ in runs])
                for key in runs[0][1]
                if key not in ("final_loss", "selected_step")
            }
            also = ", ".join(f"{key} {value:.3f}" for key, value in told.items())
            took = np.median([seconds for _, _, seconds in runs])
            print(
                f"{masks:3d} masks  {name:9s} {interval(values)}  to {given.recipes[0]}: {difference}  "
                f"{took:.1f} s  {also}",
                flush=True,
            )


if __name__ == "__main__":
    main()

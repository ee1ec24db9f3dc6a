"""Export of learning curves to experiment trackers.

There is one tracker run per complete run, and one step per label. Everything is written to local files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from analysis.formatting.tables import csv_text
from protocol.errors import Fault, InputError

Tables = Mapping[str, pd.DataFrame]
Key = tuple[str, str, int]


def to_tensorboard(tables: Tables, target: Path, _name: str) -> int:
    """Write event files, one folder per run, and return the number of runs."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise _missing("tensorboard") from None
    written = 0
    for (protocol, strategy, seed), run in _runs(tables["curves"]):
        with SummaryWriter(str(target / protocol / strategy / f"seed-{seed}")) as writer:
            for metric, budget, value in run:
                writer.add_scalar(metric, value, budget)
        written += 1
    return written


def to_mlflow(tables: Tables, target: Path, name: str) -> int:
    """Write a local MLflow store (SQLite), with the study as its experiment.

    A run named `tables` has the tables as artefacts.
    """
    try:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise _missing("mlflow") from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    target.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{target.resolve() / 'mlflow.db'}")
    experiment = client.create_experiment(name, artifact_location=(target / "artefacts").resolve().as_uri())
    facts = _facts(tables["runs"])
    written = 0
    for key, run in _runs(tables["curves"]):
        protocol, strategy, seed = key
        made = client.create_run(experiment, run_name=f"{protocol}/{strategy}/seed-{seed}").info.run_id
        metrics = [Metric(metric, value, 0, budget) for metric, budget, value in run]
        params = [Param("protocol", protocol), Param("strategy", strategy), Param("seed", str(seed))]
        client.log_batch(made, metrics, params, [RunTag(k, v) for k, v in facts[key].items()])
        client.set_terminated(made)
        written += 1
    whole = client.create_run(experiment, run_name="tables").info.run_id
    for table, frame in tables.items():
        client.log_text(whole, csv_text(frame), f"{table}.csv")
    client.set_terminated(whole)
    return written


def to_wandb(tables: Tables, target: Path, name: str) -> int:
    """Write offline runs of Weights & Biases. `wandb sync` can upload them later."""
    os.environ["WANDB_SILENT"] = "true"
    try:
        import wandb
    except ImportError:
        raise _missing("wandb") from None
    target.mkdir(parents=True, exist_ok=True)
    facts = _facts(tables["runs"])
    written = 0
    for key, run in _runs(tables["curves"]):
        protocol, strategy, seed = key
        config: dict[str, Any] = {"protocol": protocol, "strategy": strategy, "seed": seed, **facts[key]}
        label = f"{protocol}/{strategy}/seed-{seed}"
        with wandb.init(
            project=name, name=label, group=f"{protocol}/{strategy}", config=config, dir=str(target), mode="offline"
        ) as tracker_run:
            tracker_run.define_metric("*", step_metric="budget")
            steps: dict[int, dict[str, float]] = {}
            for metric, budget, value in run:
                steps.setdefault(budget, {})[metric] = value
            for budget in sorted(steps):
                tracker_run.log({"budget": budget, **steps[budget]})
        written += 1
    return written


TRACKERS: Final[dict[str, tuple[Callable[[Tables, Path, str], int], str]]] = {
    "tensorboard": (to_tensorboard, "tensorboard --logdir {target}"),
    "mlflow": (to_mlflow, "mlflow ui --backend-store-uri sqlite:///{target}/mlflow.db"),
    "wandb": (to_wandb, "wandb sync {target}/wandb/offline-run-*"),
}
"""Name -> function that writes, and command that shows the result."""


def _runs(curves: pd.DataFrame) -> Iterator[tuple[Key, list[tuple[str, int, float]]]]:
    runs: dict[Key, list[tuple[str, int, float]]] = {}
    columns = ["protocol", "strategy", "seed", "metric", "budget", "value"]
    for protocol, strategy, seed, metric, budget, value in curves[columns].itertuples(index=False):
        runs.setdefault((protocol, strategy, int(seed)), []).append((metric, int(budget), float(value)))
    yield from runs.items()


def _facts(runs: pd.DataFrame) -> dict[Key, dict[str, str]]:
    columns = ["dataset", "regime", "fingerprint", "environment", "head", "attempts", "failures", "labels"]
    return {
        (str(r["protocol"]), str(r["strategy"]), int(r["seed"])): {k: str(r[k]) for k in columns}
        for _, r in runs.iterrows()
    }


def _missing(name: str) -> InputError:
    return InputError(Fault(f"--to {name}", name, "not installed", f"install the extra: uv sync --extra {name}"))

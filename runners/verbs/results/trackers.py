"""Curves of a study for experiment trackers: a run of theirs for every complete run, a step a label. Nothing is sent anywhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from protocol.errors import Fault, InputError

Tables = Mapping[str, pd.DataFrame]
Key = tuple[str, str, int]


def to_tensorboard(tables: Tables, target: Path, _name: str) -> int:
    """Event files, a folder a run; returns how many runs."""
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
    """A local MLflow store (SQLite) with the study as its experiment, and the tables as artefacts of a run `tables`."""
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
        client.log_text(whole, frame.to_csv(index=False), f"{table}.csv")
    client.set_terminated(whole)
    return written


def to_wandb(tables: Tables, target: Path, name: str) -> int:
    """Weights & Biases' offline runs, to be sent with `wandb sync` if ever."""
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
        ) as there:
            there.define_metric("*", step_metric="budget")
            steps: dict[int, dict[str, float]] = {}
            for metric, budget, value in run:
                steps.setdefault(budget, {})[metric] = value
            for budget in sorted(steps):
                there.log({"budget": budget, **steps[budget]})
        written += 1
    return written


TRACKERS: Final[dict[str, tuple[Callable[[Tables, Path, str], int], str]]] = {
    "tensorboard": (to_tensorboard, "tensorboard --logdir {target}"),
    "mlflow": (to_mlflow, "mlflow ui --backend-store-uri sqlite:///{target}/mlflow.db"),
    "wandb": (to_wandb, "wandb sync {target}/wandb/offline-run-*"),
}
"""Name -> who writes, and how to see it."""


def _runs(curves: pd.DataFrame) -> Iterator[tuple[Key, list[tuple[str, int, float]]]]:
    found: dict[Key, list[tuple[str, int, float]]] = {}
    columns = ["protocol", "strategy", "seed", "metric", "budget", "value"]
    for protocol, strategy, seed, metric, budget, value in curves[columns].itertuples(index=False):
        found.setdefault((protocol, strategy, int(seed)), []).append((metric, int(budget), float(value)))
    yield from found.items()


def _facts(runs: pd.DataFrame) -> dict[Key, dict[str, str]]:
    told = ["dataset", "regime", "fingerprint", "environment", "head", "attempts", "failures", "labels"]
    return {
        (str(r["protocol"]), str(r["strategy"]), int(r["seed"])): {k: str(r[k]) for k in told}
        for _, r in runs.iterrows()
    }


def _missing(name: str) -> InputError:
    return InputError(Fault(f"--to {name}", name, "not installed", f"install the extra: uv sync --extra {name}"))

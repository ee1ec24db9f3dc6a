"""`export`: a study for other tools, rebuilt from its records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.export import study_tables, write_study_tables
from protocol.errors import Fault, InputError, unknown_name
from runners.verbs.console import console

TARGETS = ("tables", "tensorboard")


def export(source: Path, out: Path | None, form: str, to: str) -> None:
    """See `beatrandom export --help`."""
    if to not in TARGETS:
        raise InputError(unknown_name("--to", to, TARGETS))
    name = source.resolve().name.removesuffix(".tar.xz")
    target = out or Path(f"{name}-{to}")
    with console.status("reading the records"):
        tables = study_tables(source)
    if to == "tensorboard":
        written = _to_tensorboard(tables["curves"], target)
        console.print(f"{target}: {written} runs; see them with `tensorboard --logdir {target}`", markup=False, soft_wrap=True)
        return
    for path, frame in zip(write_study_tables(tables, target, form), tables.values(), strict=True):  # type: ignore[arg-type]  # checked there
        console.print(f"{path}: {len(frame)} rows", markup=False, soft_wrap=True)


def _to_tensorboard(curves: pd.DataFrame, target: Path) -> int:
    """Every metric of every complete run, a step a label; returns how many runs."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(Fault("--to tensorboard", "tensorboard", "not installed", "install beatrandom[tensorboard]")) from None
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(Fault(str(target), "a new or an empty folder", "something in it", "use --out; nothing was overwritten"))
    groups = curves.groupby(["protocol", "strategy", "seed"], sort=False)
    for (protocol, strategy, seed), run in groups:
        with SummaryWriter(str(target / str(protocol) / str(strategy) / f"seed-{seed}")) as writer:
            for metric, budget, value in run[["metric", "budget", "value"]].itertuples(index=False):
                writer.add_scalar(metric, value, budget)
    return len(groups)

"""A user's own defaults: which executor, on which cluster. Never part of a protocol, a plan or a record's fingerprint.

Read from the file that BEATRANDOM_CONFIG names, else from beatrandom/config.toml under XDG_CONFIG_HOME (~/.config):

    executor = "slurm"

    [ray]
    address = "auto"

    [slurm]
    parameters = { slurm_partition = "gpu", timeout_min = 600, mem_gb = 8, gpus_per_node = 1 }
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from protocol.errors import Fault, InputError
from protocol.spec.base import FrozenModel
from protocol.spec.toml_files import parse

EXECUTORS = ("local", "inline", "ray", "slurm")


class RayConfig(FrozenModel):
    """Where Ray is."""

    address: str | None = Field(
        None, description="of a running cluster, e.g. auto; null: RAY_ADDRESS, else one is started here"
    )
    gpus: Annotated[float, Field(ge=0)] = Field(0.0, description="share of a GPU that a run takes")


class SlurmConfig(FrozenModel):
    """How jobs are submitted."""

    cluster: Literal["slurm", "local", "debug"] = Field(
        "slurm", description="local and debug try the same way without SLURM"
    )
    parameters: dict[str, bool | int | float | str] = Field(
        default_factory=dict,
        description="submitit's parameters, e.g. slurm_partition, timeout_min, mem_gb, gpus_per_node",
    )


class Config(FrozenModel):
    """All of a user's defaults."""

    executor: Literal["local", "inline", "ray", "slurm"] = Field(
        "local", description="used where --executor is not given"
    )
    ray: RayConfig = Field(default_factory=RayConfig)
    slurm: SlurmConfig = Field(default_factory=SlurmConfig)


def read_config() -> Config:
    """The user's defaults, or the project's where there is no file.

    Raises:
        InputError: the file cannot be read, or says what is not known; all faults at once.
    """
    named = os.environ.get("BEATRANDOM_CONFIG")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = Path(named) if named else home / "beatrandom" / "config.toml"
    if not named and not path.exists():
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            Fault(str(path), "a configuration in TOML", str(error), "mend it, or unset BEATRANDOM_CONFIG")
        ) from None
    return parse(Config, table, str(path))

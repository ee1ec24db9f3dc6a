"""Defaults of a user: executor and cluster.

They are never part of a protocol, a plan or a fingerprint. They are read from the file named by BEATRANDOM_CONFIG,
else from beatrandom/config.toml in XDG_CONFIG_HOME (~/.config):

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
    """Address of Ray, and GPUs per run."""

    address: str | None = Field(
        None,
        description="address of a running cluster, e.g. auto; null: RAY_ADDRESS, else Ray is started on this machine",
    )
    gpus: Annotated[float, Field(ge=0)] = Field(0.0, description="GPUs per run; may be a fraction")


class SlurmConfig(FrozenModel):
    """Submission of jobs to SLURM."""

    cluster: Literal["slurm", "local", "debug"] = Field(
        "slurm", description="local and debug test the same code path without SLURM"
    )
    parameters: dict[str, bool | int | float | str] = Field(
        default_factory=dict,
        description="submitit's parameters, e.g. slurm_partition, timeout_min, mem_gb, gpus_per_node",
    )


class Config(FrozenModel):
    """All defaults of a user."""

    executor: Literal["local", "inline", "ray", "slurm"] = Field("local", description="used if --executor is not given")
    ray: RayConfig = Field(default_factory=RayConfig)
    slurm: SlurmConfig = Field(default_factory=SlurmConfig)


def read_config() -> Config:
    """Return the user's defaults, or the project's if there is no configuration file.

    Raises:
        InputError: the file cannot be read or has unknown entries; all faults are listed together.
    """
    variable = os.environ.get("BEATRANDOM_CONFIG")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = Path(variable) if variable else home / "beatrandom" / "config.toml"
    if not variable and not path.exists():
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            Fault(str(path), "a configuration in TOML", str(error), "fix the file, or unset BEATRANDOM_CONFIG")
        ) from None
    return parse(Config, table, str(path))

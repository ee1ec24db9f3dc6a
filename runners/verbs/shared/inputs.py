"""From what the user typed to a resolved study, a folder and a device."""

from __future__ import annotations

import os
from pathlib import Path

from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from protocol.spec.toml_files import add_strategies, read_study
from runners.progress.status import copied_source, resolve


def read(source: Path, extra: list[str], data_root: Path | None = None) -> tuple[Study, Path, Path | None]:
    """The study, the folder its relative paths start from, and its study folder if it was started already.

    Args:
        source: TOML file or study folder.
        extra: strategies to add, as names or file.py:Name.
        data_root: where files of encoders and of weights are looked for.
    """
    if source.is_dir():
        study = StudyFolder(source).read_plan()
        if extra:
            raise InputError(
                Fault(
                    "--strategy",
                    "none with a study folder, whose plan is fixed",
                    ", ".join(extra),
                    "give the TOML file and another --out",
                )
            )
        return study, source, source
    return resolve(add_strategies(read_study(source), extra), source.parent, data_root), source.parent, None


def own_files_are_kept(folder: StudyFolder, study: Study) -> None:
    """A study folder must hold the copies of own strategy files its plan names."""
    missing = [c for c in (copied_source(folder, s) for s in study.strategies) if c is not None and not c.exists()]
    if missing:
        raise InputError(
            [Fault(str(path), "the kept copy of an own strategy", "no such file", "restore it") for path in missing]
        )


def device_of(wanted: str) -> str:
    """'auto' is CUDA where there is one; anything else is checked."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            Fault("--device", "cpu, cuda, cuda:N or auto", f"{wanted!r}: {str(error).splitlines()[0]}")
        ) from None
    return wanted


def gpus_of(wanted: str) -> tuple[str, ...]:
    """Every visible GPU, as CUDA_VISIBLE_DEVICES would name it, if the device is not one in particular; else none."""
    import torch

    if wanted not in ("auto", "cuda") or not torch.cuda.is_available():
        return ()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return tuple(named or map(str, range(torch.cuda.device_count())))

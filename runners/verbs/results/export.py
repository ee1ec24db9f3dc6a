"""`export`: tables of a study for other tools, rebuilt from its records."""

from __future__ import annotations

from pathlib import Path

from analysis.secondary.export import study_tables, write_study_tables
from protocol.errors import Fault, InputError, unknown_name
from runners.terminal.console import console
from runners.verbs.results.trackers import TRACKERS

TARGETS = ("tables", *TRACKERS)


def export(source: Path, out: Path | None, format: str, to: str) -> None:
    """See `beatrandom export --help`."""
    if to not in TARGETS:
        raise InputError(unknown_name("--to", to, TARGETS))
    name = source.resolve().name.removesuffix(".tar.xz")
    target = out or Path(f"{name}-{to}")
    if to in TRACKERS and target.exists() and (not target.is_dir() or any(target.iterdir())):
        found = "a file" if not target.is_dir() else f"a folder with {min(p.name for p in target.iterdir())}"
        fix = "choose another --out; nothing was overwritten"
        raise InputError(Fault(str(target), "a new or an empty folder", found, fix))
    with console.status("reading the records"):
        tables = study_tables(source)
    if to in TRACKERS:
        write, command = TRACKERS[to]
        with console.status(f"writing for {to}"):
            written = write(tables, target, name)
        console.print(
            f"{target}: {written} runs; to view them: `{command.format(target=target)}`", markup=False, soft_wrap=True
        )
        return
    for path, frame in zip(write_study_tables(tables, target, format), tables.values(), strict=True):  # type: ignore[arg-type]  # checked by the callee
        console.print(f"{path}: {len(frame)} rows", markup=False, soft_wrap=True)

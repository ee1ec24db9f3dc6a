"""`export`: a study for other tools, rebuilt from its records."""

from __future__ import annotations

from pathlib import Path

from analysis.secondary.export import study_tables, write_study_tables
from protocol.errors import Fault, InputError, unknown_name
from runners.verbs.results.trackers import TRACKERS
from runners.verbs.shared.console import console

TARGETS = ("tables", *TRACKERS)


def export(source: Path, out: Path | None, form: str, to: str) -> None:
    """See `beatrandom export --help`."""
    if to not in TARGETS:
        raise InputError(unknown_name("--to", to, TARGETS))
    name = source.resolve().name.removesuffix(".tar.xz")
    target = out or Path(f"{name}-{to}")
    if to in TRACKERS and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            Fault(str(target), "a new or an empty folder", "something in it", "use --out; nothing was overwritten")
        )
    with console.status("reading the records"):
        tables = study_tables(source)
    if to in TRACKERS:
        write, see = TRACKERS[to]
        with console.status(f"writing for {to}"):
            written = write(tables, target, name)
        console.print(
            f"{target}: {written} runs; see them with `{see.format(target=target)}`", markup=False, soft_wrap=True
        )
        return
    for path, frame in zip(write_study_tables(tables, target, form), tables.values(), strict=True):  # type: ignore[arg-type]  # checked there
        console.print(f"{path}: {len(frame)} rows", markup=False, soft_wrap=True)

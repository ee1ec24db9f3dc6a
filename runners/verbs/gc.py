"""`gc`: remove what a study folder holds that is no evidence and nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from protocol.errors import BeatRandomError, RunLocked
from protocol.folders import RunFolder, StudyFolder, abandoned
from protocol.record import alone, read
from runners.verbs.console import console, print_json, table

DRAFT: Final = "half-written files of killed processes"
CHECKPOINT: Final = "weights kept for warm starts that are over"
OLD_SECONDS: Final = 3600.0
"""Drafts beside no run have no lock: only those that nobody can be writing any more are taken."""


def gc(folder: StudyFolder, dry: bool, json: bool) -> None:
    """See `beatrandom gc --help`."""
    folder.read_plan()
    removed: dict[str, list[tuple[Path, int]]] = {DRAFT: [], CHECKPOINT: []}
    busy: list[str] = []
    with console.status("looking through the runs"):
        for kind, path in _shared(folder):
            removed[kind].append(_remove(path, dry))
        for run in sorted(p.parent for p in folder.path.glob("records/*/*/*/events.jsonl")):
            try:
                with alone(RunFolder(run)) as still_ours:
                    for kind, path in _of_run(RunFolder(run)):
                        still_ours()
                        removed[kind].append(_remove(path, dry))
            except RunLocked:
                busy.append(str(run.relative_to(folder.path)))
    if json:
        counts = {kind: {"files": len(found), "bytes": sum(size for _, size in found)} for kind, found in removed.items()}
        print_json({"removed": counts, "dry_run": dry, "busy": busy})
        return
    rows = [(kind, len(found), f"{sum(size for _, size in found) / 1e6:.1f}") for kind, found in removed.items()]
    console.print(table("Would be removed" if dry else "Removed", ["what", "files", "MB"], rows, ["files", "MB"]))
    if busy:
        console.print(f"{len(busy)} runs are being written and were left alone, e.g. {busy[0]}", markup=False)
    console.print("Evidence (records, predictions, splits, plans, manifests) is never removed.")


def _of_run(run: RunFolder) -> Iterator[tuple[str, Path]]:
    for place in (run.path, *sorted(p for p in run.path.iterdir() if p.is_dir() and not p.is_symlink())):
        yield from ((DRAFT, path) for path in abandoned(place) if path not in run.checkpoints())
    kept = run.checkpoints()
    yield from ((CHECKPOINT, path) for path in (kept if _over(run) else kept[:-1]))


def _over(run: RunFolder) -> bool:
    try:
        return read(run.events).sealed
    except BeatRandomError:
        return False  # damaged: whoever mends it decides


def _shared(folder: StudyFolder) -> Iterator[tuple[str, Path]]:
    for place in (folder.path, *(p for p in folder.path.glob("*") if p.is_dir() and p != folder.records)):
        yield from ((DRAFT, path) for path in abandoned(place) if time.time() - path.stat().st_mtime > OLD_SECONDS)


def _remove(path: Path, dry: bool) -> tuple[Path, int]:
    size = path.stat().st_size
    if not dry:
        path.unlink(missing_ok=True)
    return path, size

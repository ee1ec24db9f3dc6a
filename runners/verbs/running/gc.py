"""`gc`: remove files of a study folder or of the cache that are no longer needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protocol.errors import BeatRandomError, Fault, InputError, RunLocked
from protocol.record.chain import lock_run, read
from protocol.record.layout import RunFolder, StudyFolder, clock, unfinished_files
from protocol.safe_read import open_folder
from runners.caching.cache_folder import CACHE_VARIABLE, CacheEntry, cache_folder, entries
from runners.terminal.console import console, print_json, table

DRAFT: Final = "half-written files of killed processes"
CHECKPOINT: Final = "weights kept for warm starts that are over"
OLD_SECONDS: Final = 3600.0
"""Age from which drafts outside runs, which have no lock, are removed; by the clock of the disk."""


def gc(folder: Path | None, cache: bool, unused: float, dry_run: bool, json: bool) -> None:
    """See `beatrandom gc --help`."""
    if (folder is None) != cache:
        found = "neither" if folder is None else "both"
        raise InputError(Fault("beatrandom gc", "a study folder, or --cache", found, "give one of them"))
    if folder is None:
        gc_cache(unused, dry_run, json)
    else:
        gc_study(StudyFolder(folder), dry_run, json)


def gc_study(folder: StudyFolder, dry_run: bool, json: bool) -> None:
    """Remove drafts and checkpoints of a study, and print how many."""
    folder.read_plan()
    removed: dict[str, list[int]] = {DRAFT: [], CHECKPOINT: []}
    busy: list[str] = []
    with console.status("searching the runs"):
        for kind, path in _outside_runs(folder):
            removed[kind] += _remove(path, folder.path, dry_run)
        for path in sorted(p.parent for p in folder.path.glob("records/*/*/*/events.jsonl")):
            run = RunFolder(path, folder.path)
            if not _is_inside(path, folder.path):
                continue
            try:
                with lock_run(run) as check_lock:
                    for kind, file in _of_run(run):
                        check_lock()
                        removed[kind] += _remove(file, folder.path, dry_run)
            except RunLocked:
                busy.append(str(path.relative_to(folder.path)))
    if json:
        counts = {kind: {"files": len(sizes), "bytes": sum(sizes)} for kind, sizes in removed.items()}
        print_json({"removed": counts, "dry_run": dry_run, "busy": busy, "cache": _cache_size()})
        return
    rows = [(kind, len(sizes), f"{sum(sizes) / 1e6:.1f}") for kind, sizes in removed.items()]
    console.print(table("Would be removed" if dry_run else "Removed", ["what", "files", "MB"], rows, ["files", "MB"]))
    if busy:
        console.print(f"{len(busy)} runs are being written and were left alone, e.g. {busy[0]}", markup=False)
    console.print("Evidence (records, predictions, splits, plans, manifests) is never removed.")
    size = _cache_size()
    console.print(
        f"The cache of all studies has {size['entries']} entries, {size['bytes'] / 1e6:.1f} MB in {size['folder']}. "
        "To clean it: beatrandom gc --cache",
        markup=False,
    )


def gc_cache(unused_days: float, dry_run: bool, json: bool) -> None:
    """Remove cache entries that were not used for `unused_days`, and print how many."""
    folder = cache_folder()
    every = list(entries(folder))
    old = [entry for entry in every if entry.idle >= unused_days * 86_400]
    removed = old if dry_run else [entry for entry in old if entry.remove()]
    busy = [str(entry.path) for entry in old if entry not in removed]
    kinds = {kind: _sums(every, removed, kind) for kind in sorted({entry.kind for entry in every})}
    if json:
        print_json({"folder": str(folder), "kinds": kinds, "dry_run": dry_run, "busy": busy})
        return
    rows = []
    for kind, sums in kinds.items():
        idle = min(entry.idle for entry in every if entry.kind == kind) / 86_400
        size, removed_size = (f"{sums[key] / 1e6:.1f}" for key in ("bytes", "removed_bytes"))
        rows.append((kind, sums["entries"], size, f"{idle:.1f}", sums["removed"], removed_size))
    verb = "would be removed" if dry_run else "removed"
    columns = ["what", "entries", "MB", "last used (days ago)", verb, f"MB {verb}"]
    console.print(table(f"Cache {folder}", columns, rows, columns[1:]))
    if busy:
        console.print(f"{len(busy)} entries are being written and were left alone, e.g. {busy[0]}", markup=False)
    console.print(
        f"Missing entries are computed again when needed. {CACHE_VARIABLE} names another folder.", markup=False
    )


def _sums(every: list[CacheEntry], removed: list[CacheEntry], kind: str) -> dict[str, int]:
    sizes, removed_sizes = ([entry.size for entry in some if entry.kind == kind] for some in (every, removed))
    return {
        "entries": len(sizes),
        "bytes": sum(sizes),
        "removed": len(removed_sizes),
        "removed_bytes": sum(removed_sizes),
    }


def _cache_size() -> dict[str, Any]:
    folder = cache_folder()
    sizes = [entry.size for entry in entries(folder)]
    return {"folder": str(folder), "entries": len(sizes), "bytes": sum(sizes)}


def _of_run(run: RunFolder) -> Iterator[tuple[str, Path]]:
    """Yield drafts and checkpoints of one run. An unfinished run keeps its last checkpoint."""
    checkpoints = run.checkpoints()
    for folder in (run.path, *sorted(p for p in run.path.iterdir() if p.is_dir() and not p.is_symlink())):
        yield from ((DRAFT, path) for path in unfinished_files(folder) if path not in checkpoints)
    yield from ((CHECKPOINT, path) for path in (checkpoints if _is_finished(run) else checkpoints[:-1]))


def _is_finished(run: RunFolder) -> bool:
    try:
        return read(run.events, run.root).sealed
    except BeatRandomError:
        return False  # the record is damaged; it may be repaired and continued


def _outside_runs(folder: StudyFolder) -> Iterator[tuple[str, Path]]:
    folders = [folder.path, *(p for p in folder.path.glob("*") if p != folder.records)]
    folders += [*folder.path.glob("pretrained/*"), *folder.path.glob("regions/*")]
    for each in folders:
        if _is_inside(each, folder.path) and (drafts := unfinished_files(each)):
            now = clock(each)
            yield from ((DRAFT, path) for path in drafts if now - _written_at(path, now) > OLD_SECONDS)


def _written_at(path: Path, now: float) -> float:
    """Return when a file was last written; `now` if it was renamed meanwhile."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return now


def _is_inside(path: Path, root: Path) -> bool:
    """Return whether a folder is reached from the study folder without a link."""
    try:
        with open_folder(path, root):
            return True
    except OSError:
        return False


def _remove(path: Path, root: Path, dry_run: bool) -> list[int]:
    """Remove a regular file that is reached from `root` without a link, unless `dry_run`.

    Returns:
        Its size in bytes; nothing if it is gone, or something else.
    """
    try:
        with open_folder(path.parent, root) as folder:
            status = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                return []
            if not dry_run:
                os.unlink(path.name, dir_fd=folder)
            return [status.st_size]
    except OSError:
        return []

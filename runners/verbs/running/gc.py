"""`gc`: remove what a study folder or the cache holds that is no evidence and nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protocol.errors import BeatRandomError, RunLocked
from protocol.record.chain import lock_run, read
from protocol.record.layout import RunFolder, StudyFolder, clock, unfinished_files
from runners.caching.cache_folder import CACHE_VARIABLE, Kept, cache_folder, entries
from runners.verbs.shared.console import console, print_json, table

DRAFT: Final = "half-written files of killed processes"
CHECKPOINT: Final = "weights kept for warm starts that are over"
OLD_SECONDS: Final = 3600.0
"""Drafts beside no run have no lock: only those that nobody can be writing any more, by the disk's own clock, are taken."""


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
                with lock_run(RunFolder(run)) as still_ours:
                    for kind, path in _of_run(RunFolder(run)):
                        still_ours()
                        removed[kind].append(_remove(path, dry))
            except RunLocked:
                busy.append(str(run.relative_to(folder.path)))
    if json:
        counts = {
            kind: {"files": len(found), "bytes": sum(size for _, size in found)} for kind, found in removed.items()
        }
        print_json({"removed": counts, "dry_run": dry, "busy": busy, "cache": _size_of_cache()})
        return
    rows = [(kind, len(found), f"{sum(size for _, size in found) / 1e6:.1f}") for kind, found in removed.items()]
    console.print(table("Would be removed" if dry else "Removed", ["what", "files", "MB"], rows, ["files", "MB"]))
    if busy:
        console.print(f"{len(busy)} runs are being written and were left alone, e.g. {busy[0]}", markup=False)
    console.print("Evidence (records, predictions, splits, plans, manifests) is never removed.")
    size = _size_of_cache()
    said = f"{size['entries']} entries, {size['bytes'] / 1e6:.1f} MB in {size['folder']}; beatrandom gc --cache"
    console.print(f"The cache of all studies: {said}", markup=False)


def gc_cache(unused_days: float, dry: bool, json: bool) -> None:
    """See `beatrandom gc --help`: entries that nobody used for so many days."""
    folder = cache_folder()
    every = list(entries(folder))
    old = [entry for entry in every if entry.idle >= unused_days * 86_400]
    gone = old if dry else [entry for entry in old if entry.remove()]
    busy = [str(entry.path) for entry in old if entry not in gone]
    if json:
        print_json(
            {
                "folder": str(folder),
                "kinds": {kind: _sums(every, gone, kind) for kind in sorted({entry.kind for entry in every})},
                "dry_run": dry,
                "busy": busy,
            }
        )
        return
    verb, rows = "would be removed" if dry else "removed", []
    for kind in sorted({entry.kind for entry in every}):
        sums = _sums(every, gone, kind)
        idle = min(entry.idle for entry in every if entry.kind == kind) / 86_400
        rows.append(
            (
                kind,
                sums["entries"],
                f"{sums['bytes'] / 1e6:.1f}",
                f"{idle:.1f}",
                sums["removed"],
                f"{sums['removed_bytes'] / 1e6:.1f}",
            )
        )
    columns = ["what", "entries", "MB", "last used (days ago)", verb, "MB of these"]
    console.print(table(f"Cache {folder}", columns, rows, columns[1:]))
    if busy:
        console.print(f"{len(busy)} are being made and were left alone, e.g. {busy[0]}", markup=False)
    console.print(
        f"What is missing is made again when it is asked for. {CACHE_VARIABLE} names another folder.", markup=False
    )


def _sums(every: list[Kept], gone: list[Kept], kind: str) -> dict[str, int]:
    there, taken = ([entry.size for entry in some if entry.kind == kind] for some in (every, gone))
    return {"entries": len(there), "bytes": sum(there), "removed": len(taken), "removed_bytes": sum(taken)}


def _size_of_cache() -> dict[str, Any]:
    folder = cache_folder()
    sizes = [entry.size for entry in entries(folder)]
    return {"folder": str(folder), "entries": len(sizes), "bytes": sum(sizes)}


def _of_run(run: RunFolder) -> Iterator[tuple[str, Path]]:
    for place in (run.path, *sorted(p for p in run.path.iterdir() if p.is_dir() and not p.is_symlink())):
        yield from ((DRAFT, path) for path in unfinished_files(place) if path not in run.checkpoints())
    kept = run.checkpoints()
    yield from ((CHECKPOINT, path) for path in (kept if _over(run) else kept[:-1]))


def _over(run: RunFolder) -> bool:
    try:
        return read(run.events).sealed
    except BeatRandomError:
        return False  # damaged: whoever mends it decides


def _shared(folder: StudyFolder) -> Iterator[tuple[str, Path]]:
    places = [folder.path, *(p for p in folder.path.glob("*") if p != folder.records)]
    places += [*folder.path.glob("pretrained/*"), *folder.path.glob("regions/*")]
    for place in filter(Path.is_dir, places):
        if drafts := unfinished_files(place):
            now = clock(place)
            yield from ((DRAFT, path) for path in drafts if now - _written(path, now) > OLD_SECONDS)


def _written(path: Path, now: float) -> float:
    """When it was last written to; one that was renamed meanwhile, just now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return now


def _remove(path: Path, dry: bool) -> tuple[Path, int]:
    size = path.stat().st_size
    if not dry:
        path.unlink(missing_ok=True)
    return path, size

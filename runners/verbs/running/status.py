"""`status`: how far a study is, from its files alone."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.text import Text

from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from runners.machine.gpus import gpus_in_use
from runners.progress.expected_time import expected_seconds, seconds_left, seconds_of
from runners.progress.status import QUARANTINE, RunStatus, count_states, status
from runners.verbs.shared.console import console, duration, print_json, table

STATES = ("done", "running", "partial", "failed", "missing", "unreadable")
RARE = frozenset({"unreadable"})
"""States that are shown only where there are some."""
WATCH_SECONDS = 2.0
MESSAGES = 10


def show(path: Path, json: bool, watch: bool = False) -> None:
    """See `beatrandom status --help`."""
    folder = StudyFolder(path)
    study = folder.read_plan()
    statuses = status(folder, study)
    if json:
        print_json(
            {
                "study": study.name,
                "fingerprint": study.fingerprint,
                "counts": dict(count_states(statuses)),
                "expected_seconds": _left(folder, statuses),
                "disk_bytes": disk_bytes(path),
                "gpus": [asdict(gpu) for gpu in gpus_in_use()],
                "runs": [_as_dict(s) for s in statuses],
            }
        )
    elif watch:
        with Live(_page(folder, study, statuses), console=console, auto_refresh=False) as live:
            while count_states(statuses)["done"] < len(statuses):
                time.sleep(WATCH_SECONDS)
                statuses = status(folder, study)
                live.update(_page(folder, study, statuses), refresh=True)
    else:
        for part in _page(folder, study, statuses).renderables:
            console.print(part)


def _page(folder: StudyFolder, study: Study, statuses: list[RunStatus]) -> Group:
    cells: dict[tuple[str, str], list[RunStatus]] = {}
    for s in statuses:
        cells.setdefault((s.planned.protocol.name, s.planned.strategy.id), []).append(s)
    seen = count_states(statuses)
    states = [state for state in STATES if state not in RARE or seen[state]]  # so that the others fit beside the names
    failures = ["failed attempts"] if any(s.failures for s in statuses) else []
    rows = []
    for (protocol, strategy), group in sorted(cells.items()):
        by = count_states(group)
        tried = [sum(s.failures for s in group) or "·"] * len(failures)
        rows.append([protocol, strategy, *(by[state] or "·" for state in states), *tried])
    columns = [*states, *failures]
    grid = table(f"{study.name}: {len(statuses)} runs planned", ["protocol", "strategy", *columns], rows, columns)
    said = [s for s in statuses if s.message]
    lines = [_message(s) for s in said[:MESSAGES]]
    if len(said) > MESSAGES:
        lines.append(f"… and {len(said) - MESSAGES} more with a message (--json has all)")
    lines += trying(statuses)
    gpus = [f"{gpu} (this machine)" for gpu in gpus_in_use()]
    return Group(grid, Text("\n".join([*lines, outlook(folder, statuses), *gpus])))


def trying(statuses: list[RunStatus]) -> list[str]:
    """Of runs whose recipe is being tuned right now: how many settings are tried."""
    under_way = [s for s in statuses if s.state == "running" and s.trials]
    lines = [f"{_run(s)}: round {s.rounds}, {s.trials} of {_trials(s)} settings tried" for s in under_way[:MESSAGES]]
    return lines + ([f"… and {len(under_way) - MESSAGES} more that try settings"] if len(under_way) > MESSAGES else [])


def _trials(s: RunStatus) -> int:
    return s.planned.protocol.regime.tuning.trials if s.planned.protocol.regime.tuning else 0


def _run(s: RunStatus) -> str:
    return str(s.planned.id)


def _message(s: RunStatus) -> str:
    alone = ", left alone from now on" if s.failures_in_a_row >= QUARANTINE else ""
    return f"{_run(s)}{alone}: {s.message.splitlines()[0]}"


def outlook(folder: StudyFolder, statuses: list[RunStatus]) -> str:
    """Size on disk, work left and when it will be done, in a line."""
    size = f"{disk_bytes(folder.path) / 2**20:.1f} MiB on disk"
    left, running = _left(folder, statuses), count_states(statuses)["running"]
    if left is None:
        return f"{size}; no run is done yet, so there is no estimate"
    if not left:
        return size
    work = f"{size}; {duration(left)} of work left"
    return (
        f"{work}, at {running} side by side until about {_clock(left / running)}"
        if running
        else f"{work}; nothing is running"
    )


def _clock(seconds: float) -> str:
    return time.strftime("%a %H:%M", time.localtime(time.time() + seconds))


def _left(folder: StudyFolder, statuses: list[RunStatus]) -> float | None:
    """Expected seconds of work left, one run after the other; None before anything was measured."""
    measured = expected_seconds(folder, statuses)
    return seconds_left(statuses, seconds_of([s.planned for s in statuses], measured)) if measured else None


def disk_bytes(path: Path) -> int:
    """Bytes of all files under a folder; files that vanish meanwhile count nothing."""
    total, folders = 0, [os.fspath(path)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def _as_dict(s: RunStatus) -> dict[str, object]:
    return {
        "protocol": s.planned.protocol.name,
        "strategy": s.planned.strategy.id,
        "seed": s.planned.seed,
        "state": s.state,
        "rounds": s.rounds,
        "trials": s.trials,
        "failures": s.failures,
        "message": s.message,
    }

"""`status`: the progress of a study, read from its files alone."""

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
from runners.progress.status import QUARANTINE, RunStatus, count_states
from runners.progress.status import status as read_status
from runners.terminal.console import console, duration, print_json, table

STATES = ("done", "running", "partial", "failed", "missing", "unreadable")
RARE = frozenset({"unreadable"})
"""States that are shown only if a run is in them."""
WATCH_SECONDS = 2.0
MESSAGES = 10


def status(folder: Path, json: bool, watch: bool) -> None:
    """See `beatrandom status --help`."""
    study_folder = StudyFolder(folder)
    study = study_folder.read_plan()
    statuses = read_status(study_folder, study)
    if json:
        print_json(
            {
                "study": study.name,
                "fingerprint": study.fingerprint,
                "counts": dict(count_states(statuses)),
                "expected_seconds": _seconds_left(study_folder, statuses),
                "disk_bytes": disk_bytes(folder),
                "gpus": [asdict(gpu) for gpu in gpus_in_use()],
                "runs": [_as_dict(s) for s in statuses],
            }
        )
    elif watch:
        with Live(_page(study_folder, study, statuses), console=console, auto_refresh=False) as live:
            while count_states(statuses)["done"] < len(statuses):
                time.sleep(WATCH_SECONDS)
                statuses = read_status(study_folder, study)
                live.update(_page(study_folder, study, statuses), refresh=True)
    else:
        for part in _page(study_folder, study, statuses).renderables:
            console.print(part)


def _page(folder: StudyFolder, study: Study, statuses: list[RunStatus]) -> Group:
    cells: dict[tuple[str, str], list[RunStatus]] = {}
    for s in statuses:
        cells.setdefault((s.planned.protocol.name, s.planned.strategy.id), []).append(s)
    totals = count_states(statuses)
    states = [state for state in STATES if state not in RARE or totals[state]]  # so that the names have room
    failures = ["failed attempts"] if any(s.failures for s in statuses) else []
    rows = []
    for (protocol, strategy), group in sorted(cells.items()):
        by_state = count_states(group)
        attempts = [sum(s.failures for s in group) or "·"] * len(failures)
        rows.append([protocol, strategy, *(by_state[state] or "·" for state in states), *attempts])
    columns = [*states, *failures]
    grid = table(f"{study.name}: {len(statuses)} runs planned", ["protocol", "strategy", *columns], rows, columns)
    with_message = [s for s in statuses if s.message]
    lines = [_message(s) for s in with_message[:MESSAGES]]
    if len(with_message) > MESSAGES:
        lines.append(f"… and {len(with_message) - MESSAGES} more with a message (--json has all)")
    lines += tuning_lines(statuses)
    gpus = [f"{gpu} (this machine)" for gpu in gpus_in_use()]
    return Group(grid, Text("\n".join([*lines, outlook(folder, statuses), *gpus])))


def tuning_lines(statuses: list[RunStatus]) -> list[str]:
    """Return one line per run that is tuning its recipe: how many settings were tried."""
    tuning = [s for s in statuses if s.state == "running" and s.trials]
    lines = [f"{_run_name(s)}: round {s.rounds}, {s.trials} of {_trials(s)} settings tried" for s in tuning[:MESSAGES]]
    return lines + ([f"… and {len(tuning) - MESSAGES} more that try settings"] if len(tuning) > MESSAGES else [])


def _trials(s: RunStatus) -> int:
    return s.planned.protocol.regime.tuning.trials if s.planned.protocol.regime.tuning else 0


def _run_name(s: RunStatus) -> str:
    return str(s.planned.id)


def _message(s: RunStatus) -> str:
    left_alone = ", left alone from now on" if s.failures_in_a_row >= QUARANTINE else ""
    return f"{_run_name(s)}{left_alone}: {s.message.splitlines()[0]}"


def outlook(folder: StudyFolder, statuses: list[RunStatus]) -> str:
    """Return one line with the size on disk, the work left, and when it will be done."""
    size = f"{disk_bytes(folder.path) / 2**20:.1f} MiB on disk"
    left, running = _seconds_left(folder, statuses), count_states(statuses)["running"]
    if left is None:
        return f"{size}; no run is done yet, so there is no estimate"
    if not left:
        return size
    work = f"{size}; {duration(left)} of work left"
    if not running:
        return f"{work}; nothing is running"
    return f"{work}; {running} {'run' if running == 1 else 'runs'} at a time; done about {_clock(left / running)}"


def _clock(seconds: float) -> str:
    return time.strftime("%a %H:%M", time.localtime(time.time() + seconds))


def _seconds_left(folder: StudyFolder, statuses: list[RunStatus]) -> float | None:
    """Return the expected seconds of work left, run after run; None if no run is done yet."""
    measured = expected_seconds(folder, statuses)
    return seconds_left(statuses, seconds_of([s.planned for s in statuses], measured)) if measured else None


def disk_bytes(path: Path) -> int:
    """Return the bytes of all files under a folder. Files that vanish meanwhile are not counted."""
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

"""`status`: how far a study is, from its files alone."""

from __future__ import annotations

from pathlib import Path

from protocol.folders import StudyFolder
from runners.study import RunStatus, counts, status
from runners.verbs.console import console, print_json, table

STATES = ("done", "running", "partial", "failed", "missing", "unreadable")


def show(path: Path, json: bool) -> None:
    """See `beatrandom status --help`."""
    folder = StudyFolder(path)
    study = folder.read_plan()
    statuses = status(folder, study)
    if json:
        print_json(
            {
                "study": study.name,
                "fingerprint": study.fingerprint,
                "counts": dict(counts(statuses)),
                "runs": [_as_dict(s) for s in statuses],
            }
        )
        return
    cells: dict[tuple[str, str], list[RunStatus]] = {}
    for s in statuses:
        cells.setdefault((s.planned.protocol.name, s.planned.strategy.id), []).append(s)
    rows = []
    for (protocol, strategy), group in sorted(cells.items()):
        by = counts(group)
        rows.append([protocol, strategy, *(by[state] or "·" for state in STATES), sum(s.failures for s in group) or "·"])
    console.print(
        table(
            f"{study.name}: {len(statuses)} runs planned",
            ["protocol", "strategy", *STATES, "failed attempts"],
            rows,
            [*STATES, "failed attempts"],
        )
    )
    for s in statuses:
        if s.message:
            console.print(
                f"{s.planned.protocol.name}/{s.planned.strategy.id}/seed-{s.planned.seed}: {s.message.splitlines()[0]}", markup=False
            )


def _as_dict(s: RunStatus) -> dict[str, object]:
    return {
        "protocol": s.planned.protocol.name,
        "strategy": s.planned.strategy.id,
        "seed": s.planned.seed,
        "state": s.state,
        "rounds": s.rounds,
        "failures": s.failures,
        "message": s.message,
    }

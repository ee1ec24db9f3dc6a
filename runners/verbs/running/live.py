"""Pages of `serve` about running studies, read from the files at every request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from analysis.formatting.numbers import NOTHING, plain
from analysis.report.html import items, paragraph, table, text
from protocol.errors import RecordError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from runners.progress.status import RunStatus, count_states, status
from runners.verbs.results.sparks import spark
from runners.verbs.running.status import STATES, outlook, tuning_lines

REFRESH_SECONDS = 5
ERROR_LINES = 5
STYLE = """:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:1rem auto;
padding:0 1rem}table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;padding:.3rem 0}
th,td{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #8886}th[scope=row]{text-align:left}
.wide{overflow-x:auto}pre{white-space:pre-wrap}progress{width:100%}"""


def index(folders: Sequence[StudyFolder]) -> str:
    """Return the page that lists all studies with their progress."""
    lines = []
    for number, folder in enumerate(folders):
        study = folder.read_plan()
        by = count_states(status(folder, study))
        progress = ", ".join(f"{by[state]} {state}" for state in STATES if by[state])
        lines.append(
            f'<li><a href="/study/{number}/">{text(study.name)}</a>: {text(progress)} ({text(folder.path)})</li>'
        )
    return _page("Studies", f"<h1>Studies</h1><ul>{''.join(lines)}</ul>", True)


def study_page(folder: StudyFolder) -> str:
    """Return the page of one study: progress, failures, and interim curves."""
    study = folder.read_plan()
    statuses = status(folder, study)
    done = count_states(statuses)["done"]
    parts = [
        f'<p><a href="/">All studies</a></p><h1>{text(study.name)}</h1>',
        f'<progress value="{done}" max="{len(statuses)}" aria-label="runs done"></progress>',
        paragraph(f"{done} of {len(statuses)} runs done; {outlook(folder, statuses)}"),
        '<p><a href="report.html">Report</a> (as last written)</p>' if folder.holds(folder.report) else "",
        _progress(statuses),
        items(tuning_lines(statuses)),
        _failures(statuses),
        "<h2>Curves so far: interim</h2>",
        paragraph(
            "Means of the rounds recorded so far, including unfinished runs; the number of runs is in brackets. "
            "They allow no verdict, because strategies may have finished different seeds."
        ),
        *(_curves(folder, study, protocol) for protocol in study.protocols),
    ]
    return _page(study.name, "".join(parts), done < len(statuses))


def _page(title: str, body: str, again: bool) -> str:
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if again else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def _progress(statuses: Sequence[RunStatus]) -> str:
    cells: dict[tuple[str, str], list[RunStatus]] = {}
    for s in statuses:
        cells.setdefault((s.planned.protocol.name, s.planned.strategy.id), []).append(s)
    rows = [
        (strategy, protocol, *(count_states(group)[state] or "·" for state in STATES))
        for (protocol, strategy), group in cells.items()
    ]
    return table(pd.DataFrame(rows, columns=["strategy", "protocol", *STATES]), "Runs by state")


def _failures(statuses: Sequence[RunStatus]) -> str:
    parts = []
    for s in statuses:
        if s.message:
            lines = "\n".join(s.message.splitlines()[:ERROR_LINES])
            parts.append(
                f"<h3>{text(str(s.planned.id))}: {text(s.state)}, {s.failures} failed attempts</h3>"
                f"<pre>{text(lines)}</pre>"
            )
    return f"<h2>Failed runs</h2>{''.join(parts)}" if parts else ""


def _curves(folder: StudyFolder, study: Study, protocol: Protocol) -> str:
    values: dict[str, dict[int, list[float]]] = {}
    for run in (run for run in study.runs() if run.protocol == protocol.name):
        for budget, value in _rounds(folder.run(run).events, folder.path, protocol.metric):
            values.setdefault(run.strategy, {}).setdefault(budget, []).append(value)
    if not values:
        return items([f"{protocol.name}: no round has been recorded yet"])
    means = {
        s: [sum(at[b]) / len(at[b]) if b in at else float("nan") for b in protocol.budgets] for s, at in values.items()
    }
    measured = [v for row in means.values() for v in row if v == v]
    rows = [
        (
            s,
            spark(row, min(measured), max(measured)),
            *(_cell(mean, values[s].get(b, [])) for mean, b in zip(row, protocol.budgets, strict=True)),
        )
        for s, row in means.items()
    ]
    frame = pd.DataFrame(rows, columns=["strategy", "curve", *map(str, protocol.budgets)])
    return table(frame, f"Interim {protocol.metric} by labels bought, {protocol.name}")


def _cell(mean: float, values: Sequence[float]) -> str:
    return f"{plain(mean)} ({len(values)})" if values else NOTHING


def _rounds(events: Path, root: Path, metric: str) -> tuple[tuple[int, float], ...]:
    """Return (budget, value) of every recorded round; empty if the record is missing or broken."""
    try:
        file = events.lstat()
    except OSError:
        return ()
    return _read(events, root, metric, file.st_mtime_ns, file.st_size)


@lru_cache(maxsize=4096)
def _read(events: Path, root: Path, metric: str, stamp: int, size: int) -> tuple[tuple[int, float], ...]:  # noqa: ARG001  # stamp and size are part of the cache key
    try:
        record = read(events, root)
    except RecordError:
        return ()
    return () if record.breaks else tuple((r.budget, r.metrics[metric]) for r in record.rounds if metric in r.metrics)

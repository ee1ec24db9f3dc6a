"""`check`: compliance of a study, rule by rule."""

from __future__ import annotations

from pathlib import Path

import typer

from protocol.rules import Compliance, check_study
from runners.verbs.console import console, table

SHOWN = 5
COLOURS = {"obeyed": "green", "broken": "bold red", "unverifiable": "yellow"}


def check(path: Path, json: bool) -> None:
    """See `beatrandom check --help`."""
    with console.status("checking") as shown:
        result = check_study(path, lambda done, planned: shown.update(f"checking {done} of {planned} runs"))
    if json:
        print(result.to_json())
    else:
        _show(path, result)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _show(path: Path, result: Compliance) -> None:
    rows = [[f"[{COLOURS[v]}]{v}[/]" if v in COLOURS else v for v in row.values()] for row in result.table()]
    console.print(table(f"Compliance of {path}", ["rule", "title", "severity", "answer", "runs", "findings"], rows, ["runs", "findings"]))
    for r in result.results:
        for finding in r.findings[:SHOWN]:
            lines = (
                f"{finding.rule} {finding.where}\n  expected: {finding.expected}\n  found:    {finding.found}\n  to do:    {finding.fix}"
            )
            console.print(lines, markup=False, soft_wrap=True)
        if len(r.findings) > SHOWN:
            console.print(f"{r.rule.id}: and {len(r.findings) - SHOWN} more (all of them: --json)")
    console.print(result.summary(), markup=False)

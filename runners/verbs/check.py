"""`check`: compliance of a study, rule by rule."""

from __future__ import annotations

from pathlib import Path

import typer

from protocol.rules import check_study
from runners.verbs.console import console, print_json, table

COLOURS = {"obeyed": "green", "broken": "bold red", "unverifiable": "yellow"}


def check(path: Path, json: bool) -> None:
    """See `beatrandom check --help`."""
    result = check_study(path)
    if json:
        print_json(result.to_json())
    else:
        rows = [
            (
                r.rule.id,
                r.rule.title,
                r.rule.severity,
                f"[{COLOURS[r.answer]}]{r.answer}[/]",
                f"{r.evaluated}/{r.planned}",
                len(r.findings) or "·",
            )
            for r in result.results
        ]
        console.print(
            table(f"Compliance of {path}", ["rule", "title", "severity", "answer", "runs", "findings"], rows, ["runs", "findings"])
        )
        for r in result.results:
            for finding in r.findings[:5]:
                console.print(
                    f"{finding.rule} {finding.where}\n  expected: {finding.expected}\n  found:    {finding.found}\n  to do:    {finding.fix}",
                    markup=False,
                )
            if len(r.findings) > 5:
                console.print(f"{r.rule.id}: and {len(r.findings) - 5} more (see --json)")
        console.print(result.summary())
    if result.exit_code:
        raise typer.Exit(result.exit_code)

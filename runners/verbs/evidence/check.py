"""`check`: check a study against every rule, and print the result in the requested format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer
from rich.text import Text

from protocol.errors import Fault, InputError, unknown_name
from protocol.foreign.curve_table import check_table
from protocol.foreign.index_lists import check_indices
from protocol.foreign.one_record import check_record
from protocol.formats import CHECKLISTS, FORMATS
from protocol.formats.checklist import badge as format_badge
from protocol.formats.schema import json_schema
from protocol.rules import Compliance, check_study, rule
from protocol.rules.check import Progress
from protocol.rules.result import Result
from protocol.seal.archive import is_archive, open_study
from protocol.spec.toml_files import load_preset, read_protocol
from runners.terminal.console import console, print_plain, table

SHOWN = 5
COLOURS = {"obeyed": "green", "broken": "bold red", "unverifiable": "yellow"}


def check(
    *,
    path: Path | None,
    indices: Path | None,
    protocol: str | None,
    json: bool,
    format: str,
    badge: bool,
    checklist: str | None,
    explain: str | None,
    schema: bool,
    all_: bool = False,
) -> None:
    """See `beatrandom check --help`."""
    if explain is not None:
        console.print(rule(explain).page(), markup=False, soft_wrap=True)
        return
    if schema:
        print(json_schema())
        return
    writer = _writer("json" if json and format == "table" else format, badge, checklist)
    source = path or indices
    if source is None or (path and indices):
        fix = "give a study folder, a record, a table or --indices FOLDER; or --explain RULE, or --schema"
        raise InputError(Fault("check", "one thing to check", "two" if path else "nothing", fix))
    with console.status("checking") as line:
        result = _result(path, indices, protocol, lambda done, runs: line.update(f"checking {done} of {runs} runs"))
    if writer is None:
        _show(source, result, all_)
    else:
        print_plain(writer(result))
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _result(path: Path | None, indices: Path | None, protocol: str | None, progress: Progress) -> Compliance:
    """Check a study, a record, a table or index lists."""
    if path is not None and is_archive(path) and protocol is None:
        with open_study(path) as folder:
            return check_study(folder, progress)
    if path is not None and (path / "events.jsonl").is_file() and not (path / "study.json").exists():
        path = path / "events.jsonl"  # the folder of one run
    foreign = indices or (path if path is not None and path.is_file() and path.suffix != ".jsonl" else None)
    if (foreign is None) != (protocol is None):
        expected = "--protocol with a table or --indices, and only with them"
        found = "no --protocol" if protocol is None else f"--protocol {protocol}"
        raise InputError(Fault("check", expected, found, "a TOML file or a preset"))
    if foreign is not None and protocol is not None:
        against = read_protocol(Path(protocol)) if protocol.endswith(".toml") else load_preset(protocol)
        return check_indices(foreign, against) if indices else check_table(foreign, against)
    if path is not None and path.is_file():
        return check_record(path)
    return check_study(path or Path(), progress)


def _writer(form: str, badge: bool, checklist: str | None) -> Callable[[Compliance], str] | None:
    """Return the function that formats the result; None for a table.

    Raises:
        InputError: an unknown format, or several formats.
    """
    faults = []
    if form not in ("table", *FORMATS):
        faults.append(unknown_name("--format", form, ["table", *FORMATS]))
    if checklist is not None and checklist not in CHECKLISTS:
        faults.append(unknown_name("--checklist", checklist, list(CHECKLISTS)))
    given = (
        [f"--format {form}"] * (form != "table") + ["--badge"] * badge + [f"--checklist {checklist}"] * bool(checklist)
    )
    if len(given) > 1:
        expected = "one of --format (or --json), --badge and --checklist"
        faults.append(Fault("check", expected, ", ".join(given), "use one per command"))
    if faults:
        raise InputError(faults)
    if checklist is not None:
        return CHECKLISTS[checklist]
    return format_badge if badge else FORMATS.get(form)


def _show(path: Path, result: Compliance, every: bool) -> None:
    """Print what is not obeyed with its fix, then a count of the rest; with `every`, also all rules as a table."""
    if every:
        rows = [[Text(v, COLOURS[v]) if v in COLOURS else v for v in row.values()] for row in result.table()]
        columns = ["rule", "title", "severity", "answer", "runs", "findings"]
        console.print(table(f"Compliance of {path}", columns, rows, ["runs", "findings"]))
    shown = [r for r in result.results if every or r.answer == "broken" or _undecided(r)]
    for r in shown:
        findings = r.findings if every else r.findings[:SHOWN]
        for finding in findings:
            fault = Fault(f"{finding.rule} {finding.where}", finding.expected, finding.found, finding.fix)
            console.print(str(fault), soft_wrap=True)
        if len(r.findings) > len(findings):
            console.print(f"{r.rule.id}: and {len(r.findings) - SHOWN} more (--all shows them)")
    open_rules = [r.rule.id for r in result.results if r.answer == "unverifiable" and r not in shown]
    if open_rules:
        console.print(f"Cannot be verified: {', '.join(open_rules)}. --all says why.", markup=False)
    console.print(result.summary(), markup=False)


def _undecided(result: Result) -> bool:
    """Return whether a study is not decidable because of this rule."""
    return result.answer == "unverifiable" and result.rule.severity == "error"

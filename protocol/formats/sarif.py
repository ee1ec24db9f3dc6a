"""SARIF 2.1.0 (OASIS, 2020), for code scanning and viewers of static analyses."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from protocol.digests import sha256
from protocol.formats.locations import place
from protocol.rules.result import Compliance
from protocol.rules.rule import AnyRule, Finding

SCHEMA_URI: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(result: Compliance) -> str:
    """Write one SARIF run: all rules, and one result per finding.

    Findings that cannot be verified have kind `open` and level `none`.
    """
    order = {r.rule.id: number for number, r in enumerate(result.results)}
    run = {
        "tool": {
            "driver": {
                "name": "beatrandom",
                "version": version("beatrandom"),
                "rules": [_rule(r.rule) for r in result.results],
            }
        },
        "columnKind": "utf16CodeUnits",
        "invocations": [{"executionSuccessful": True, "exitCode": result.exit_code}],
        "results": [_result(result, f, order[f.rule]) for f in result.findings],
        "properties": {
            "summary": result.summary(),
            "answers": {r.rule.id: f"{r.answer}, {r.evaluated}/{r.planned}" for r in result.results},
        },
    }
    return json.dumps({"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: AnyRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title}: {rule.why}."},
        "help": {"text": rule.page()},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(result: Compliance, finding: Finding, index: int) -> dict[str, Any]:
    file, line = place(result, finding.where)
    uri = Path(file).as_uri() if PurePosixPath(file).is_absolute() else quote(file)
    broken = finding.answer == "broken"
    about = f"{finding.run}: " if finding.run else ""
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": "fail" if broken else "open",
        "level": finding.severity if broken else "none",
        "message": {"text": f"{about}expected {finding.expected}; found {finding.found}. To do: {finding.fix}."},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}}],
        "partialFingerprints": {
            "finding/v1": sha256(f"{finding.rule}|{finding.where}|{finding.expected}|{finding.found}".encode())[:32]
        },
    }

"""Formats for continuous integration: JUnit XML, and annotations of GitHub Actions."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from protocol.formats.locations import place
from protocol.rules.result import Compliance, Result
from protocol.rules.rule import Finding

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(result: Compliance) -> str:
    """Write JUnit XML: one suite per group of rules, one case per rule.

    A broken rule of severity error is a failure; one that cannot be verified is an error. Warnings and notes never fail
    a build: they pass, or are skipped where they cannot be verified, with their findings as output.
    """
    top = ET.Element("testsuites", name=f"beatrandom check {result.study}")
    for group, members in groupby(result.results, lambda r: r.rule.id.split("-")[0]):
        suite = ET.SubElement(top, "testsuite", name=group)
        for member in members:
            _case(suite, member)
        counts = {
            "tests": len(suite),
            "failures": len(suite.findall("*/failure")),
            "errors": len(suite.findall("*/error")),
        }
        for name, n in (counts | {"skipped": len(suite.findall("*/skipped"))}).items():
            suite.set(name, str(n))
    for name in ("tests", "failures", "errors", "skipped"):
        top.set(name, str(sum(int(suite.get(name, "0")) for suite in top)))
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode")


def _case(suite: ET.Element, result: Result) -> None:
    rule = result.rule
    case = ET.SubElement(
        suite, "testcase", classname=f"beatrandom.{suite.get('name')}", name=f"{rule.id} {rule.title}", time="0"
    )
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", "\n\n".join(_text(f) for f in result.findings))
    serious = rule.severity == "error"
    tag = {"obeyed": "", "broken": "failure" if serious else "", "unverifiable": "error" if serious else "skipped"}[
        result.answer
    ]
    message = f"{result.answer}: {result.evaluated} of {result.planned} runs evaluated, {len(result.findings)} findings"
    if tag:
        kind: dict[str, str] = {} if tag == "skipped" else {"type": result.answer}
        ET.SubElement(case, tag, {"message": message} | kind).text = text
    elif text:
        ET.SubElement(case, "system-out").text = text


def _text(finding: Finding) -> str:
    return f"{finding.where}\nexpected: {finding.expected}\nfound:    {finding.found}\nto do:    {finding.fix}"


def to_github(result: Compliance) -> str:
    """Write workflow commands: one annotation per finding, and the summary as a notice."""
    lines = []
    for finding in result.findings:
        file, line = place(result, finding.where)
        level = {"error": "error", "warning": "warning", "note": "notice"}[finding.severity]
        answer = "" if finding.answer == "broken" else "cannot be verified: "
        text = f"{answer}expected {finding.expected}; found {finding.found}. To do: {finding.fix}"
        lines.append(f"::{level} file={_property(file)},line={line},title={_property(finding.rule)}::{_data(text)}")
    return "\n".join([*lines, f"::notice title=beatrandom check::{_data(result.summary())}"])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

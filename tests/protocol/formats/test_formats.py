"""Results in the formats of other programs, read back by the rules of those formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from protocol.formats import CHECKLISTS, FORMATS
from protocol.formats.checklist import badge
from protocol.formats.schema import ComplianceModel, json_schema
from protocol.rules import RULES, Compliance, check_study
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study, rewrite


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Compliance:
    path = tmp_path_factory.mktemp("formats") / "good"
    build_study(path)
    return check_study(path)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Compliance:
    """Return a check with broken and unverifiable rules, and signs that every format must escape.

    BUD-02, EVL-03 and ENV-01 are broken; TRN-01 and SPL-07 are not verifiable.
    """
    path = tmp_path_factory.mktemp("formats") / "bad"
    folder = build_study(path)

    def spoil(events: list[dict[str, object]]) -> None:
        events[0]["data"]["twins"] = ""  # type: ignore[index]
        events[0]["environment"] |= {"dirty": True, "commit": "<&%\n\x01|_"}  # type: ignore[operator]
        events[5].update(budget=23)
        events[7].update(recipe="", metrics={"accuracy": 95.0})

    rewrite(folder.run(RunId("small", "first", 0)).events, spoil)
    return check_study(path)


def test_the_summary_says_which_broken_rules_decide_nothing(good: Compliance, bad: Compliance) -> None:
    assert "0 broken, " in good.summary()
    assert " broken, 2 warnings, " in bad.summary()


def test_the_published_schema_holds(good: Compliance, bad: Compliance) -> None:
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    for result in (good, bad):
        jsonschema.validate(json.loads(FORMATS["json"](result)), schema)
        ComplianceModel.model_validate_json(result.to_json())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(good.to_json()) | {"exit_code": 2}, schema)


def test_sarif_has_what_the_standard_requires(good: Compliance, bad: Compliance) -> None:
    assert json.loads(FORMATS["sarif"](good))["runs"][0]["results"] == []
    log = json.loads(FORMATS["sarif"](bad))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == list(RULES)
    assert {r["defaultConfiguration"]["level"] for r in rules} <= {"none", "note", "warning", "error"}
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"], result["level"]) in {("fail", "error"), ("fail", "warning"), ("open", "none")}
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
    [budget] = [r for r in run["results"] if r["ruleId"] == "BUD-02"]
    place = budget["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/records/small/first/seed-0/events.jsonl")
    assert place["region"]["startLine"] == 6
    assert len({r["partialFingerprints"]["finding/v1"] for r in run["results"]}) == len(run["results"])


def test_places_are_as_seen_from_where_the_command_was_given(bad: Compliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(bad.path).parent)
    uris = [
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for r in json.loads(FORMATS["sarif"](check_study(Path("bad"))))["runs"][0]["results"]
    ]
    assert uris
    assert all(uri.startswith("bad/") and Path(uri).exists() for uri in uris)


def test_junit_counts_and_fails_what_must_fail(good: Compliance, bad: Compliance) -> None:
    top = ET.fromstring(FORMATS["junit"](good))
    assert (top.get("tests"), top.get("failures"), top.get("errors"), top.get("skipped")) == (
        str(len(RULES)),
        "0",
        "0",
        "0",
    )
    top = ET.fromstring(FORMATS["junit"](bad))
    named = {
        tag: {str(c.get("name")).split()[0] for c in top.iter("testcase") if c.find(tag) is not None}
        for tag in ("failure", "error", "system-out")
    }
    assert named == {
        "failure": {"BUD-02", "EVL-01", "EVL-03"},
        "error": {"TRN-01", "SPL-07"},
        "system-out": {"ENV-01", "ENV-02"},
    }
    assert (top.get("failures"), top.get("errors"), top.get("skipped")) == ("3", "2", "1")
    assert {suite.get("name") for suite in top} == {i.split("-")[0] for i in RULES}


def test_annotations_are_one_line_each(bad: Compliance) -> None:
    lines = FORMATS["github"](bad).split("\n")
    assert len(lines) == len(bad.findings) + 1
    assert all(
        re.fullmatch(r"::(error|warning|notice) (file=[^:,]+,line=\d+,)?title=[^:,]+::[^\r\n]+", line) for line in lines
    )
    assert any("commits" not in line and "%25" in line and "%0A" in line for line in lines if "ENV-01" in line)


def test_the_badge_says_it_in_one_line(good: Compliance, bad: Compliance) -> None:
    assert (
        f"compliant; {len(RULES)} of {len(RULES)} rules obeyed, 6 of 6 planned runs finished; "
        f"study {good.fingerprint[:16]}" in badge(good)
    )
    assert "violations found" in badge(bad)
    assert "\n" not in badge(bad)


def test_the_checklist_is_filled_in_from_the_evidence(good: Compliance, bad: Compliance) -> None:
    rows = [line for line in CHECKLISTS["markdown"](good).splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 16
    assert all(row.endswith("| yes |") for row in rows)
    assert "| 6 labels, charged to the budget | yes |" in "\n".join(rows)
    assert "| 16, 22, 30 | NO (BUD-02) |" in CHECKLISTS["markdown"](bad)
    assert "not verifiable (SPL-07, SPL-08)" in CHECKLISTS["markdown"](bad)
    latex = CHECKLISTS["latex"](bad)
    assert latex.count(r"\\") == 17
    assert r"\bottomrule" in latex


def test_every_rule_has_a_page() -> None:
    for rule in RULES.values():
        page = rule.page()
        assert page.startswith(f"{rule.id} ({rule.severity}, since ")
        assert all(part in page for part in (rule.title, rule.why, rule.evidence, rule.fix))

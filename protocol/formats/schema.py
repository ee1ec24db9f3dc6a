"""JSON Schema of `check --format json`, published by `check --schema`."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.rules.result import SCHEMA, Source
from protocol.rules.rule import Answer, Severity


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FindingModel(_Model):
    """Violation, or a place where a rule cannot be verified."""

    rule: str
    severity: Severity
    answer: Literal["broken", "unverifiable"]
    run: str = Field(description="protocol/strategy/seed-n, or empty for a finding about the whole")
    where: str = Field(description="file, and :line where there is one, relative to what was checked")
    expected: str
    found: str
    fix: str


class EvaluatedModel(_Model):
    """Number of planned runs that a rule's answer rests on."""

    evaluated: int = Field(ge=0)
    planned: int = Field(ge=0)


class RuleModel(_Model):
    """Rule and its answer."""

    id: str = Field(pattern=r"^[A-Z]{3}-\d{2}$")
    title: str
    severity: Severity
    answer: Answer
    idle: bool = Field(description="obeyed because there is nothing that the rule judges")
    runs: EvaluatedModel
    findings: list[FindingModel]


class RunsModel(_Model):
    """Planned runs, and how many of them exist and are finished."""

    planned: int = Field(ge=0)
    present: int = Field(ge=0)
    sealed: int = Field(ge=0)
    unplanned: int = Field(ge=0)
    failures: int = Field(ge=0, description="failed attempts in all records")
    interruptions: int = Field(ge=0, description="resumptions in all records")


class StrengthModel(_Model):
    """What stands behind the answer."""

    runs: int = Field(ge=0, description="runs with a record")
    own: int = Field(ge=0, description="of strategies that are not built in")
    confined: int = Field(ge=0, description="of these, behind all walls")
    isolated: int = Field(ge=0, description="with a separate oracle")
    replayed: int = Field(ge=0, description="of which a replay was kept")
    sealed: bool
    signed: bool = Field(description="whether a signature exists; `verify` checks it")


class ComplianceModel(_Model):
    """Result of `beatrandom check --format json`."""

    schema_: Literal["beatrandom/compliance/1"] = Field(alias="schema")
    source: Source
    amendments: int = Field(ge=0, description="number of changes to the plan after it was written")
    study: str
    fingerprint: str
    answer: Answer
    exit_code: Literal[0, 1, 3]
    runs: RunsModel
    strength: StrengthModel
    rules: list[RuleModel]


def json_schema() -> str:
    """Return the JSON Schema (draft 2020-12) of the result."""
    schema: dict[str, Any] = ComplianceModel.model_json_schema(by_alias=True)
    return json.dumps(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA.replace('/', ':')}"} | schema,
        indent=2,
    )

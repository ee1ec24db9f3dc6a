"""The training data of an encoder are declared, and shown wherever its data are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.formats.checklist import to_markdown
from protocol.rules import check_study
from tests.support.study_builder import build_study, obedient_study, protocol_table


@pytest.mark.parametrize(
    ("trained_on", "answer"), [("ImageNet-1k, with labels", "obeyed"), (None, "broken"), (" ", "broken")]
)
def test_encoders_declare_their_training_data(tmp_path: Path, trained_on: str | None, answer: str) -> None:
    encoder = {"name": "enc.py:embed", "source_digest": "0" * 64} | (
        {} if trained_on is None else {"trained_on": trained_on}
    )
    table = protocol_table(data={"name": "made-up", "encoder": encoder})
    result = check_study(build_study(tmp_path / "study", obedient_study(protocols=[table])).path)
    assert {r.rule.id: r.answer for r in result.results}["TRN-10"] == answer
    assert {r.rule.id for r in result.results if r.answer == "broken"} == ({"TRN-10"} if answer == "broken" else set())
    assert (
        f"made-up, as features by enc.py:embed (which learned from: {(trained_on or '').strip() or 'not declared'})"
        in to_markdown(result)
    )
    assert result.exit_code == 0  # TRN-10 is a note

"""What an encoder learned from is declared, and shown wherever its data are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.formats.checklist import to_markdown
from protocol.rules import check_study
from tests.support.study_builder import build_study, obedient_study, protocol_table


@pytest.mark.parametrize(
    ("told", "answer"), [("ImageNet-1k, with labels", "obeyed"), (None, "broken"), (" ", "broken")]
)
def test_encoders_say_what_they_learned_from(tmp_path: Path, told: str | None, answer: str) -> None:
    encoder = {"name": "enc.py:embed", "source_digest": "0" * 64} | ({} if told is None else {"trained_on": told})
    table = protocol_table(data={"name": "made-up", "encoder": encoder})
    found = check_study(build_study(tmp_path / "study", obedient_study(protocols=[table])).path)
    assert {r.rule.id: r.answer for r in found.results}["TRN-10"] == answer
    assert {r.rule.id for r in found.results if r.answer == "broken"} == ({"TRN-10"} if answer == "broken" else set())
    assert (
        f"made-up, as features by enc.py:embed (which learned from: {(told or '').strip() or 'not declared'})"
        in to_markdown(found)
    )
    assert found.exit_code == 0  # it is a note

"""The figure of a claim, and the result card."""

from __future__ import annotations

from pathlib import Path

from analysis.across.setting import settings
from analysis.claims import losing
from analysis.figures import FigureInputs, StudyFigure, claim_figure, result_card
from analysis.loading.records import load_study
from analysis.verdict.decide import compare
from protocol.record.layout import StudyFolder
from tests.analysis.simulated import make_study, write_study
from tests.support.front_door import beatrandom


def test_a_claim_is_drawn_with_what_every_place_says(tmp_path: Path) -> None:
    write_study(tmp_path / "s", make_study(seeds=10), {"good": 0.02, "bad": -0.03})
    claim = losing(settings(load_study(tmp_path / "s")), "random", 0.01)
    study_figure = claim_figure(claim)
    assert isinstance(study_figure, StudyFigure)
    (ax,) = study_figure.figure.axes[:1]
    assert [t.get_text() for t in ax.get_yticklabels()] == [f.where for f in claim.findings]
    for finding in claim.findings:
        assert f"{finding.where}: {finding.value:+.2f}" in study_figure.alt
    assert "**Answer: holds.**" in claim.to_markdown()
    assert isinstance(claim_figure(losing([], "random", 0.01)), str)


def test_a_card_says_every_verdict_and_the_fingerprints(tmp_path: Path) -> None:
    study = make_study(seeds=10)
    write_study(tmp_path / "s", study, {"good": 0.02, "bad": -0.03})
    curves = load_study(tmp_path / "s")
    study_figure = result_card(FigureInputs(curves, compare(curves)), study, study.protocols[0])
    for word in (
        "good beats random",
        "bad loses to random",
        study.protocols[0].fingerprint[:16],
        study.fingerprint[:16],
        "20, 40, 80, 160",
    ):
        assert word in study_figure.alt
    printed = beatrandom("card", "s", "--protocol", "plain", cwd=tmp_path).stdout
    assert (tmp_path / printed.strip()).stat().st_size > 10_000
    assert "augmented" in beatrandom("card", "s", "--protocol", "augmentd", cwd=tmp_path, check=2).stderr
    assert StudyFolder(tmp_path / "s").analysis.is_dir()

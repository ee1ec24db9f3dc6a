from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis import report
from analysis.load import load_study
from analysis.verdict import compare
from protocol.errors import InputError
from protocol.folders import StudyFolder


def test_one_self_contained_page_that_answers_the_question(folder: StudyFolder, tmp_path: Path) -> None:
    page = report.write_report(folder.path, tmp_path / "out" / "report.html", toy=True).read_text(encoding="utf-8")
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "<script" not in page
    assert "<link" not in page
    assert "@import" not in page
    assert "url(" not in page
    comparison = compare(load_study(folder.path))
    assert comparison.headline() in page
    assert f"{comparison.verdicts[0].difference:+.4f}" in page
    assert "Toy size" in page
    assert "<title>Which strategies beat random? simulated</title>" in page
    assert "BEATRANDOM_STUDY" not in page  # code is hidden
    assert len(re.findall(r"<img[^>]*alt=\"[^\"]{20,}\"", page)) == page.count("<img") == 3
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) == 3
    assert all("6 seeds" in c and "95 %" in c for c in captions)


def test_not_a_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study\.json"):
        report.write_report(tmp_path, tmp_path / "report.html")


def test_outside_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "__file__", str(tmp_path / "analysis" / "report.py"))
    with pytest.raises(InputError, match="from a clone"):
        report.notebook_path()

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from analysis.figures import FigureInputs
from analysis.loading.records import load_study
from analysis.report import Subject, page, pdf, sections, write_pdf
from analysis.verdict import verdict_table
from analysis.verdict.decide import compare
from analysis.verdict.sentences import headline, summary
from protocol.errors import BeatRandomError, InputError
from protocol.rules import check_study
from tests.analysis.simulated import make_study, write_study
from tests.support.figure_inputs import make_inputs


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """good: +0.05, bad: -0.05, eight seeds, two regimes: enough to decide."""
    folder = write_study(tmp_path_factory.mktemp("report") / "study", make_study(seeds=8), {"good": 0.05, "bad": -0.05})
    curves = load_study(folder.path)
    return Subject(FigureInputs(curves, compare(curves)), folder.read_plan(), check_study(folder.path), toy=True)


@pytest.fixture(scope="module")
def document(subject: Subject) -> str:
    return page(subject)


def test_one_self_contained_page_that_answers_the_question(subject: Subject, document: str) -> None:
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", document)
    assert not any(word in document for word in ("<link", "@import", "url(", "fetch(", "XMLHttpRequest"))
    assert "default-src 'none'" in document
    first = document[: document.index("<nav")]
    comparison = subject.inputs.comparison
    assert headline(comparison) in first
    assert "Toy size" in first
    assert "better than random: <strong>good (+0.0" in first
    assert "worse than random: <strong>bad (-0.0" in first
    assert subject.study is not None
    assert f"study {subject.study.fingerprint[:12]}" in first
    assert first.count("<img") == 1
    assert "<title>Which strategies beat random? simulated</title>" in document
    assert len(re.findall(r"<img[^>]*alt=\"[^\"]{40,}\"", document)) == document.count("<img") >= 10
    ids = re.findall(r"\sid=\"([^\"]+)\"", document)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"href=\"#([^\"]+)\"", document)) <= set(ids)


def test_every_figure_has_caption_and_data(document: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", document, re.DOTALL)
    assert len(figures) >= 10
    for one in figures:
        caption = one[one.index("<figcaption>") :]
        assert re.search(r"(n = |over )\d+|draws", caption)
        (content,) = re.findall(r"href=\"data:text/csv;charset=utf-8,([^\"]*)\"", caption)
        assert len(pd.read_csv(io.StringIO(unquote(content)))) > 0


def test_the_same_numbers_as_everywhere(subject: Subject, document: str) -> None:
    comparison = subject.inputs.comparison
    for _, row in verdict_table.formatted(comparison.verdicts).iterrows():
        assert all(str(cell).replace("<", "&lt;") in document for cell in row)
    for line in summary(comparison).splitlines():
        assert line.removeprefix("- ").replace("'", "&#x27;").replace("<", "&lt;") in document


def test_names_cannot_break_out_of_the_page() -> None:
    name = "</script><img src=x onerror=alert(1)>\"'&"
    small = make_inputs(1, seeds=3)
    frame = small.curves.frame.replace({"strategy": {"own-strategy-0": name}})
    planned = tuple(k._replace(strategy=name) if k.strategy != "random" else k for k in small.curves.planned)
    curves = type(small.curves)(
        frame=frame,
        study=name,
        plan=small.curves.plan,
        exploratory=True,
        planned=planned,
        missing=(),
        metrics=small.curves.metrics,
    )
    document = page(Subject(FigureInputs(curves, compare(curves))))
    assert "<img src=x" not in document
    assert document.count("</script>") == 2
    assert "Exploratory" in document
    assert "A table of curves" in document


def test_pictures_of_what_was_bought_are_shown(subject: Subject, tmp_path: Path) -> None:
    path = tmp_path / "plain" / "good.png"
    path.parent.mkdir()
    path.write_bytes(_png())
    path.with_suffix(".txt").write_text("The first 100 images & more", encoding="utf-8")
    document = sections.bought(Subject(subject.inputs, pictures=(path,)))
    assert "The first 100 images &amp; more" in document
    assert 'alt="Images that were bought: plain, good"' in document


def test_without_a_browser_pdf_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BEATRANDOM_BROWSER", raising=False)
    with pytest.raises(InputError, match="Chromium"):
        write_pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    monkeypatch.setenv("BEATRANDOM_BROWSER", "/bin/false")
    with pytest.raises(BeatRandomError, match="exit code 1"):
        write_pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()
    assert pdf.command("x")[0] == "x"


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )

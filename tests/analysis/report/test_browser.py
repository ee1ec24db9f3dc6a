"""The report in a real browser: no console message, no request, nothing too wide, no axe-core finding; a PDF.

Needs an installed Chromium and `uv sync --group browser`; skipped otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.report import Subject, pdf, write_pdf, write_report
from tests.support.figure_inputs import make_inputs

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (uv sync --group browser)")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-core is not installed (uv sync --group browser)"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    subject = Subject(make_inputs(3, regimes=("plain", "augmented"), seeds=4, long=True))
    return write_report(subject, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = pdf.browser()
    if program is None:
        pytest.skip("no Chromium, Chrome or Edge is installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=pdf.command(program)[2:])
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_quiet_whole_and_accessible(report: Path, chromium: Any, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    shown = context.new_page()
    messages: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: messages.append(message.text))
    shown.on("pageerror", lambda error: messages.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(report.as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    violations = axe.Axe().run(shown).response["violations"]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in violations] == []
    context.close()


def test_curves_answer_to_boxes_and_keys(report: Path, chromium: Any) -> None:
    shown = chromium.new_page()
    shown.goto(report.as_uri())
    rows = shown.locator("#curve-box table tbody tr")
    assert rows.count() == 4
    shown.locator("#curve-box input").nth(1).uncheck()
    assert rows.count() == 3
    caption = shown.locator("#curve-box caption")
    assert "800 labels" in caption.inner_text()
    shown.locator("#curve-box svg.plot").focus()
    shown.keyboard.press("ArrowLeft")
    assert "400 labels" in caption.inner_text()
    shown.keyboard.press("Home")
    assert "100 labels" in caption.inner_text()
    box = shown.locator("#curve-box svg.plot").bounding_box()
    shown.mouse.move(box["x"] + box["width"] - 20, box["y"] + 100)
    assert "800 labels" in caption.inner_text()
    shown.locator("#curve-box select").select_option(index=2)
    assert "difference" in caption.inner_text()
    assert rows.count() == 2
    shown.close()


def test_printed(report: Path, chromium: Any, tmp_path: Path) -> None:
    assert chromium  # the same program
    content = write_pdf(report, tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000

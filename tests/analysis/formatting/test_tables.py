"""Scores and LaTeX: marks come from tests, and what is pasted compiles."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.formatting import tables
from analysis.loading.records import load_study
from analysis.secondary.details import details
from analysis.verdict.decide import compare
from analysis.verdict.endpoint import endpoints
from analysis.verdict.score_table import scores
from analysis.verdict.verdict_table import to_latex
from protocol.record.layout import StudyFolder
from tests.analysis.simulated import make_study, write_study


@pytest.fixture
def nine(tmp_path: Path) -> StudyFolder:
    """Nine seeds, so that tests can reject: good and fine are alike, bad is far below."""
    study = make_study(["plain"], ["random", "good", "fine", "bad"], seeds=9)
    return write_study(tmp_path / "nine", study, {"good": 0.05, "fine": 0.0499, "bad": -0.05})


def test_best_and_tied_are_marked_by_tests(nine: StudyFolder) -> None:
    curves = load_study(nine.path)
    table = scores(curves, compare(curves))
    found = {r.strategy: (r.answer, r.top) for r in table.rows}
    assert found["bad"] == ("worse", "")
    assert found["random"] == ("", "")
    assert {found["good"][0], found["fine"][0]} == {"better"}
    assert {found["good"][1], found["fine"][1]} == {"best", "tied"}
    mean = endpoints(curves).groupby("strategy")["aubc"].mean()
    assert {r.strategy: r.mean for r in table.rows} == pytest.approx(mean.to_dict())
    cells = dict(table.formatted().to_numpy().tolist())
    assert cells["bad"].endswith("↓")
    assert cells["good"].endswith("* ↑")
    assert cells["random"][-1].isdigit()
    assert "**" in table.to_markdown()


def test_with_too_few_seeds_all_are_tied(folder: StudyFolder) -> None:
    curves = load_study(folder.path)  # six seeds: nothing can be rejected after Holm
    table = scores(curves, compare(curves))
    assert {r.top for r in table.rows} == {"best", "tied"}


def test_a_mean_over_few_seeds_is_not_the_best(nine: StudyFolder) -> None:
    curves = load_study(nine.path)
    kept = (curves.frame["strategy"] != "fine") | (curves.frame["seed"] < 3)
    lucky = curves.frame[kept].assign(value=lambda f: f["value"] + 0.02 * (f["strategy"] == "fine"))
    few = replace(curves, frame=lucky.reset_index(drop=True))
    table = scores(few, compare(few))
    assert max(table.rows, key=lambda r: r.mean).strategy == "fine"
    assert {r.strategy: r.top for r in table.rows} == {"random": "", "good": "best", "fine": "tied", "bad": ""}
    assert "highest mean of those with the most runs" in table.caption
    assert "most runs" not in scores(curves, compare(curves)).caption


def test_numbers_stand_in_siunitx_columns() -> None:
    frame = pd.DataFrame(
        {"name": ["a_b", "c"], "n": ["12", "9 of 10"], "value": ["+0.1234", "-10.5"], "span": ["[+0.1, +0.2]", "–"]}
    )
    made = tables.render_latex(frame, 1)
    assert r"\begin{tabular}{lS[table-format=2.0]S[retain-explicit-plus, table-format=+2.4]r}" in made
    assert r"a\_b & 12 & +0.1234 & $[+0.1, +0.2]$ \\" in made
    assert r"c & {9 of 10} & -10.5 & -- \\" in made
    assert tables.s_column(["0.8123(42)", "10.1(5)"]) == "S[table-format=2.4(2)]"


HARD = ("a_b&c%", r"back\slash{~^}", "#1$", "under<scored>")


def test_every_table_compiles(tmp_path: Path) -> None:
    program = next((p for p in ("pdflatex", "tectonic") if shutil.which(p)), None)
    if program is None:
        pytest.skip("neither pdflatex nor tectonic is installed")
    if program == "pdflatex" and not all(_has(f) for f in ("booktabs.sty", "siunitx.sty")):
        pytest.skip("pdflatex is here without booktabs or siunitx")
    path = tmp_path / "t.csv"
    names = ("random", *HARD)
    rows = [
        (s, i, b, 0.5 + b / 1000 + i / 100 + k / 50) for k, s in enumerate(names) for i in range(4) for b in (10, 20)
    ]
    pd.DataFrame(rows, columns=["strategy", "seed", "budget", "value"]).to_csv(path, index=False)
    from analysis.loading.table import load_table

    curves = load_table(path)
    comparison = compare(curves)
    made = [
        to_latex(comparison),
        scores(curves, comparison).to_latex(),
        *(p.to_latex() for p in details(curves).parts().values() if p.rows),
    ]
    body = "\n\n".join(rf"\resizebox{{\linewidth}}{{!}}{{{table}}}" for table in made)
    source = tmp_path / "tables.tex"
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{graphicx,booktabs,siunitx}\begin{document}"
    source.write_text(f"{head}\n{body}\n\\end{{document}}\n", encoding="utf-8")
    words = [program, "-interaction=nonstopmode", "-halt-on-error"] if program == "pdflatex" else [program]
    done = subprocess.run([*words, source.name], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert not done.returncode, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000


def _has(name: str) -> bool:
    kpse = shutil.which("kpsewhich")
    return bool(kpse and subprocess.run([kpse, name], capture_output=True, text=True, check=False).stdout.strip())

"""`beatrandom figures` and `report` on a table and a packed study: what is typed, what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.figures import FIGURES
from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.seal.archive import pack
from protocol.seal.manifest import seal
from runners.verbs.results.figures import figures
from runners.verbs.results.report import report
from tests.support.study_builder import build_study


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "".join(
        f"{s},{i},{b},{0.5 + i / 100 + b / 1000 + (s == 'mine') * (0.02 + i / 999)}\n"
        for s in ("Rand", "mine")
        for i in range(4)
        for b in (10, 20)
    )
    Path("t.csv").write_text(f"method,seed,budget,value\n{rows}")
    return Path("t.csv")


def test_a_table_becomes_figures_with_data_captions_and_tables(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["strategy=method"]
    figures(
        sources=[table],
        out=None,
        style="icml",
        only=None,
        format="png",
        data_root=None,
        baseline="Rand",
        column=columns,
    )
    made = {p.name for p in Path("beatrandom-t").iterdir()}
    assert {
        "verdicts.png",
        "verdicts.csv",
        "verdicts.txt",
        "verdicts.tex",
        "scores.tex",
        "learning-curves.png",
        "labels-saved.csv",
    } <= made
    assert not any(name.endswith((".pdf", ".svg")) for name in made)
    said = capsys.readouterr().out
    assert "levers: not drawn:" in said
    assert "class-balance: not drawn:" in said
    assert all(name in said for name in FIGURES)


def test_unknown_names_are_answered_together(table: Path) -> None:
    with pytest.raises(InputError) as caught:
        figures(sources=[table], out=None, style="neurip", only=["verdict"], format="gif", data_root=None)
    assert [f.where for f in caught.value.faults] == ["--style", "--only", "--format"]
    assert not Path("beatrandom-t").exists()


def test_the_report_of_a_table(table: Path) -> None:
    report(sources=[table], out=None, pdf=False, data_root=None, baseline="Rand", column=["strategy=method"])
    made = Path("beatrandom-t.html").read_text(encoding="utf-8")
    assert "A table of curves" in made
    assert "Which strategies beat Rand?" in made


def test_a_study_whose_data_set_is_not_here_still_shows_what_strategies_share(tmp_path: Path) -> None:
    folder = build_study(tmp_path / "study", probabilities=True)
    report(sources=[folder.path], out=None, pdf=False, data_root=None)
    made = StudyFolder(folder.path).report.read_text(encoding="utf-8")
    assert "Overlap of what was bought" in made
    assert "No figure class-balance" in made
    assert "made-up" in made
    assert "Calibration on the test set" in made
    assert "All runs were made in one environment" in made


def test_a_packed_study_is_drawn_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = build_study(tmp_path / "study")
    seal(folder)
    packed = tmp_path / "packed.tar.xz"
    pack(folder, packed)
    figures(sources=[packed], out=Path("out"), style="plain", only=["overlap"], format="svg", data_root=None)
    assert {p.name for p in Path("out").iterdir()} == {"overlap.svg", "overlap.csv", "overlap.txt"}


def test_the_report_of_a_large_study_is_checked_by_a_second_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.verbs.results.report.LARGE", 1)
    monkeypatch.setattr("runners.verbs.results.report.cores", lambda: 2)
    folder = build_study(tmp_path / "study")
    report(sources=[folder.path], out=None, pdf=False, data_root=None)
    assert "TRN-01" in folder.report.read_text(encoding="utf-8")

"""Names in exported tables: no formula, no markup, no command."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from analysis.formatting.tables import csv_text, md, render_latex, render_markdown, tex
from analysis.report.html import csv_link, text


def test_formulas_become_text_and_numbers_stay_numbers() -> None:
    frame = pd.DataFrame(
        {"=name": ["=cmd|' /C calc'!A0", "@x", "+y", "-z", "\tq", "margin", None, -0.5], "value": [-1.5] * 8}
    )
    head, *rows = csv.reader(io.StringIO(csv_text(frame)))
    assert head == ["'=name", "value"]
    assert [row[0] for row in rows] == ["'=cmd|' /C calc'!A0", "'@x", "'+y", "'-z", "'\tq", "margin", "", "-0.5"]
    assert {row[1] for row in rows} == {"-1.5"}
    assert "%27%3Dcmd" in csv_link("t", frame)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<img src=x>", r"\<img src=x>"),
        ("[here](javascript:x)", r"[here\](javascript:x)"),
        ("`code` *x*", r"\`code\` \*x\*"),
        ("a\nb\x1b", r"a\\nb\\x1b"),
        ("[-0.1, +0.2]", "[-0.1, +0.2]"),
        ("**0.7540 ± 0.0213** ▲", "**0.7540 ± 0.0213** ▲"),
        ("least_confidence", "least_confidence"),
    ],
)
def test_markdown_shows_a_cell_as_it_is(cell: str, shown: str) -> None:
    assert md(cell) == shown
    assert len(render_markdown(pd.DataFrame({"a": [cell]}), 1).splitlines()) == 3


def test_latex_runs_no_command_and_ends_no_line() -> None:
    name = "\\input{/etc/passwd} %x\n$y_z^&#~"
    assert tex(name) == (
        r"\textbackslash{}input\{/etc/passwd\} \%x\textbackslash{}n\$y\_z\textasciicircum{}\&\#\textasciitilde{}"
    )
    assert len(render_latex(pd.DataFrame({"a": [name]}), 1).splitlines()) == 7


def test_html_shows_what_is_not_seen() -> None:
    assert text("<b>\x1b\u202e'\"") == "&lt;b&gt;\\x1b\\u202e&#x27;&quot;"

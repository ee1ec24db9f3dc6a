"""Text from other people: nothing of it acts on a terminal, a page or a spreadsheet."""

from __future__ import annotations

import pytest

from protocol.errors import Fault
from protocol.plain_text import cell, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± ünïcode 日本\u00a0x", "plain ± ünïcode 日本\u00a0x"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m\x07\x08\x00\x7f", "\\x9b31m\\x07\\x08\\x00\\x7f"),
        ("a\rb", "a\\rb"),
        ("abc\u202edef\u2066\u200f", "abc\\u202edef\\u2066\\u200f"),
        ("a\u200bb\u2060\ufeff\u00ad\u3164\u2800\ufe0f", "a\\u200bb\\u2060\\ufeff\\xad\\u3164\\u2800\\ufe0f"),
        ("\U000e0041\ud800\u2028", "\\U000e0041\\ud800\\u2028"),
        ("two\nlines\tof text", "two\nlines\tof text"),
    ],
)
def test_what_is_not_seen_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert "\n" not in one_line(text)


def test_no_text_looks_like_a_line_of_an_error() -> None:
    said = str(Fault("a\x1b[2J", "b", "c\n  to do:    pay", "d"))
    assert said.split("\n  ")[-1] == "to do:    d"
    assert sum(line.startswith("  to do:") for line in said.splitlines()) == 1
    assert "\x1b" not in said


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "\uff1d1"])
def test_a_formula_becomes_text(text: str) -> None:
    assert cell(text).startswith("'")


@pytest.mark.parametrize("text", ["-0.5", "+1", "1e-7", "-1E+5", "-inf", "nan", "margin", "a=b", "–", ""])
def test_numbers_and_names_stay(text: str) -> None:
    assert cell(text) == text

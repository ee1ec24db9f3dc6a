"""Names that a reader cannot tell apart."""

from __future__ import annotations

import pytest

from protocol.names import folder_problem, look_alikes, name_problem, skeleton


@pytest.mark.parametrize(
    "name",
    ["r\u0430ndom", "\uff52andom", "\U0001d42bandom", "rand\u043em", "rand0m", "ra\u0438dom".replace("\u0438", "n")],
)
def test_look_alikes_of_random_have_its_skeleton(name: str) -> None:
    assert skeleton(name) == skeleton("random")


@pytest.mark.parametrize(
    ("a", "b"), [("margin", "rnargin"), ("\u0399", "l"), ("\u041e", "O"), ("caf\u00e9", "cafe\u0301"), ("ml", "m1")]
)
def test_each_of_a_pair_is_named(a: str, b: str) -> None:
    [said] = look_alikes([a, b])
    assert "looks like" in said


def test_in_a_table_only_the_baseline_is_told_from_ascii_names() -> None:
    assert not list(look_alikes(["Net 1", "Net l"], ["random"], strict=False))
    assert list(look_alikes(["rand0m"], ["random"], strict=False)) == ["'rand0m', which looks like 'random'"]
    [said] = look_alikes(["r\u0430ndom", "margin"], ["random"], strict=False)
    assert said.endswith("but has U+0430 CYRILLIC SMALL LETTER A")


@pytest.mark.parametrize("name", ["β-VAE", "ALFA-Mix (α=0.2)", "énergie", "случайный", "随机 v2", "µ+2σ", "core-set"])
def test_honest_names_pass(name: str) -> None:
    assert not name_problem(name)


@pytest.mark.parametrize("name", ["mar\u200bgin", "a\u202eb", "x\x1b[0m", "\u3164", "m\u0430rgin", "r\u0430ndom"])
def test_others_are_refused_with_the_reason(name: str) -> None:
    assert "U+" in name_problem(name)


@pytest.mark.parametrize("name", ["con", "NUL", "aux.tar", "COM1", "lpt9.x", "a."])
def test_names_that_some_system_cannot_keep(name: str) -> None:
    assert folder_problem(name)
    assert not folder_problem(f"{name}x".replace(".", "-"))

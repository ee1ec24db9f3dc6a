"""Numbers and names of a specification that no study has are refused at once, with the place and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocol.errors import InputError
from protocol.spec.study import MOST_RUNS
from protocol.spec.toml_files import load_preset, read_study, study_from_table

HEAD = 'name = "n"\nstrategies = ["random", "margin"]\n'
PRESET = 'protocols = ["digits-plain"]\n'
OWN = 'seeds = 3\n[[protocols]]\nbase = "digits-plain"\nname = "own"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + PRESET + "seeds = 1000000000", "seeds\n  expected: at most 10000 seeds\n  found:    1000000000"),
        (HEAD + PRESET + f"seeds = {list(range(10_001))}", "seeds"),
        (HEAD + PRESET + "seeds = -3", "seeds"),
        (HEAD + PRESET + "seeds = [0, 99999999999999999999]", "seeds[1]"),
        (HEAD + OWN + "regime = { steps = 1000000000000 }", "regime.steps"),
        (HEAD + OWN + "regime = { batch_size = 10000000000000 }", "regime.batch_size"),
        (HEAD + OWN + "regime = { optimizer = { lr = nan } }", "regime.optimizer.lr"),
        (HEAD + OWN + "budgets = [20, 1000000000000000]", "budgets[1]"),
        (HEAD + OWN + f"budgets = {list(range(1, 10_002))}", "budgets"),
        (HEAD + OWN + 'data = { name = "folder", path = "x", size = [1000000, 9] }', "data.size[0]"),
        (HEAD + OWN + 'model = { name = "small-cnn", width = 10000000 }', "model.width"),
        (HEAD + PRESET + "seeds = 3\nplan = { alpha = 0 }", "plan.alpha"),
        (HEAD + PRESET + "seeds = 3\nplan = { delta = nan }", "plan.delta"),
        (HEAD + PRESET + "seeds = 3\nplan = { delta = 2 }", "plan.delta below 1"),
        (HEAD + 'name = "m"\n', "Cannot overwrite"),
        ("x = " + "[" * 100_000, "expected: valid TOML"),
        ("x = " + "9" * 100_000, "4300"),
        ("#" + "x" * 2**22, "at most 4194304"),
    ],
)
def test_what_no_study_has(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(InputError) as refused:
        read_study(tmp_path / "study.toml")
    assert said in str(refused.value)
    assert all(fault.where.startswith(str(tmp_path)) for fault in refused.value.faults)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(InputError, match="valid TOML in UTF-8"):
        read_study(tmp_path / "study.toml")


def table(**changes: Any) -> dict[str, Any]:
    return {"name": "n", "protocols": ["digits-plain"], "strategies": ["margin"], "seeds": 3, **changes}


def protocol(name: str) -> dict[str, str]:
    return {"base": "digits-plain", "name": name, "title": name}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "nul"}, "reserves for a device"),
        ({"name": "n."}, "a dot at its end"),
        ({"protocols": [protocol("aux.x")]}, "reserves for a device"),
        ({"strategies": [{"name": "margin", "label": "prn"}]}, "reserves for a device"),
        ({"strategies": ["f.py:con."]}, "folder on every system"),
        ({"strategies": ["r\u0430ndom"]}, "U+0430 CYRILLIC SMALL LETTER A"),
        ({"strategies": ["mar\u200bgin"]}, "U+200B ZERO WIDTH SPACE"),
        ({"strategies": ["margin\x1b[2J"]}, "U+001B"),
        ({"strategies": ["rand0m"]}, "'rand0m', which looks like 'random'"),
        ({"strategies": ["margin", {"name": "margin", "label": "rnargin"}]}, "looks like"),
        ({"strategies": ["margin", {"name": "margin", "label": "Margin"}]}, "more than once"),
    ],
)
def test_names_that_mislead_or_that_some_system_cannot_keep(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        study_from_table(table(**changes), "here", Path())
    assert said in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_more_runs_than_anybody_makes() -> None:
    strategies = [{"name": "margin", "label": f"x{number:x}y"} for number in range(MOST_RUNS // 10_000)]
    with pytest.raises(InputError, match=f"at most {MOST_RUNS} runs"):
        study_from_table(table(strategies=strategies, seeds=10_000), "here", Path())


def test_presets_and_long_studies_are_as_before() -> None:
    study = study_from_table(table(seeds=10_000, strategies=["margin", "β-VAE.py:Mine"]), "here", Path())
    assert len(study.seeds) == 10_000
    assert study.protocols == (load_preset("digits-plain"),)

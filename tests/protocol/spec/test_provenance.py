"""Where values come from: the entry of the longest prefix counts, and an own entry replaces the base's."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

from protocol.spec.protocol import Protocol
from protocol.spec.provenance import merge_provenance, provenance_per_value
from protocol.spec.toml_files import load_preset, parse, preset_names, read_protocol
from tests.support.study_builder import protocol_table

SWA = {"start": 0.5, "lr": 0.01, "every": 5}


def protocol() -> Protocol:
    table = protocol_table()
    return parse(Protocol, table | {"regime": table["regime"] | {"swa": SWA}}, "p")


def test_the_longest_prefix_of_a_path_counts() -> None:
    entries = {"regime": "whole", "regime.optimizer": "part", "regime.optimizer.lr": "value"}
    origins = provenance_per_value(protocol(), entries)
    assert origins["regime.optimizer.lr"] == "value"
    assert origins["regime.optimizer.momentum"] == "part"
    assert origins["regime.batch_size"] == "whole"
    assert not [path for path in origins if path.startswith(("model", "data"))]


def test_a_prefix_ends_at_a_dot() -> None:
    assert "regime.label_smoothing" not in provenance_per_value(protocol(), {"regime.label": "x"})


def test_only_tables_that_a_protocol_may_lack_keep_an_entry_of_their_own() -> None:
    origins = provenance_per_value(protocol(), {"regime.swa": "averaged", "regime.augmentation": "none"})
    assert origins["regime.swa"] == origins["regime.swa.lr"] == "averaged"
    assert "regime.augmentation" not in origins


def test_an_own_entry_replaces_what_the_base_says_of_the_path_and_below() -> None:
    base = {"regime.optimizer.lr": "base", "regime.optimizer": "base", "regime.steps": "base"}
    own = {"regime.optimizer": "own"}
    assert merge_provenance(base, own) == {"regime.steps": "base", "regime.optimizer": "own"}


def test_a_changed_value_loses_its_base_s_entry_and_no_other_does(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('base = "camvid-plain"\nname = "mine"\nregime.augmentation.shift = 0\n')
    mine, base = read_protocol(tmp_path / "p.toml"), load_preset("camvid-plain")
    assert set(base.provenance) - set(mine.provenance) == {"regime.augmentation.shift"}


def test_every_preset_has_one_name() -> None:
    files = (resources.files("protocol") / "presets").iterdir()
    lines = [line for f in files if f.name.endswith(".toml") for line in f.read_text(encoding="utf-8").splitlines()]
    names = Counter(line for line in lines if line.startswith("name = "))
    assert len(names) == names.total() == lines.count("[[protocols]]") == len(preset_names())

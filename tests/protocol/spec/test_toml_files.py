"""Specifications are read strictly: every fault at once, each with its place, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import InputError
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from protocol.spec.toml_files import add_strategies, load_preset, parse, preset_names, read_protocol, read_study
from tests.support.study_builder import make_study, protocol_table, study_table

PROTOCOL = """
name = "p"
budgets = [10, 20]
[data]
name = "digits"
[splits]
test_size = 100
[model]
name = "small-cnn"
[regime]
name = "plain"
steps = 5
batch_size = 8
[regime.optimizer]
name = "sgd"
lr = 0.1
"""


def faults(table: dict[str, object], model: type = Protocol) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        parse(model, table, "f.toml")
    return [(f.where, f"{f.expected} / {f.found} / {f.fix}") for f in caught.value.faults]


def test_toml_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PROTOCOL)
    protocol = read_protocol(tmp_path / "p.toml")
    assert protocol.budgets == (10, 20)
    assert protocol.training_labels == (10, 20)
    assert protocol.regime.step_optimizer.lr == 0.1


def test_unknown_key_offers_the_nearest_one() -> None:
    table = protocol_table()
    table["regime"] = table["regime"] | {"batchsize": 4}
    [(where, text)] = faults(table)
    assert where == "f.toml: regime.batchsize"
    assert text.startswith("a known key: batch_size,")
    assert "unknown key 'batchsize'" in text


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        ({"budgets": "10"}, "budgets", "'10'"),
        ({"budgets": [10.5, 20]}, "budgets[0]", "10.5"),
        ({"budgets": [True, 20]}, "budgets[0]", "True"),
        ({"budgets": []}, "budgets", "found none"),
        ({"budgets": [20, 20]}, "budgets", "strictly increasing"),
        ({"budgets": [0, 20]}, "budgets[0]", "greater than or equal to 1"),
        ({"budgets": [6, 20]}, "", "first budget (6) to exceed the counted validation labels (6)"),
        ({"name": "../elsewhere"}, "name", "../elsewhere"),
        ({"root_seed": -1}, "root_seed", "-1"),
        ({"root_seed": 2**53}, "root_seed", str(2**53)),
        ({"metric": "auc"}, "metric", "'auc'"),
        ({"data": {}}, "data.name", "nothing / add the key"),
    ],
)
def test_each_bad_value_is_named_with_its_place(changes: dict[str, object], where: str, text: str) -> None:
    [(place, message)] = faults(protocol_table(**changes))
    assert place == (f"f.toml: {where}" if where else "f.toml")
    assert text in message


@pytest.mark.parametrize("lr", [float("nan"), float("inf"), -float("inf"), 0.0, "1e-3", True])
def test_learning_rate_is_a_positive_finite_number(lr: object) -> None:
    table = protocol_table()
    table["regime"] = table["regime"] | {"optimizer": {"name": "sgd", "lr": lr}}
    [(where, _)] = faults(table)
    assert where == "f.toml: regime.optimizer.lr"


@pytest.mark.parametrize(
    ("regime", "text"),
    [
        ({"epochs": 2}, "exactly one of steps and epochs"),
        ({"steps": None}, "exactly one of steps and epochs"),
        ({"selection": "best-validation"}, "validate_every go together"),
        ({"validate_every": 5}, "validate_every go together"),
        ({"optimizer": {"name": "adam", "lr": 0.1, "momentum": 0.9}}, "momentum and nesterov belong to sgd"),
        ({"optimizer": {"name": "sgd", "lr": 0.1, "nesterov": True}}, "nesterov needs momentum"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(regime: dict[str, object], text: str) -> None:
    table = protocol_table()
    table["regime"] = table["regime"] | regime
    [(_, message)] = faults(table)
    assert text in message


def test_selection_on_validation_needs_validation_labels() -> None:
    table = protocol_table(splits={"test_size": 40})
    table["regime"] = table["regime"] | {"selection": "best-validation", "validate_every": 2}
    [(_, message)] = faults(table)
    assert "splits.validation_size >= 1" in message


def test_uncounted_validation_may_exceed_the_first_budget() -> None:
    splits = {"test_size": 40, "validation_size": 50, "validation_counted": False}
    protocol = parse(Protocol, protocol_table(splits=splits), "p")
    assert (protocol.charged_validation, protocol.training_labels) == (0, (16, 22, 30))


def test_all_faults_are_reported_at_once_and_none_twice() -> None:
    table = study_table(protocols=[protocol_table(budgets=[5, "x"], metric="auc")], seeds=[-1])
    places = [where for where, _ in faults(table, Study)]
    assert places == ["f.toml: protocols[0].budgets[1]", "f.toml: protocols[0].metric", "f.toml: seeds[0]"]


def test_an_empty_array_is_still_a_fault() -> None:
    [(where, _)] = faults(study_table(protocols=[]), Study)
    assert where == "f.toml: protocols"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"strategies": [{"name": "first"}]}, "the baseline 'random' among the strategies"),
        (
            {"strategies": [{"name": "random"}, {"name": "first", "label": "RANDOM"}]},
            "each strategy label once, found random",
        ),
        ({"strategies": [{"name": "random"}, {"name": "random"}]}, "each strategy label once, found random"),
        ({"strategies": [{"name": "first", "label": "random"}]}, "baseline 'random'"),
        ({"seeds": [0, 0]}, "each seed once, found 0"),
        ({"protocols": [protocol_table(), protocol_table(name="other")]}, "each protocol fingerprint once"),
        ({"protocols": [protocol_table(), protocol_table(budgets=[20, 30])]}, "each protocol name once, found small"),
        ({"strategies": [{"name": "random"}, {"name": "first", "args": {"k": 2**53}}]}, "expected k within"),
        ({"strategies": [{"name": "random"}, {"name": "first", "args": {"k": float("nan")}}]}, "finite"),
        ({"strategies": [{"name": "random"}, {"name": "first", "label": "../../up"}]}, "letters a to z"),
    ],
)
def test_a_study_that_cannot_be_paired_or_kept_apart_is_refused(changes: dict[str, object], text: str) -> None:
    found = faults(study_table(**changes), Study)
    assert any(text in message for _, message in found), found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("margin", "margin"),
        ("my/file.py:Mine", "file-Mine"),
        ("pkg.mod:Mine", "pkg.mod-Mine"),
        ("x/..", "strategy"),
        ("a b", "a-b"),
    ],
)
def test_strategy_ids_stay_in_their_folder(name: str, expected: str) -> None:
    study = make_study(strategies=[{"name": "random"}, {"name": name}])
    assert study.strategies[1].id == expected


def test_study_files_name_presets_and_files_and_get_random_first(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PROTOCOL)
    (tmp_path / "s.toml").write_text('name = "s"\nprotocols = ["p.toml"]\nstrategies = ["margin"]\nseeds = 3\n')
    study = read_study(tmp_path / "s.toml")
    assert [s.name for s in study.strategies] == ["random", "margin"]
    assert study.seeds == (0, 1, 2)
    assert study.protocols[0].name == "p"


def test_a_protocol_may_leave_out_what_its_base_has(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(
        'base = "cifar10-low-augmented"\nwithout = ["regime.epochs", "regime.augmentation.rand_augment"]\n'
        'name = "mine"\n[regime]\nsteps = 7\n'
    )
    mine = read_protocol(file)
    assert (mine.regime.steps, mine.regime.epochs, mine.regime.augmentation.rand_augment) == (7, None, None)
    assert not {"regime.steps", "regime.epochs"} & set(mine.provenance)
    assert not [path for path in mine.provenance if "rand_augment" in path]
    assert "regime.augmentation.shift" in mine.provenance


@pytest.mark.parametrize(
    ("without", "text"),
    [
        ('["regime.epoch"]', "did you mean|regime.epochs"),
        ('["regime.epochs.x"]', "regime.epochs.x"),
        ('"regime.epochs"', "list of paths"),
        ("[1]", "list"),
    ],
)
def test_what_is_left_out_must_be_there(tmp_path: Path, without: str, text: str) -> None:
    (tmp_path / "p.toml").write_text(f'base = "cifar10-low-augmented"\nwithout = {without}\nname = "mine"\n')
    with pytest.raises(InputError, match=text):
        read_protocol(tmp_path / "p.toml")


def test_unknown_preset_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('name = "s"\nprotocols = ["digits-plan"]\nstrategies = ["margin"]\nseeds = 3\n')
    with pytest.raises(InputError, match="protocol preset"):
        read_study(tmp_path / "s.toml")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_says_where_it_comes_from(name: str) -> None:
    protocol = load_preset(name)
    assert protocol.name == name
    assert protocol.source
    assert all(v.startswith(("published", "our choice")) for v in protocol.provenance.values())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'name = "a"\nname = "b"', "valid TOML"),
        (b"\xff\xfe", "valid TOML in UTF-8"),
        (b"x = " + b"9" * 5000, "valid TOML"),
        (b"x = " + b"[" * 100_000, "valid TOML"),
        (b"x = 1979-05-27", "strings, numbers, booleans, arrays and tables"),
    ],
)
def test_hostile_files_are_bad_input(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "p.toml").write_bytes(content)
    with pytest.raises(InputError, match=text):
        read_protocol(tmp_path / "p.toml")


def test_a_missing_file_and_a_folder_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_protocol(tmp_path / "none.toml")
    with pytest.raises(InputError, match="a readable file"):
        read_protocol(tmp_path)


def test_another_data_set_does_not_inherit_the_digest_of_the_bases(tmp_path: Path) -> None:
    own = 'base = "digits-plain"\nname = "mine"\n'
    (tmp_path / "same.toml").write_text(own + "[data]\npath = 'x'\n")
    (tmp_path / "other.toml").write_text(own + "[data]\nname = 'npz'\npath = 'x'\n")
    same, other = read_protocol(tmp_path / "same.toml"), read_protocol(tmp_path / "other.toml")
    assert same.data.digest
    assert other.data.model_dump() == {
        "name": "npz",
        "path": "x",
        "digest": None,
        "resolution": None,
        "construction": None,
        "size": None,
        "encoder": None,
    }
    assert "data.digest" in same.provenance
    assert "data.digest" not in other.provenance


def test_strategies_are_added_by_name_and_those_that_clash_are_refused() -> None:
    study = parse(Study, study_table(), "f.toml")
    before = [s.id for s in study.strategies]
    more = add_strategies(study, ["a/mine.py:F", "random", "margin"])
    assert [s.id for s in more.strategies] == [*before, "mine-F", "margin"]
    assert add_strategies(more, ["a/mine.py:F"]) == more  # known already
    for name, message in (
        ("b/mine.py:f", "mine-f more than once"),
        ("b/mine.py:F", "mine-f more than once"),
        ("", "--strategy"),
    ):
        with pytest.raises(InputError, match=message):  # another file or name, the same folder of records
            add_strategies(more, [name])

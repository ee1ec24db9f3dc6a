"""Read presets, protocol files and study files, and validate them as `Protocol` and `Study`."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from protocol.errors import Fault, InputError, nearest, unknown_name
from protocol.safe_read import read_named
from protocol.spec.base import DIGEST, LABEL, NAME, NETWORK, FrozenModel
from protocol.spec.protocol import Protocol
from protocol.spec.provenance import leaf_paths, merge_provenance, provenance_per_value
from protocol.spec.study import BASELINE, MOST_SEEDS, StrategySpec, Study

M = TypeVar("M", bound=FrozenModel)

_LARGEST: Final = 2**22
"""Bytes of a TOML file; the parser is slow."""

_PATTERNS = {
    NAME: "letters a to z, digits and . _ + -, the first a letter or a digit (it names files and folders)",
    LABEL: "letters a to z, digits and . _ + -, the first a letter or a digit (it names files and folders)",
    NETWORK: "letters a to z, digits and . _ + - :, the first a letter or a digit",
    DIGEST: "a SHA-256: 64 hexadecimal digits",
}
"""The regular expressions of the models, in words."""


def preset_names() -> list[str]:
    """Return the names of the protocols that ship with the project, sorted."""
    return sorted(_preset_files())


def load_preset(name: str) -> Protocol:
    """Return the preset protocol of this name. Raises InputError that lists the known names."""
    return parse(Protocol, _preset_table(name), where=f"preset {name}")


def read_protocol(path: Path) -> Protocol:
    """Read a protocol from a TOML file. Raises InputError with every fault in it."""
    return parse(Protocol, _with_base(_toml(path), where=str(path)), where=str(path))


def read_study(path: Path) -> Study:
    """Read a study from a TOML file. Raises InputError with every fault in it.

    Resolved studies are kept as JSON and read by `protocol.record.layout`.
    """
    return study_from_table(_toml(path), where=str(path), folder=path.parent)


def study_from_table(table: dict[str, Any], where: str, folder: Path) -> Study:
    """Build a study from a table as in a study file.

    Args:
        table: `protocols` are preset names, paths of TOML files, or tables with `base`; `strategies` are names
            or tables, to which random is added; `seeds` is a number of seeds or a list.
        where: name of the table in error messages.
        folder: what paths of protocol files are relative to.

    Raises:
        InputError: with every fault found.
    """
    table = dict(table)
    faults: list[Fault] = []
    if isinstance(table.get("protocols"), list):
        protocols = []
        for i, entry in enumerate(table["protocols"]):
            try:
                protocols.append(_protocol_table(entry, f"{where}: protocols[{i}]", folder))
            except InputError as error:
                faults += error.faults
        table["protocols"] = protocols
    if isinstance(table.get("strategies"), list):
        table["strategies"] = [{"name": s} if isinstance(s, str) else s for s in table["strategies"]]
        if not any(isinstance(s, dict) and s.get("name") == BASELINE for s in table["strategies"]):
            table["strategies"].insert(0, {"name": BASELINE})
    if isinstance(table.get("seeds"), int) and not isinstance(table["seeds"], bool):
        if table["seeds"] > MOST_SEEDS:
            fix = "lower the number: a few dozen seeds decide most comparisons"
            faults.append(Fault(f"{where}: seeds", f"at most {MOST_SEEDS} seeds", str(table["seeds"]), fix))
        else:
            table["seeds"] = list(range(table["seeds"]))
    if faults:
        raise InputError(faults)
    return parse(Study, table, where)


def add_strategies(study: Study, names: Sequence[str]) -> Study:
    """Return the study with the strategies of these names added, where it lacks them.

    Raises:
        InputError: an invalid name, or two strategies that would share a folder.
    """
    names_by_id = {s.id: s.name for s in study.strategies}
    specs = [parse(StrategySpec, {"name": name}, f"--strategy {name}") for name in names]
    try:
        return study.with_strategies((*study.strategies, *(s for s in specs if names_by_id.get(s.id) != s.name)))
    except ValidationError as error:
        raise InputError([_fault(Study, item, "--strategy") for item in error.errors()]) from None


def parse(model: type[M], table: Mapping[str, Any], where: str) -> M:
    """Validate a table strictly.

    Raises InputError with every fault at once, each with its path in the file.
    """
    try:
        return model.model_validate_json(json.dumps(table, allow_nan=True))
    except ValidationError as error:
        raise InputError([_fault(model, item, where) for item in _root_causes(error.errors())]) from None
    except TypeError as error:  # a TOML date or time
        raise InputError(Fault(where, "strings, numbers, booleans, arrays and tables", str(error))) from None


def _root_causes(items: Sequence[Any]) -> list[Any]:
    """Leave out "at least 1 item" of arrays that are too short only because of invalid items."""
    places = [item["loc"] for item in items]
    return [
        item
        for item in items
        if item["type"] != "too_short"
        or not any(len(p) > len(item["loc"]) and p[: len(item["loc"])] == item["loc"] for p in places)
    ]


def _fault(model: type[BaseModel], item: Any, where: str) -> Fault:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
    spot = f"{where}: {path}" if path else where
    if item["type"] == "extra_forbidden":
        known = nearest(str(item["loc"][-1]), _fields_at(model, item["loc"][:-1]))
        return Fault(
            spot, f"a known key: {', '.join(known)}", f"unknown key {item['loc'][-1]!r}", "remove or rename it"
        )
    if item["type"] == "missing":
        return Fault(spot, "a value", "nothing", "add the key")
    if item["type"] == "value_error":
        return Fault(spot, "a consistent specification", str(item["ctx"]["error"]))
    value = repr(item["input"])
    expected = (
        _PATTERNS.get(item["ctx"]["pattern"], item["msg"]) if item["type"] == "string_pattern_mismatch" else item["msg"]
    )
    return Fault(spot, expected, value if len(value) < 120 else value[:117] + "…")


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    current: Any = model
    for step in location:
        if step not in getattr(current, "model_fields", {}):
            continue  # a position in an array, or a key that the user chose
        annotation = current.model_fields[step].annotation
        current = next((a for a in _flatten(annotation) if isinstance(a, type) and issubclass(a, BaseModel)), None)
    return list(getattr(current, "model_fields", {}))


def _flatten(annotation: Any) -> list[Any]:
    inner = [x for a in get_args(annotation) for x in _flatten(a)]
    return [annotation, *inner]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_named(path, _LARGEST).decode("utf-8"))
    except FileNotFoundError:
        raise InputError(Fault(str(path), "a TOML file", "no such file", "check the path")) from None
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError, bad UTF-8, an integer of thousands of digits, endless nesting
        raise InputError(Fault(str(path), "valid TOML in UTF-8", str(error), "correct the file")) from None
    except OSError as error:
        raise InputError(Fault(str(path), "a readable file", error.strerror or str(error))) from None


@cache
def _preset_files() -> dict[str, dict[str, Any]]:
    """Return the table of every preset by name, as written in `protocol/presets/*.toml`."""
    folder = resources.files("protocol") / "presets"
    files = (f for f in folder.iterdir() if f.name.endswith(".toml"))
    tables = (table for f in files for table in tomllib.loads(f.read_text(encoding="utf-8"))["protocols"])
    return {table["name"]: table for table in tables}


def _preset_table(name: str) -> dict[str, Any]:
    if name not in _preset_files():
        raise InputError(unknown_name("protocol preset", name, preset_names()))
    return copy.deepcopy(_complete_preset(name))


@cache
def _complete_preset(name: str) -> dict[str, Any]:
    """Return a preset's table with what it takes from its base, and the provenance of each single value."""
    table = _with_base(_preset_files()[name], where=f"preset {name}")
    protocol = parse(Protocol, table, where=f"preset {name}")
    return table | {"provenance": provenance_per_value(protocol, protocol.provenance)}


def _protocol_table(entry: Any, where: str, folder: Path) -> dict[str, Any]:
    if isinstance(entry, str):
        if entry.endswith(".toml"):
            return _with_base(_toml(folder / entry), where=str(folder / entry))
        return _preset_table(entry)
    if isinstance(entry, dict):
        return _with_base(entry, where)
    raise InputError(Fault(where, "a preset name, a path to a .toml file, or a table", repr(entry)))


def _with_base(table: dict[str, Any], where: str) -> dict[str, Any]:
    """Start from the preset `base`, drop the paths `without`, and put the table's own values on top.

    What the base says about the origin of a value goes where the value changes or the table says it anew.
    """
    if "base" not in table:
        return table
    own = {k: v for k, v in table.items() if k not in ("base", "without")}
    if not isinstance(table["base"], str):
        raise InputError(Fault(f"{where}: base", "the name of a preset", repr(table["base"])))
    if "name" not in own:
        raise InputError(Fault(where, f"a new name for what changes {table['base']}", "no name", "add name = '…'"))
    base = _preset_table(table["base"])
    dropped = _drop(base, table.get("without", []), where)
    changed = [p for p in leaf_paths(own) if p != "name"] + dropped
    if isinstance(own.get("data"), dict) and own["data"].get("name") not in (None, base["data"]["name"]):
        base = base | {"data": {}}  # another data set has another digest
        changed.append("data.digest")
    if any(path.split(".")[0] not in ("title", "source", "provenance") for path in changed):
        base.pop("reference", None)  # what random reaches there says nothing about another protocol
    merged = _merge(base, own)
    inherited = {
        k: v
        for k, v in base.get("provenance", {}).items()
        if not any(k == c or c.startswith(k + ".") for c in changed) and not any(k.startswith(d + ".") for d in dropped)
    }
    if isinstance(own_entries := own.get("provenance", {}), dict):
        merged["provenance"] = merge_provenance(inherited, own_entries)
    return merged


def _drop(base: dict[str, Any], without: Any, where: str) -> list[str]:
    """Remove the paths `without` from the tables of `base` in place.

    Raises InputError for a path that `base` lacks.
    """
    if not isinstance(without, list) or not all(isinstance(path, str) for path in without):
        raise InputError(Fault(f"{where}: without", "a list of paths such as 'regime.epochs'", repr(without)))
    known = leaf_paths(base)
    for path in without:
        *parents, last = path.split(".")
        table: Any = base
        for parent in parents:
            table = table.get(parent) if isinstance(table, dict) else None
        if not isinstance(table, dict) or last not in table:
            raise InputError(unknown_name(f"{where}: without", path, known))
        del table[last]
    return without


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in own.items():
        out[key] = _merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out

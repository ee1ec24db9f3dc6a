"""TOML and JSON in: presets, protocol files and study files become `Protocol` and `Study`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from protocol.errors import Fault, InputError, nearest, unknown_name
from protocol.safe_read import content
from protocol.spec.base import DIGEST, LABEL, NAME, NETWORK, FrozenModel
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE, StrategySpec, Study

P = TypeVar("P", bound=FrozenModel)

_PATTERNS = {
    NAME: "letters a to z, digits and . _ + -, the first a letter or a digit (it names files and folders)",
    LABEL: "letters a to z, digits and . _ + -, the first a letter or a digit (it names files and folders)",
    NETWORK: "letters a to z, digits and . _ + - :, the first a letter or a digit",
    DIGEST: "a SHA-256: 64 hexadecimal digits",
}
"""What regular expressions of the models ask for, in words."""


def preset_names() -> list[str]:
    """Names of the protocols that ship with the project, sorted."""
    folder = resources.files("protocol") / "presets"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_preset(name: str) -> Protocol:
    """The preset protocol called `name`. Raises InputError that lists the known names."""
    return parse(Protocol, _preset_table(name), where=f"preset {name}")


def read_protocol(path: Path) -> Protocol:
    """A protocol from a TOML file."""
    return parse(Protocol, _with_base(_toml(path), where=str(path)), where=str(path))


def read_study(path: Path) -> Study:
    """A study from a TOML file (resolved studies are kept as JSON and read by `protocol.record.layout`)."""
    return study_from_table(_toml(path), where=str(path), folder=path.parent)


def study_from_table(table: dict[str, Any], where: str, folder: Path) -> Study:
    """A study from a table whose protocols may be preset names, TOML paths or tables with `base`."""
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
        table["seeds"] = list(range(table["seeds"]))
    if faults:
        raise InputError(faults)
    return parse(Study, table, where)


def add_strategies(study: Study, names: Sequence[str]) -> Study:
    """The study and the strategies of these names that it does not have.

    Raises:
        InputError: a name that is none, or two strategies that would share a folder.
    """
    known = {s.id: s.name for s in study.strategies}
    specs = [parse(StrategySpec, {"name": name}, f"--strategy {name}") for name in names]
    try:
        return study.with_strategies((*study.strategies, *(s for s in specs if known.get(s.id) != s.name)))
    except ValidationError as error:
        raise InputError([_fault(Study, item, "--strategy") for item in error.errors()]) from None


def parse(model: type[P], table: Mapping[str, Any], where: str) -> P:
    """Validate strictly; every fault at once, each with its path in the file."""
    try:
        return model.model_validate_json(json.dumps(table, allow_nan=True))
    except ValidationError as error:
        raise InputError([_fault(model, item, where) for item in _not_derived(error.errors())]) from None
    except TypeError as error:  # a TOML date or time
        raise InputError(Fault(where, "strings, numbers, booleans, arrays and tables", str(error))) from None


def _not_derived(items: Sequence[Any]) -> list[Any]:
    """Without "at least 1 item" of an array that is only short because its items have faults of their own."""
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
    found = repr(item["input"])
    expected = (
        _PATTERNS.get(item["ctx"]["pattern"], item["msg"]) if item["type"] == "string_pattern_mismatch" else item["msg"]
    )
    return Fault(spot, expected, found if len(found) < 120 else found[:117] + "…")


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    current: Any = model
    for step in location:
        if step not in getattr(current, "model_fields", {}):
            continue  # a place in an array, or a key of the user's own
        annotation = current.model_fields[step].annotation
        current = next((a for a in _flatten(annotation) if isinstance(a, type) and issubclass(a, BaseModel)), None)
    return list(getattr(current, "model_fields", {}))


def _flatten(annotation: Any) -> list[Any]:
    inner = [x for a in get_args(annotation) for x in _flatten(a)]
    return [annotation, *inner]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(content(path).decode("utf-8"))
    except FileNotFoundError:
        raise InputError(Fault(str(path), "a TOML file", "no such file", "check the path")) from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # TOMLDecodeError, bad UTF-8, an integer of thousands of digits, endless nesting
        raise InputError(Fault(str(path), "valid TOML in UTF-8", str(error), "mend the file")) from None
    except OSError as error:
        raise InputError(Fault(str(path), "a readable file", error.strerror or str(error))) from None


def _preset_table(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise InputError(unknown_name("protocol preset", name, preset_names()))
    text = (resources.files("protocol") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return _with_base(tomllib.loads(text), where=f"preset {name}")


def _protocol_table(entry: Any, where: str, folder: Path) -> dict[str, Any]:
    if isinstance(entry, str):
        if entry.endswith(".toml"):
            return _with_base(_toml(folder / entry), where=str(folder / entry))
        return _preset_table(entry)
    if isinstance(entry, dict):
        return _with_base(entry, where)
    raise InputError(Fault(where, "a preset name, a path to a .toml file, or a table", repr(entry)))


def _with_base(table: dict[str, Any], where: str) -> dict[str, Any]:
    """`base = "preset"` starts from that preset without the paths in `without`; the table's own keys win, table by table."""
    if "base" not in table:
        return table
    own = {k: v for k, v in table.items() if k not in ("base", "without")}
    if not isinstance(table["base"], str):
        raise InputError(Fault(f"{where}: base", "the name of a preset", repr(table["base"])))
    if "name" not in own:
        raise InputError(
            Fault(where, f"a name of its own for what changes {table['base']}", "no name", "add name = '…'")
        )
    base = _preset_table(table["base"])
    dropped = _dropped(base, table.get("without", []), where)
    changed = [p for p in _leaves(own) if p != "name"] + dropped
    if isinstance(own.get("data"), dict) and own["data"].get("name") not in (None, base["data"]["name"]):
        base = base | {"data": {}}  # other images have another digest
        changed.append("data.digest")
    if any(path.split(".")[0] not in ("title", "source", "provenance") for path in changed):
        base.pop("reference", None)  # what random reaches there says nothing about another protocol
    merged = _merge(base, own)
    merged["provenance"] = {
        k: v
        for k, v in merged.get("provenance", {}).items()
        if not any(k == c or c.startswith(k + ".") for c in changed) and not any(k.startswith(d + ".") for d in dropped)
    } | own.get("provenance", {})
    return merged


def _dropped(base: dict[str, Any], without: Any, where: str) -> list[str]:
    """Take the paths `without` out of the tables of `base`, which are its own. Raises InputError for what is not there."""
    if not isinstance(without, list) or not all(isinstance(path, str) for path in without):
        raise InputError(Fault(f"{where}: without", "a list of paths such as 'regime.epochs'", repr(without)))
    known = _leaves(base)
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


def _leaves(table: dict[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key, value in table.items():
        paths += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return paths

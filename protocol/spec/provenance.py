"""Where a protocol's values come from: entries by path, of which the longest prefix of a path counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocol.spec.base import FrozenModel
from protocol.spec.protocol import Protocol


def provenance_per_value(protocol: Protocol, entries: Mapping[str, str]) -> dict[str, str]:
    """Return one entry per value that the protocol's fingerprint covers.

    A value gets the entry of the longest prefix of its path.

    Args:
        protocol: decides which values there are.
        entries: path of a value or of a table, such as `regime.optimizer` -> origin.

    Returns:
        Path -> origin. Entries of tables that a protocol may lack (`regime.swa`) and of values that no
        fingerprint covers stay as they are; those of all other tables are replaced by their values' own.
    """
    values = leaf_paths(protocol.fingerprint_content())
    tables = {prefix for path in values for prefix in _prefixes(path)} - set(_optional_tables(protocol))
    origins = {path: entries[prefix] for path in values if (prefix := _longest_prefix(path, entries))}
    return {path: origin for path, origin in entries.items() if path not in tables} | origins


def merge_provenance(base: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of both tables.

    An entry of `own` replaces all that `base` says of the same path and below it.
    """
    return {path: origin for path, origin in base.items() if not _longest_prefix(path, own)} | dict(own)


def leaf_paths(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted path of every value in nested tables, in their order."""
    paths: list[str] = []
    for key, value in table.items():
        paths += leaf_paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return paths


def _longest_prefix(path: str, entries: Mapping[str, str]) -> str | None:
    return next((prefix for prefix in (path, *_prefixes(path)) if prefix in entries), None)


def _prefixes(path: str) -> Iterator[str]:
    """Yield the tables that a path lies in, the innermost first."""
    while path := path.rpartition(".")[0]:
        yield path


def _optional_tables(part: FrozenModel, prefix: str = "") -> Iterator[str]:
    for name, value in part:
        if isinstance(value, FrozenModel):
            if type(part).model_fields[name].default is None:
                yield prefix + name
            yield from _optional_tables(value, f"{prefix}{name}.")

"""`datasets`: facts about every data set, and where it was found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protocol.errors import InputError
from runners.data import locate
from runners.datasets.cards import CARDS, Card
from runners.datasets.file_search import DATA_VARIABLE, NOTHING
from runners.datasets.registry import OWN
from runners.terminal.console import console, print_json, table


def datasets(data_root: Path | None, json: bool) -> None:
    """See `beatrandom datasets --help`."""
    facts = [_dataset_facts(card, data_root) for card in CARDS.values()]
    if json:
        print_json(facts)
        return
    title = f"Data sets (--data-root {data_root or os.environ.get(DATA_VARIABLE) or 'not given'})"
    console.print(table(title, ["name", "description, location, source"], _about(facts)))
    console.print("Files were searched, not read. Their content is checked when a study reads them.")


def _dataset_facts(card: Card, data_root: Path | None) -> dict[str, Any]:
    """Return the facts of a card, and whether its files exist; no file is read."""
    state, place = "found", None
    if card.name in OWN:
        state = "yours: data = { name = …, path = … }"
    else:
        try:
            place = locate(card.name, data_root)
        except InputError as error:
            reason = error.faults[0].found
            state = "not found" if reason.endswith(NOTHING) else reason
    return {
        "name": card.name,
        "what": card.description,
        "task": card.task,
        "train": card.n_train,
        "test": card.n_test,
        "classes": len(card.classes) if card.classes else None,
        "shape": card.shape,
        "licence": card.licence,
        "state": state,
        "place": str(place) if place else None,
        "looked_for": list(card.files),
        "from": card.origin,
    }


def _about(facts: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    for f in facts:
        counts = [
            f"{f[key]:,} {what}"
            for key, what in (("train", "for training"), ("test", "for testing"), ("classes", "classes"))
            if f[key]
        ]
        size = [f"{f['shape'][0]}×{f['shape'][1]}"] if f["shape"] else []
        where = [f"found: {f['place'] or f['from']}"] if f["state"] == "found" else [f"{f['state']}; {f['from']}"]
        if f["state"] != "found":
            where += ["files that are searched:", *(f"  {line}" for line in f["looked_for"])]
        lines = [f["what"], ", ".join([*counts, *size]), *where]
        yield f["name"], "\n".join(line for line in lines if line) + "\n"

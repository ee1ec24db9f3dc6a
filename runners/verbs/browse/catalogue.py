"""`protocols`, `strategies`, `regimes`, `datasets`: what there is, and one page each."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.protocol import Protocol
from protocol.spec.recipe import Regime
from protocol.spec.study import StrategySpec
from protocol.spec.toml_files import load_preset, preset_names
from runners.datasets.cards import Card
from runners.datasets.file_search import DATA_VARIABLE, NOTHING
from runners.verbs.shared.console import console, print_json, table


def protocols(action: str | None, name: str | None, json: bool) -> None:
    """See `beatrandom protocols --help`."""
    if _wants_page("protocols", action, name, preset_names()):
        _protocol_page(load_preset(str(name)), json)
        return
    every = [load_preset(n) for n in preset_names()]
    if json:
        print_json([{"name": p.name, "title": p.title, "fingerprint": p.fingerprint} for p in every])
        return
    console.print(
        table("Protocols", ["name", "what is labelled, and how much"], [(p.name, _in_short(p)) for p in every])
    )
    console.print("Each value with its source: beatrandom protocols show NAME")


def _in_short(p: Protocol) -> str:
    kept = f"; {p.splits.validation_size:,} to validate" if p.splits.validation_size else ""
    return f"{p.data.name}, {p.model.name}\n{p.budgets[0]:,} → {p.budgets[-1]:,} {p.currency}, {len(p.budgets)} rounds{kept}"


def _protocol_page(p: Protocol, json: bool) -> None:
    if json:
        print_json({"fingerprint": p.fingerprint, **p.model_dump(mode="json")})
        return
    values = _leaves(p.fingerprint_content())
    rows = [(path, value, _mark(p, path)) for path, value in values]
    console.print(f"[bold]{p.name}[/]: {p.title}\nSource: {p.source}\nFingerprint: {p.fingerprint}")
    console.print(table("", ["field", "value", "published or our choice"], rows))


def _mark(p: Protocol, path: str) -> str:
    while path:
        if path in p.provenance:
            return p.provenance[path]
        path = path.rpartition(".")[0]
    return "default"


def _leaves(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, item in value.items():
        out += _leaves(item, f"{prefix}{key}.") if isinstance(item, dict) else [(prefix + key, item)]
    return out


def strategies(action: str | None, name: str | None, json: bool) -> None:
    """See `beatrandom strategies --help`."""
    from runners.strategies.resolve import known_names

    if (action is not None and ":" in str(name)) or _wants_page("strategies", action, name, known_names()):
        _strategy_page(str(action), str(name), json)
    else:
        _strategy_list([_facts_or_fault(n) for n in known_names()], json)


def _strategy_list(facts: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json([{k: f[k] for k in ("name", "paper", "needs", "cost", "cold_start")} for f in facts])
        return
    rows = [
        (
            f["name"],
            f["paper"].partition(", arXiv")[0],
            ", ".join(f["needs"]).replace("_", " ") or "nothing",
            f["cost"],
            "yes" if f["cold_start"] else "no",
        )
        for f in facts
    ]
    console.print(
        table("Query strategies", ["name", "paper", "needs", "cost of a query", "starts without labels"], rows)
    )
    console.print(
        "u unlabelled, l labelled, n queried, k classes, d embedding width, s dropout draws, m ensemble members. "
        "Your own: beatrandom run study.toml --strategy my_file.py:MyStrategy (or package.module:Name, or skactiveml:Name)"
    )


def _facts_or_fault(name: str) -> dict[str, Any]:
    """An installed package that is broken must not hide the others."""
    try:
        return strategy_facts(name)
    except InputError as error:
        return {
            "name": name,
            "paper": f"cannot be used: {error.faults[0].found}",
            "needs": [],
            "cost": "-",
            "cold_start": False,
        }


def strategy_facts(name: str) -> dict[str, Any]:
    """What a strategy's page says, whoever wrote the strategy.

    Raises:
        InputError: unknown name, or a file or module that cannot be imported.
    """
    from runners.strategies.resolve import declaration, factory, user_file
    from runners.strategies.view import CHEAP

    spec = StrategySpec(name=name)
    found = factory(spec, user_file(spec, Path()))
    told = declaration(spec, found)
    return {
        "name": name,
        "about": inspect.getdoc(found) or "",
        "paper": getattr(told, "paper", ""),
        "needs": list(getattr(told, "needs", CHEAP)),
        "cost": getattr(told, "cost", "-"),
        "cold_start": bool(getattr(told, "cold_start", False)),
        "arguments": [str(p) for p in _parameters(found)] if inspect.isclass(found) else [],
    }


def _parameters(found: Any) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(found, eval_str=True).parameters.values()
    except Exception:  # annotations that cannot be evaluated are shown as they are written
        return inspect.signature(found).parameters.values()


def _flowing(text: str) -> str:
    """A docstring with its lines joined to paragraphs, but for those that are indented or list something."""
    lines: list[str] = []
    for line in text.splitlines():
        if (
            line.strip()
            and lines
            and lines[-1].strip()
            and not lines[-1].endswith(":")
            and not re.match(r"\s+\w+(, \w+)*:|\s*[-*|]", line)
        ):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines)


def _strategy_page(action: str, name: str, json: bool) -> None:
    if action != "show":
        raise InputError(Fault("beatrandom strategies", "nothing, or: show NAME", f"{action} {name}"))
    facts = strategy_facts(name)
    if json:
        print_json(facts)
        return
    console.print(f"{name}\n", style="bold", markup=False)
    console.print(_flowing(facts["about"]), markup=False)
    console.print(
        f"\nPaper: {facts['paper'] or '-'}\nNeeds: {', '.join(facts['needs']) or 'nothing'}\nCost:  {facts['cost']}",
        markup=False,
    )
    console.print(f"Starts without labels: {'yes' if facts['cold_start'] else 'no'}", markup=False)
    if facts["arguments"]:
        first = facts["arguments"][0].split(":")[0].split("=")[0].strip("* ")
        console.print(
            f"Arguments: {', '.join(facts['arguments'])}\n  in a study file: args = {{ {first} = … }}", markup=False
        )


def regimes(json: bool) -> None:
    """See `beatrandom regimes --help`."""
    every = [load_preset(name) for name in preset_names()]
    if json:
        print_json({f"{p.data.name} / {p.regime.name} ({p.name})": p.regime.model_dump(mode="json") for p in every})
        return
    rows = [(p.name, f"{_pretraining(p.regime)}{p.regime.method}: {_recipe(p.regime)}") for p in every]
    console.print(table("Training regimes", ["preset", "what every round does"], rows))
    console.print("Every value with its source: beatrandom protocols show NAME")


def _pretraining(regime: Regime) -> str:
    if regime.pretraining is None:
        return ""
    own = regime.pretraining.self_supervised
    start = f"from {own.method}, {own.epochs} epochs on the pool, " if own else "from given weights, "
    return f"{start}{regime.pretraining.then}, "


def _recipe(regime: Regime) -> str:
    a = regime.augmentation
    length = f"{regime.steps} steps" if regime.steps else f"{regime.epochs} epochs"
    if regime.epoch_at_least:
        length += f" of {regime.epoch_at_least}+ images"
    if regime.stop_at:
        length = f"until {regime.stop_at:.0%} are learned, at most {length}"
    views = {
        "flip": a.flip,
        f"shift ±{a.shift}": a.shift,
        "RandAugment": a.rand_augment,
        f"cutout {a.cutout}": a.cutout,
        "zoom": a.zoom,
        f"crop {a.crop}": a.crop,
        f"colour ±{a.colour:g}": a.colour,
    }
    augmented = ", ".join(name for name, on in views.items() if on)
    rate = f"{regime.optimizer.name} {regime.optimizer.lr:g}, {regime.optimizer.schedule}"
    last = "" if regime.selection == "last" else f"; {regime.selection} weights"
    warm = "; warm start" if regime.start == "warm" else ""
    return f"{length}, batch {regime.batch_size}; {rate}; {augmented or 'no'} augmentation{last}{warm}{_tuned(regime)}"


def _tuned(regime: Regime) -> str:
    if regime.tuning is None:
        return ""
    when = {"starting-set": "on the starting set", "every-round": "in every round"}[regime.tuning.policy]
    return f"; {', '.join(regime.tuning.space)} tuned by {regime.tuning.trials} trials {when}"


def datasets(data_root: Path | None, json: bool) -> None:
    """See `beatrandom datasets --help`."""
    from runners.datasets import CARDS

    facts = [_dataset_facts(card, data_root) for card in CARDS.values()]
    if json:
        print_json(facts)
        return
    title = f"Data sets (--data-root {data_root or os.environ.get(DATA_VARIABLE) or 'not given'})"
    console.print(table(title, ["name", "what it is, whether it is here, where to get it"], _about(facts)))
    console.print(
        "Files were looked for, not read: what is in them is checked against the card by the run that reads them."
    )


def _dataset_facts(card: Card, data_root: Path | None) -> dict[str, Any]:
    """What the card says, and whether the files are there; nothing of them is read."""
    from runners.data import located
    from runners.datasets.registry import OWN

    state, place = "found", None
    if card.name in OWN:
        state = "yours: data = { name = …, path = … }"
    else:
        try:
            place = located(card.name, data_root)
        except InputError as error:
            found = error.faults[0].found
            state = "not found" if found.endswith(NOTHING) else found
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
            for key, what in (("train", "to train on"), ("test", "to test on"), ("classes", "classes"))
            if f[key]
        ]
        size = [f"{f['shape'][0]}×{f['shape'][1]}"] if f["shape"] else []
        where = [f"here: {f['place'] or f['from']}"] if f["state"] == "found" else [f"{f['state']}; {f['from']}"]
        if f["state"] != "found":
            where += ["what is looked for:", *(f"  {line}" for line in f["looked_for"])]
        said = [f["what"], ", ".join([*counts, *size]), *where]
        yield f["name"], "\n".join(line for line in said if line) + "\n"


def _wants_page(verb: str, action: str | None, name: str | None, known: list[str]) -> bool:
    if action is None:
        return False
    if action != "show" or name is None:
        raise InputError(
            Fault(
                f"beatrandom {verb}",
                f"nothing, or: show NAME, with NAME one of {', '.join(known)}",
                f"{action} {name or ''}".strip(),
            )
        )
    if name not in known:
        raise InputError(unknown_name(f"{verb} show", name, known))
    return True

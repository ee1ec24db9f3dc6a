"""`strategies`: the query strategies, and one page per strategy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from protocol.errors import Fault, InputError
from protocol.spec.study import StrategySpec
from runners.confine.declared import Facts
from runners.confine.opening import facts, is_own
from runners.strategies.resolve import factory, known_names, user_source
from runners.terminal.console import console, print_json, table
from runners.verbs.browse.words import page_requested


def strategies(action: str | None, name: str | None, json: bool) -> None:
    """See `beatrandom strategies --help`."""
    if (action is not None and ":" in str(name)) or page_requested("strategies", action, name, known_names()):
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
    console.print(table("Query strategies", ["name", "paper", "needs", "cost per query", "works without labels"], rows))
    console.print(
        "u unlabelled, l labelled, n queried, k classes, d embedding width, s dropout draws, m ensemble members. "
        "Your own: beatrandom run study.toml --strategy my_file.py:MyStrategy "
        "(or package.module:Name, or skactiveml:Name)"
    )


def _facts_or_fault(name: str) -> dict[str, Any]:
    """Return a strategy's facts, or why it cannot be used, so that one cannot hide all others."""
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
    """Return the facts of a registered, installed or user's own strategy.

    Raises:
        InputError: unknown name, or a file or module that cannot be imported.
    """
    spec = StrategySpec(name=name)
    if is_own(spec):
        told = facts(spec, user_source(spec, Path()))
    else:
        builder = factory(spec, None)
        told = Facts.of(builder, builder)
    return {"name": name, **told.model_dump(mode="json")}


def _flowing(text: str) -> str:
    """Join the lines of a docstring to paragraphs, except indented lines and lists."""
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
    console.print(f"Works without labels: {'yes' if facts['cold_start'] else 'no'}", markup=False)
    if facts["arguments"]:
        first = facts["arguments"][0].split(":")[0].split("=")[0].strip("* ")
        console.print(
            f"Arguments: {', '.join(facts['arguments'])}\n  in a study file: args = {{ {first} = … }}", markup=False
        )

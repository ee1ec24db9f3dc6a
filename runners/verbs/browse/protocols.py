"""`protocols` and `regimes`: the built-in protocols and their training recipes."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from protocol.spec.protocol import Protocol
from protocol.spec.recipe import Regime
from protocol.spec.toml_files import load_preset, preset_names
from runners.terminal.console import console, print_json, table
from runners.verbs.browse.words import page_requested


def protocols(action: str | None, name: str | None, json: bool) -> None:
    """See `beatrandom protocols --help`."""
    if page_requested("protocols", action, name, preset_names()):
        _protocol_page(load_preset(str(name)), json)
        return
    every = [load_preset(n) for n in preset_names()]
    if json:
        print_json([{"name": p.name, "title": p.title, "fingerprint": p.fingerprint} for p in every])
        return
    console.print(table("Protocols", ["name", "data, model and budgets"], [(p.name, _in_short(p)) for p in every]))
    console.print("To see each value with its source: beatrandom protocols show NAME")


def _in_short(p: Protocol) -> str:
    kept = f"; {p.splits.validation_size:,} for validation" if p.splits.validation_size else ""
    budgets = f"{p.budgets[0]:,} → {p.budgets[-1]:,} {p.currency}, {len(p.budgets)} rounds{kept}"
    return f"{p.data.name}, {p.model.name}\n{budgets}"


def _protocol_page(p: Protocol, json: bool) -> None:
    if json:
        print_json({"fingerprint": p.fingerprint, **p.model_dump(mode="json")})
        return
    values = _leaves(p.fingerprint_content())
    rows = [(path, value, _mark(p, path)) for path, value in values]
    console.print(Text.assemble((p.name, "bold"), f": {p.title}\nSource: {p.source}\nFingerprint: {p.fingerprint}"))
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


def regimes(json: bool) -> None:
    """See `beatrandom regimes --help`."""
    every = [load_preset(name) for name in preset_names()]
    if json:
        print_json({f"{p.data.name} / {p.regime.name} ({p.name})": p.regime.model_dump(mode="json") for p in every})
        return
    rows = [(p.name, f"{_pretraining(p.regime)}{p.regime.method}: {_recipe(p.regime)}") for p in every]
    console.print(table("Training regimes", ["preset", "training of every round"], rows))
    console.print("To see each value with its source: beatrandom protocols show NAME")


def _pretraining(regime: Regime) -> str:
    if regime.pretraining is None:
        return ""
    own = regime.pretraining.self_supervised
    start = f"from {own.method}, {own.epochs} epochs on the pool, " if own else "from given weights, "
    return f"{start}{regime.pretraining.then}, "


def _recipe(regime: Regime) -> str:
    if solver := regime.solver:
        weighted = ", classes weighted equally" if regime.imbalance == "weighted-loss" else ""
        return f"solved to a gradient of {solver.tolerance:g}, L2 {solver.l2:g}{weighted}{_tuned(regime)}"
    a, rule = regime.augmentation, regime.step_optimizer
    length = f"{regime.steps} steps" if regime.steps else f"{regime.epochs} epochs"
    if regime.epoch_at_least:
        length += f" of {regime.epoch_at_least}+ images"
    if regime.stop_at:
        length = f"until {regime.stop_at:.0%} training accuracy, at most {length}"
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
    rate = f"{rule.name} {rule.lr:g}, {rule.schedule}"
    last = "" if regime.selection == "last" else f"; {regime.selection} weights"
    warm = "; warm start" if regime.start == "warm" else ""
    return f"{length}, batch {regime.batch_size}; {rate}; {augmented or 'no'} augmentation{last}{warm}{_tuned(regime)}"


def _tuned(regime: Regime) -> str:
    if regime.tuning is None:
        return ""
    when = {"starting-set": "on the starting set", "every-round": "in every round"}[regime.tuning.policy]
    return f"; {', '.join(regime.tuning.space)} tuned by {regime.tuning.trials} trials {when}"

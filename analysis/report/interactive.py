"""Curves to hover over, without a network: about 120 lines of script over data of a few kB (plotly.js would be 4.5 MB)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import pandas as pd

from analysis.figures.figure import FigureInputs
from analysis.figures.layout import select
from analysis.figures.verdict.learning_curves import learning_frame
from analysis.formatting import numbers

LOOK_DASHES: Final = 2.0
"""Points of the print figures' dashes to pixels."""


def curves(inputs: FigureInputs) -> str:
    """Markup, data and script; nothing where no curve has two budgets."""
    panels = _panels(inputs)
    if not panels:
        return ""
    looks = {
        name: {
            "colour": styles.colour,
            "dash": " ".join(f"{LOOK_DASHES * part:g}" for part in styles.dash[1]) or "none",
        }
        for name, styles in inputs.styles.items()
    }
    data = {"panels": panels, "strategies": list(inputs.curves.strategies), "looks": looks}
    content = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    script = files("analysis.report").joinpath("curves.js").read_text(encoding="utf-8")
    return f'<div id="curve-box" hidden></div><script type="application/json" id="curve-data">{content}</script><script>{script}</script>'


def _panels(inputs: FigureInputs) -> list[dict[str, Any]]:
    found = []
    frame = learning_frame(inputs.curves)
    band = inputs.details.band.to_frame().rename(columns={"difference": "mean"})
    for protocol in inputs.curves.protocols:
        metric = inputs.curves.metrics[protocol].replace("_", " ")
        level = _panel(select(frame, protocol=protocol), protocol, metric, "pointwise 95 % t interval", signed=False)
        apart = _panel(
            select(band, protocol=protocol),
            f"{protocol}: difference",
            f"{metric} difference to {inputs.curves.baseline}",
            "95 % simultaneous band",
            signed=True,
        )
        found += [
            p | {"zone": zone}
            for p, zone in ((level, None), (apart, inputs.curves.plan.delta))
            if p and len(p["budgets"]) > 1
        ]
    return sorted(found, key=lambda p: p["zone"] is not None)


def _panel(frame: pd.DataFrame, title: str, axis: str, band: str, *, signed: bool) -> dict[str, Any]:
    if frame.empty:
        return {}
    budgets = sorted(int(b) for b in frame["budget"].unique())
    say = numbers.signed if signed else numbers.plain
    lines: Mapping[str, Any] = {
        str(name): _line(rows.sort_values("budget"), say) for name, rows in frame.groupby("strategy", sort=False)
    }
    return {"title": title, "axis": axis, "band": band, "budgets": budgets, "lines": lines}


def _line(rows: pd.DataFrame, say: Any) -> dict[str, Any]:
    """Numbers to draw, and the very text that tables show."""
    sides = {side: [_number(v) for v in rows[side]] for side in ("mean", "low", "high")}
    spans = [numbers.span(low, high, say) for low, high in zip(rows["low"], rows["high"], strict=True)]
    return {"n": int(rows["n"].iloc[0]), **sides, "text": [say(float(v)) for v in rows["mean"]], "interval": spans}


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None

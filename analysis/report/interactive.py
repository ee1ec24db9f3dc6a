"""Interactive curves without a network: about 120 lines of script and a few kB of data.

plotly.js would be 4.5 MB.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import pandas as pd

from analysis.figures.figure import FigureInputs
from analysis.figures.layout import select
from analysis.figures.verdict.learning_curves import learning_frame
from analysis.formatting import numbers

SCRIPT: Final = files("analysis.report").joinpath("curves.js").read_text(encoding="utf-8")
SCRIPT_HASH: Final = f"sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}"
"""As content security policies name the script."""
DASH_SCALE: Final = 2.0
"""Pixels per point of the printed figures' dashes."""


def curves(inputs: FigureInputs) -> str:
    """Return markup, data and script, or nothing if no curve has two budgets."""
    panels = _panels(inputs)
    if not panels:
        return ""
    looks = {
        name: {"colour": style.colour, "dash": " ".join(f"{DASH_SCALE * part:g}" for part in style.dash[1]) or "none"}
        for name, style in inputs.styles.items()
    }
    data = {"panels": panels, "strategies": list(inputs.curves.strategies), "looks": looks}
    # "<" is escaped, so that no name can end the script element
    content = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    element = f'<script type="application/json" id="curve-data">{content}</script>'
    return f'<div id="curve-box" hidden></div>{element}<script>{SCRIPT}</script>'


def _panels(inputs: FigureInputs) -> list[dict[str, Any]]:
    """Return the learning curves of all protocols, then their differences to the baseline."""
    levels, differences = [], []
    frame = learning_frame(inputs.curves)
    band = inputs.details.band.to_frame().rename(columns={"difference": "mean"})
    for protocol in inputs.curves.protocols:
        metric = inputs.curves.metrics[protocol].replace("_", " ")
        rows = select(frame, protocol=protocol)
        panel = _panel(rows, protocol, metric, "pointwise 95 % t interval", numbers.plain)
        levels.append(panel | {"zone": None})
        rows, axis = select(band, protocol=protocol), f"{metric} difference to {inputs.curves.baseline}"
        panel = _panel(rows, f"{protocol}: difference", axis, "95 % simultaneous band", numbers.signed)
        differences.append(panel | {"zone": inputs.curves.plan.delta})
    return [panel for panel in levels + differences if len(panel["budgets"]) > 1]


def _panel(
    frame: pd.DataFrame, title: str, axis: str, band: str, number_text: Callable[[float], str]
) -> dict[str, Any]:
    budgets = sorted(int(b) for b in frame["budget"].unique())
    lines = {
        str(name): _line(rows.sort_values("budget"), number_text)
        for name, rows in frame.groupby("strategy", sort=False)
    }
    return {"title": title, "axis": axis, "band": band, "budgets": budgets, "lines": lines}


def _line(rows: pd.DataFrame, number_text: Callable[[float], str]) -> dict[str, Any]:
    """Return the numbers to draw, and their texts as tables show them."""
    sides = {side: [_number(v) for v in rows[side]] for side in ("mean", "low", "high")}
    spans = [numbers.span(low, high, number_text) for low, high in zip(rows["low"], rows["high"], strict=True)]
    texts = [number_text(float(v)) for v in rows["mean"]]
    return {"n": int(rows["n"].iloc[0]), **sides, "text": texts, "interval": spans}


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None

"""Measure error rates, power and coverage, and write the table: `uv run python -m tests.calibration --write`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from protocol.folders import write_atomically
from tests.calibration.measure import NS, Cell, measure
from tests.calibration.procedures import COVERAGE, FAMILY, POWER, TYPE_I, Procedure

SECTIONS: tuple[tuple[str, Sequence[Procedure], str], ...] = (
    ("Type-I error of single tests", TYPE_I, "nominal .05, no more"),
    ("Family-wise error of the verdicts, 5 strategies x 2 data sets", FAMILY, "nominal .05, no more"),
    ("Power", POWER, "simulated / formula"),
    ("Coverage of intervals and bands", COVERAGE, "nominal .95, no less"),
)
PAGE = Path(__file__).resolve().parents[2] / "analysis" / "CALIBRATION.md"


def main() -> None:
    """Print the page; with --write, keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=4000, help="simulated studies a cell; costly procedures take a share of it")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--sections", type=int, nargs="*", default=list(range(len(SECTIONS))), help="which of the page, from 0")
    options = parser.parse_args()
    lines = [
        "# Calibration, as measured",
        "",
        f"`uv run python -m tests.calibration --resamples {options.resamples} --write` (some minutes; fixed seed).",
        "Simulated curves: AR(.8) along ten uneven budgets, normal, half of the variance shared by the seed. A cell is a rate ± its",
        "Monte Carlo standard error. **Bold**: misses the nominal rate by more than three standard errors. *Default*: used unless",
        "told otherwise. Exact tests on 3 and 5 pairs cannot reject at .05 at all, which their zeros show.",
    ]
    for title, procedures, nominal in (SECTIONS[i] for i in options.sections):
        lines += ["", f"## {title}", "", f"| {nominal} | {' | '.join(f'n = {n}' for n in NS)} |", f"|---|{'---|' * len(NS)}"]
        for procedure in procedures:
            cells = [measure(procedure, n, options.resamples, np.random.default_rng([2006, n])) for n in NS]
            lines.append(
                f"| {procedure.name}{', *default*' if procedure.default else ''} | {' | '.join(_cell(c, procedure) for c in cells)} |"
            )
            print(lines[-1], flush=True)
    page = "\n".join(lines) + "\n"
    if options.write:
        write_atomically(PAGE, page.encode())


def _cell(cell: Cell, procedure: Procedure) -> str:
    beside = f" / {cell.nominal:.3f}" if procedure in POWER else ""
    text = f"{cell.rate:.3f} ± {cell.standard_error:.3f}{beside}"
    return f"**{text}**" if cell.misses else text


if __name__ == "__main__":
    main()

"""Measure error rates, power and coverage: `uv run python -m tests.calibration --write`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from protocol.record.layout import write_atomically
from tests.calibration.measure import NS, Cell, measure
from tests.calibration.procedures import COVERAGE, FAMILY, POWER, TYPE_I, Procedure
from tests.calibration.real import section
from tests.calibration.several import BOOTSTRAP, SEVERAL
from tests.calibration.similar import bands, looks

SECTIONS: tuple[tuple[str, Sequence[Procedure], str], ...] = (
    ("Type-I error of single tests", TYPE_I, "nominal .05, no more"),
    ("Family-wise error of the verdicts, 5 strategies x 2 data sets", FAMILY, "nominal .05, no more"),
    ("Power", POWER, "simulated / formula"),
    ("Coverage of intervals and bands", COVERAGE, "nominal .95, no less"),
    ("Error rates over n data sets, 6 strategies", SEVERAL, "nominal .05, no more"),
    ("Coverage of bootstrap intervals over n seeds", BOOTSTRAP, "nominal .95, no less"),
)
PAGE = Path(__file__).resolve().parents[2] / "analysis" / "CALIBRATION.md"


def main() -> None:
    """Print the page; with --write, also write it to its file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--resamples", type=int, default=3000, help="simulated studies per cell; costly procedures use a share of them"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument(
        "--sections",
        type=int,
        nargs="*",
        default=list(range(len(SECTIONS))),
        help="numbers of the sections to measure, from 0",
    )
    parser.add_argument(
        "--real", type=int, default=300, help="simulated studies per population of real differences; 0: none"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes for the real differences")
    options = parser.parse_args()
    begun = time.process_time()
    lines = [
        "# Calibration, as measured",
        "",
        f"`uv run python -m tests.calibration --resamples {options.resamples} --real {options.real} --write`, in one run",
        "(fixed seeds; costly procedures use a share of the resamples).",
        "Most simulated curves are normal, AR(.8) along ten unevenly spaced budgets, and share half of their variance",
        "with the baseline's curve of the same seed.",
        "",
        "A cell is a rate ± its Monte Carlo standard error. **Bold**: the rate misses the nominal one by more than",
        "three standard errors. *Default*: used unless another method is requested. *Tried*: not used. *Not given*: the",
        "project reports no interval for so few seeds. Exact tests cannot reject at .05 with 3 or 5 pairs, hence their",
        "zeros.",
    ]
    if options.real:
        lines += ["", *section(options.real, options.jobs)]
        lines += ["", *bands(options.resamples // 2), "", *looks(15 * options.resamples)]
        print("\n".join(lines), flush=True)
    for place in options.sections:
        title, procedures, nominal = SECTIONS[place]
        lines += ["", *_section(title, procedures, nominal, options.resamples)]
    print(f"{(time.process_time() - begun) / 60:.0f} minutes of processor in this process", flush=True)
    if options.write:
        write_atomically(PAGE, ("\n".join(lines) + "\n").encode())


def _section(title: str, procedures: Sequence[Procedure], nominal: str, resamples: int) -> list[str]:
    head = f"| {nominal} | {' | '.join(f'n = {n}' for n in NS)} |"
    lines = [f"## {title}", "", head, f"|---|{'---|' * len(NS)}"]
    for procedure in procedures:
        cells = [_measured(procedure, n, resamples) for n in NS]
        lines.append(f"| {procedure.name}{', *default*' if procedure.default else ''} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def _measured(procedure: Procedure, n: int, resamples: int) -> str:
    if n < procedure.least:
        return "not given"
    return _cell(measure(procedure, n, resamples, np.random.default_rng([2006, n])), procedure)


def _cell(cell: Cell, procedure: Procedure) -> str:
    nominal = f" / {cell.nominal:.3f}" if procedure in POWER else ""
    text = f"{cell.rate:.3f} ± {cell.standard_error:.3f}{nominal}"
    return f"**{text}**" if cell.misses else text


if __name__ == "__main__":
    main()

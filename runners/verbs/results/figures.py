"""`figures`: all figures and tables, as files for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.figures import FIGURES, FORMATS, VENUES, FigureInputs, write_figures
from analysis.verdict.decide import compare
from analysis.verdict.score_table import scores
from analysis.verdict.write_tables import write_tables
from protocol.errors import InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.seal.archive import open_study
from runners.purchases.load import load_purchases
from runners.terminal.console import console
from runners.verbs.results.compare_options import CompareOptions, one_source, stem

PURCHASE_FIGURES = frozenset({"class-balance", "class-iou", "contact-sheet", "changed-predictions"})
"""Figures that need the data set."""


def figures(
    *,
    sources: Sequence[Path],
    out: Path | None,
    style: str,
    only: list[str] | None,
    format: str,
    data_root: Path | None,
    **options: Any,
) -> None:
    """See `beatrandom figures --help`; `options` are fields of `CompareOptions`."""
    chosen, names = CompareOptions.of(**options), tuple(only or ())
    formats = tuple(part.strip() for part in format.split(","))
    _refuse_unknown(style, names, formats)
    chosen.refuse_faults()
    source, *others = one_source(sources, chosen)
    if out is None:
        StudyFolder(source).refuse_links()
    target = out or (StudyFolder(source).analysis if chosen.is_study(source) else Path(f"beatrandom-{stem(source)}"))
    with console.status("reading the curves") as line, open_study(source) as folder:
        inputs = _inputs((folder, *others), chosen, names, data_root)
        inputs = replace(inputs, venue=VENUES[style])
        not_drawn = []
        wanted = [name for name in FIGURES if name in names or not names]
        line.update(f"drawing {wanted[0]}")
        for done, (name, written) in enumerate(write_figures(inputs, target, names, formats), 1):
            line.update(f"drawing {wanted[min(done, len(wanted) - 1)]} ({done} of {len(wanted)} done)")
            if isinstance(written, str):
                not_drawn.append(f"{name}: not drawn: {written}")
            else:
                _print_paths(written)
        if not names:
            _print_paths(write_tables(inputs.comparison, target, scores(inputs.curves, inputs.comparison)))
    for reason in not_drawn:
        console.print(reason, markup=False, soft_wrap=True)


def _refuse_unknown(style: str, only: tuple[str, ...], formats: tuple[str, ...]) -> None:
    faults = [unknown_name("--style", style, list(VENUES))] if style not in VENUES else []
    faults += [unknown_name("--only", name, list(FIGURES)) for name in only if name not in FIGURES]
    faults += [unknown_name("--format", form, list(FORMATS)) for form in formats if form not in FORMATS]
    if faults:
        raise InputError(faults)


def _inputs(
    sources: tuple[Path, ...], options: CompareOptions, only: tuple[str, ...], data_root: Path | None
) -> FigureInputs:
    curves = options.curves(*sources)
    if curves.bought and (not only or PURCHASE_FIGURES & set(only)):
        return FigureInputs(curves, compare(curves), load_purchases(sources[0], data_root))
    return FigureInputs(curves, compare(curves))


def _print_paths(paths: Iterable[Path]) -> None:
    console.print("\n".join(map(str, paths)), markup=False, soft_wrap=True)

"""`card`: one page per protocol."""

from __future__ import annotations

from pathlib import Path

from analysis.figures import FORMATS, FigureInputs, result_card, save
from analysis.loading.records import load_study
from analysis.verdict.decide import compare
from protocol.errors import InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.seal.archive import open_study
from runners.terminal.console import console


def card(source: Path, protocol: str | None, out: Path | None, format: str) -> None:
    """See `beatrandom card --help`."""
    with open_study(source) as folder:
        study, curves = StudyFolder(folder).read_plan(), load_study(folder)
    names = [p.name for p in study.protocols]
    faults = [unknown_name("--protocol", protocol, names)] if protocol is not None and protocol not in names else []
    faults += [unknown_name("--format", format, list(FORMATS))] if format not in FORMATS else []
    if faults:
        raise InputError(faults)
    if out is None:
        StudyFolder(source).refuse_links()
    target = out or (StudyFolder(source).analysis if source.is_dir() else Path(f"beatrandom-{study.name}"))
    inputs = FigureInputs(curves, compare(curves))
    for one in study.protocols:
        if protocol in (None, one.name):
            drawn = result_card(inputs, study, one)
            paths = save(drawn.figure, target / drawn.name, (format,))
            console.print("\n".join(map(str, paths)), markup=False, soft_wrap=True)

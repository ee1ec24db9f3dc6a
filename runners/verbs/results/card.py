"""`card`: one page a protocol."""

from __future__ import annotations

from pathlib import Path

from analysis.figures import FORMATS, FigureInputs, result_card, save
from analysis.loading.records import load_study
from analysis.verdict.decide import compare
from protocol.errors import InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.seal.archive import open_study
from runners.verbs.shared.console import console


def cards(source: Path, protocol: str | None, out: Path | None, form: str) -> None:
    """See `beatrandom card --help`."""
    with open_study(source) as place:
        study, curves = StudyFolder(place).read_plan(), load_study(place)
    names = [p.name for p in study.protocols]
    faults = [unknown_name("--protocol", protocol, names)] if protocol is not None and protocol not in names else []
    faults += [unknown_name("--format", form, list(FORMATS))] if form not in FORMATS else []
    if faults:
        raise InputError(faults)
    target = out or (StudyFolder(source).analysis if source.is_dir() else Path(f"beatrandom-{study.name}"))
    inputs = FigureInputs(curves, compare(curves))
    for one in study.protocols:
        if protocol in (None, one.name):
            made = result_card(inputs, study, one)
            console.print(
                "\n".join(map(str, save(made.figure, target / made.name, (form,)))), markup=False, soft_wrap=True
            )

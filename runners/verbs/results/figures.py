"""`figures`: everything there is to look at, as files for a paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analysis.figures import FIGURES, FORMATS, VENUES, FigureInputs, write_figures
from analysis.secondary.purchases import Purchases
from analysis.verdict.decide import compare
from analysis.verdict.score_table import scores
from analysis.verdict.write_tables import write_tables
from protocol.errors import InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.seal.archive import open_study
from runners.verbs.results.asked import Asked
from runners.verbs.shared.console import console

__all__ = ["Asked", "Look", "figures"]


@dataclass(frozen=True)
class Look:
    """What was asked for: a venue's style, figures by name (all, if none), formats."""

    style: str
    only: tuple[str, ...]
    formats: tuple[str, ...]

    def check(self) -> None:
        """Raises InputError for every unknown name at once."""
        faults = [unknown_name("--style", self.style, list(VENUES))] if self.style not in VENUES else []
        faults += [unknown_name("--only", name, list(FIGURES)) for name in self.only if name not in FIGURES]
        faults += [unknown_name("--format", form, list(FORMATS)) for form in self.formats if form not in FORMATS]
        if faults:
            raise InputError(faults)


def figures(source: Path, asked: Asked, look: Look, out: Path | None, data_root: Path | None) -> None:
    """See `beatrandom figures --help`."""
    look.check()
    target = out or (
        StudyFolder(source).analysis if source.is_dir() else Path(f"beatrandom-{source.stem.removesuffix('.tar')}")
    )
    with console.status("reading the curves") as shown:
        with open_study(source) as place:  # a packed study is read as it is
            inputs = _inputs(place, asked, look, data_root)
        left_out = []
        wanted = [name for name in FIGURES if name in look.only or not look.only]
        shown.update(f"drawing {wanted[0]}")
        for done, (name, made) in enumerate(write_figures(inputs, target, look.only, look.formats), 1):
            shown.update(f"drawing {wanted[min(done, len(wanted) - 1)]} ({done} of {len(wanted)} done)")
            if isinstance(made, str):
                left_out.append(f"{name}: not drawn: {made}")
            else:
                console.print("\n".join(map(str, made)), markup=False, soft_wrap=True)
        if not look.only:
            board = scores(inputs.curves, inputs.comparison)
            console.print(
                "\n".join(map(str, write_tables(inputs.comparison, target, board))), markup=False, soft_wrap=True
            )
    for line in left_out:
        console.print(line, markup=False, soft_wrap=True)


def _inputs(source: Path, asked: Asked, look: Look, data_root: Path | None) -> FigureInputs:
    curves = asked.curves(source)
    bought = Purchases()
    if curves.bought and (
        not look.only or {"class-balance", "class-iou", "contact-sheet", "changed-predictions"} & set(look.only)
    ):
        from runners.verbs.results.classes import purchases_of

        bought = purchases_of(StudyFolder(source), data_root)
    return FigureInputs(curves, compare(curves), bought, VENUES[look.style])

"""The parts of the report, each a piece of HTML that a notebook cell shows. Numbers come from the verdicts alone."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis import tables, wording
from analysis.figures import FIGURES, Material
from analysis.figures.style import rendered
from analysis.load import Curves, load_study
from analysis.power import plan_summary
from analysis.verdict import Comparison, compare
from protocol.folders import StudyFolder
from protocol.spec import Study


@dataclass(frozen=True)
class Html:
    """Shown as HTML by Jupyter."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


class Page:
    """The report of one study folder, part by part. Raises InputError if it is not a study folder."""

    def __init__(self, folder: Path, *, toy: bool = False) -> None:
        self.toy = toy
        self.study: Study = StudyFolder(Path(folder)).read_plan()
        self.curves: Curves = load_study(Path(folder))

    @cached_property
    def comparison(self) -> Comparison:
        return compare(self.curves)

    def title(self) -> Html:
        """The question, and a warning if the study is only a rehearsal."""
        head = f"<h1>Which strategies beat {_text(self.curves.baseline)}? <small>{_text(self.study.name)}</small></h1>"
        if not self.toy:
            return Html(head)
        return Html(
            f"{head}<p class='warning'><strong>Toy size:</strong> this study shows how the tool works; its verdicts mean little.</p>"
        )

    def answer(self) -> Html:
        """The answer in words: headline, then the strategies behind each kind of answer, protocol by protocol."""
        lines = [f"<p class='headline'>{_text(self.comparison.headline())}</p>"]
        for protocol in self.curves.protocols:
            own = [v for v in self.comparison.verdicts if v.protocol == protocol]
            says = []
            for kind, words in _SAYS.items():
                names = [v.strategy + (" (negligibly)" if v.negligible else "") for v in own if v.answer == kind]
                if names:
                    delta = f" within ±{self.curves.plan.delta:g}" if kind == "equivalent" else ""
                    says.append(f"{words}{delta}: <strong>{_text(', '.join(names))}</strong>")
            lines.append(f"<p>Under <em>{_text(protocol)}</em>: {'; '.join(says) or 'nothing to compare'}.</p>")
        short = self.comparison.planned - self.comparison.complete
        if short:
            lines.append(
                f"<p class='warning'>{short} of {self.comparison.planned} planned runs are not complete and not analysed; "
                "see <a href='#runs'>Runs</a>.</p>"
            )
        return Html("".join(lines))

    def table(self) -> Html:
        """The verdict table."""
        caption = (
            f"Difference to {self.curves.baseline} in area under the budget curve (AUBC), paired by seed; 95 % t interval; "
            f"{wording.TESTS[self.curves.plan.test]}, {wording.CORRECTIONS[self.curves.plan.correction]} over {self.comparison.tests} tests."
        )
        return _table(tables.formatted(self.comparison.verdicts), caption)

    def picture(self) -> Html:
        """All verdicts as a forest plot."""
        return self._figure("verdicts")

    def learning(self) -> Html:
        """Learning curves."""
        return self._figure("learning-curves")

    def differences(self) -> Html:
        """Differences to random along the budget."""
        return self._figure("difference-to-random")

    def _figure(self, name: str) -> Html:
        """The figure as SVG inside a data URI: text stays sharp and nothing is fetched."""
        plate = FIGURES[name](Material(self.curves, self.comparison))
        if isinstance(plate, str):
            return Html(f"<p>Not drawn: {_text(plate)}.</p>")
        data = base64.b64encode(rendered(plate.figure, "svg")).decode()
        width = round(plate.figure.get_figwidth() * 130)
        image = f"<img src='data:image/svg+xml;base64,{data}' alt='{_text(plate.alt)}' style='width:{width}px'>"
        return Html(f"<figure>{image}<figcaption>{_text(plate.caption)}</figcaption></figure>")

    def sentences(self) -> Html:
        """One sentence a verdict."""
        items = "".join(f"<li>{_text(f'{v.protocol}: {wording.sentence(v, self.comparison)}')}</li>" for v in self.comparison.verdicts)
        return Html(f"<ul>{items}</ul>")

    def method(self) -> Html:
        """Endpoint, test, family, margin, and what the plan could decide at all."""
        plan = "".join(f"<li>{_text(line)}</li>" for line in plan_summary(self.study).summary().splitlines())
        return Html(f"<p>{_text(wording.method(self.comparison))}</p><p>Known before the first run:</p><ul>{plan}</ul>")

    def protocols(self) -> Html:
        """What was fixed, per protocol."""
        rows = [
            {
                "protocol": p.name,
                "data": p.data.name,
                "budgets": ", ".join(map(str, p.budgets)),
                "validation": f"{p.splits.validation_size} ({'counted' if p.splits.validation_counted else 'not counted'})",
                "model": p.model.name,
                "regime": p.regime.name,
                "metric": p.metric,
                "fingerprint": p.fingerprint[:12],
            }
            for p in self.study.protocols
        ]
        return _table(pd.DataFrame(rows), f"Study {self.study.name}, fingerprint {self.study.fingerprint[:12]}.")

    def runs(self) -> Html:
        """How many runs are in, and which are not."""
        first, *rest = wording.runs(self.comparison).splitlines()
        items = "".join(f"<li>{_text(line.removeprefix('- '))}</li>" for line in rest)
        return Html(f"<p id='runs'>{_text(first)}</p>" + (f"<ul>{items}</ul>" if items else ""))


_SAYS = {"better": "better than random", "worse": "worse than random", "equivalent": "equivalent to random", "undecided": "undecided"}


def _text(value: str) -> str:
    return html.escape(value, quote=True)


def _table(frame: pd.DataFrame, caption: str) -> Html:
    body = frame.to_html(index=False, border=0, escape=True, classes="data").replace("<th>", "<th scope='col'>")
    marked = body.replace(">", f"><caption>{_text(caption)}</caption>", 1)
    return Html(f"<div class='wide' tabindex='0' role='region' aria-label='{_text(caption)}'>{marked}</div>")

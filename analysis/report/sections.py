"""The sections of the report, each a piece of HTML; empty where there is nothing to show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from analysis.across import sentences as across_sentences
from analysis.across import tables as across_tables
from analysis.figures import FIGURES
from analysis.formatting import numbers
from analysis.formatting.rows import Rows, Table
from analysis.report import interactive
from analysis.report.html import collapsed, figure, items, paragraph, picture, table, text
from analysis.report.subject import Subject
from analysis.verdict import method, score_table, sentences, verdict_table
from analysis.verdict.comparison import Verdict
from analysis.verdict.plan import plan_summary
from protocol.safe_read import holds_file, read_bytes

ANSWERS: Final = {
    "better": "better than {0}",
    "worse": "worse than {0}",
    "equivalent": "equivalent to {0} within ±{1:g}",
    "undecided": "undecided",
}
SHORT: Final = ["protocol", "strategy", "answer", "difference", "95 % interval", "adjusted p", "seeds"]
_LARGEST_PICTURE: Final = 2**26
KINDS: Final = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".svg": "svg+xml"}
FEW: Final = 8
"""Largest number of names per answer on the first screen; the table below lists all."""
FINDINGS: Final = 50
DRAWN: Final = {"ranks", "nemenyi", "profiles", "penalties", "penalty-means", "seeds", "labels", "levers"}
"""Parts across settings whose rows are the data of figures."""


def _figures(subject: Subject, *names: str) -> str:
    """Return the named figures under their titles, or why one is missing."""
    parts = []
    for name in names:
        study_figure = FIGURES[name](subject.inputs)
        if isinstance(study_figure, str):
            parts.append(paragraph(f"No figure {name}: {study_figure}.", "note"))
        else:
            parts.append(f"<h3>{text(study_figure.title)}</h3>{figure(study_figure)}")
    return "".join(parts)


def answer(subject: Subject) -> str:
    """Return the first screen: who beats the baseline, where, by how much and how surely.

    It also names the protocol.
    """
    inputs, comparison = subject.inputs, subject.inputs.comparison
    parts = []
    if subject.toy:
        toy = "this study shows how the tool works; its verdicts mean little."
        parts.append(f'<p class="warning"><strong>Toy size:</strong> {toy}</p>')
    parts.append(paragraph(sentences.headline(comparison), "headline"))
    parts += [paragraph(line, "note") for line in comparison.read_first]
    if comparison.verdicts:
        parts.append(paragraph(sentences.measured(comparison), "note"))
    if comparison.exploratory:
        amended = "the plan was amended after the study had started"
        why = amended if comparison.amended else "no plan was fixed before the first run"
        parts.append(paragraph(f"Exploratory: {why}.", "warning"))
    parts += [_answers_under(subject, protocol) for protocol in inputs.curves.protocols]
    parts.append(paragraph(_certainty(subject)))
    short = comparison.planned - comparison.complete
    if short:
        incomplete = f"{short} of {comparison.planned} runs are incomplete and not analysed"
        parts.append(f'<p class="warning">{text(incomplete)}; see <a href="#runs">Runs</a>.</p>')
    forest = FIGURES["verdicts"](inputs)
    parts.append(paragraph(f"No figure: {forest}.", "note") if isinstance(forest, str) else figure(forest))
    return "".join(parts)


def _answers_under(subject: Subject, protocol: str) -> str:
    """Return the strategies of each answer under one protocol, largest difference first."""
    comparison = subject.inputs.comparison
    verdicts = [v for v in comparison.verdicts if v.protocol == protocol]
    verdicts.sort(key=lambda v: -abs(v.difference) if v.n else 0.0)
    parts = []
    for kind, phrase in ANSWERS.items():
        names = [_name(v) for v in verdicts if v.answer == kind]
        if len(names) > FEW:
            names = [*names[: FEW - 3], f"{names[FEW - 3]} and {len(names) - FEW + 2} more"]
        if names:
            label = phrase.format(comparison.baseline, comparison.plan.delta)
            parts.append(f"{text(label)}: <strong>{text(', '.join(names))}</strong>")
    return f"<p>Under <em>{text(protocol)}</em>: {'; '.join(parts) or 'nothing to compare'}.</p>"


def _name(verdict: Verdict) -> str:
    """Return the strategy, with its difference if it is better or worse."""
    if verdict.answer not in ("better", "worse"):
        return verdict.strategy
    return f"{verdict.strategy} ({numbers.signed(verdict.difference)}{', negligible' if verdict.negligible else ''})"


def _certainty(subject: Subject) -> str:
    inputs, plan = subject.inputs, subject.inputs.comparison.plan
    assumption = method.ASSUMES[plan.correction].format(alpha=plan.alpha)
    tests = f"Differences in {inputs.endpoint}, n = {inputs.pairs}; {inputs.tested}, {assumption}."
    if subject.compliance is not None and subject.study is not None:
        return f"{tests} Protocol: {subject.compliance.summary()}; study {subject.study.fingerprint[:12]}."
    return f"{tests} A table of curves: the protocol behind it is not known."


def verdicts(subject: Subject) -> str:
    """Return all numbers, one sentence per verdict, and how they were reached."""
    inputs, comparison = subject.inputs, subject.inputs.comparison
    caption = (
        f"Difference to {comparison.baseline} in {inputs.endpoint}; {inputs.tested}. "
        f"95 % intervals, {method.unadjusted(comparison)}"
    )
    cells = verdict_table.formatted(comparison.verdicts, comparison.unit)
    scores = score_table.scores(inputs.curves, comparison)
    parts = [
        table(cells[SHORT], caption, data=("all-verdicts", comparison.to_frame())),
        collapsed("Every number of every verdict", table(cells, f"All columns. {caption}")),
        f"<h3>Scores</h3>{table(scores.formatted(), scores.caption, data=('scores', scores.to_frame()))}",
        "<h3>In words</h3>",
        items([f"{v.protocol}: {sentences.sentence(v, comparison)}" for v in comparison.verdicts]),
        "<h3>How this was decided</h3>",
        paragraph(method.method(comparison)),
    ]
    return "".join(parts)


def curves(subject: Subject) -> str:
    """Return the curves, interactive where scripts run, and as printed."""
    return interactive.curves(subject.inputs) + _figures(subject, "learning-curves", "difference-to-random")


def protocol(subject: Subject) -> str:
    """Return what was fixed, whether it was obeyed, and what could be decided."""
    study, compliance = subject.study, subject.compliance
    if study is None or compliance is None:
        return paragraph(
            "A table of curves does not state its protocol. "
            "`beatrandom check TABLE --protocol …` lists what can be verified."
        )
    rows = [
        {
            "protocol": p.name,
            "data": compliance.data_of(p),
            "budgets": ", ".join(map(str, p.budgets)),
            "validation": f"{p.splits.validation_size} ({'counted' if p.splits.validation_counted else 'not counted'})",
            "model": p.model.name,
            "regime": p.regime.name,
            "metric": p.metric,
            "fingerprint": p.fingerprint[:12],
        }
        for p in study.protocols
    ]
    columns = ("rule", "severity", "answer", "where", "expected", "found")
    findings = [
        {column: getattr(f, column) for column in columns}
        for f in sorted(compliance.findings, key=lambda f: (f.answer != "broken", f.severity != "error"))
    ]
    parts = [
        table(pd.DataFrame(rows), f"What was fixed. Study {study.name}, fingerprint {study.fingerprint[:12]}."),
        "<h3>Compliance</h3>",
        paragraph(f"{compliance.summary()}."),
        collapsed("Rule by rule", table(pd.DataFrame(compliance.table()), "Compliance", prose=("title",))),
    ]
    if findings:
        more = f"; {len(findings) - FINDINGS} more by `beatrandom check`" if len(findings) > FINDINGS else ""
        caption, prose = f"Broken rules first{more}", ("where", "expected", "found")
        parts.append(collapsed("Findings", table(pd.DataFrame(findings[:FINDINGS]), caption, prose=prose)))
    parts += ["<h3>Known before the first run</h3>", items(plan_summary(study).summary().splitlines())]
    return "".join(parts)


def levers(subject: Subject) -> str:
    """Return the effects of regimes and strategies, or nothing if there is only one regime."""
    return _figures(subject, "levers", "interaction") if len(subject.inputs.across.regimes) > 1 else ""


def over_all(subject: Subject) -> str:
    """Return the results across data sets and regimes."""
    across = subject.inputs.across
    summary = ""
    if len(across.datasets) * len(across.regimes) > 1:
        summary = items([line.removeprefix("- ") for line in across_sentences.summary(across).splitlines()])
    names = (
        "mean-ranks",
        "penalty-matrix",
        "performance-profile",
        "probability-of-improvement",
        "ranking-stability",
    )
    parts = [(name, part) for name, part in across_tables.parts(across).items() if part.rows and name not in DRAWN]
    return summary + _figures(subject, *names) + "".join(_secondary(name, part) for name, part in parts)


def _secondary(name: str, part: Rows[Any] | Table) -> str:
    stop = "" if part.title.endswith("?") else "."
    caption = f"{part.title}{stop} Secondary: it changes no verdict."
    body = table(part.formatted(), caption, data=(name, part.to_frame()))
    return collapsed(part.title, body)


def details(subject: Subject) -> str:
    """Return secondary endpoints and other details that change no verdict."""
    names = ("labels-saved", "class-iou", "changed-predictions", "power", "calibration", "reliability")
    parts = subject.inputs.details.parts().items()
    shown = [(name, part) for name, part in parts if part.rows and name not in ("band", "query_cost")]
    return _figures(subject, *names) + "".join(_secondary(name, part) for name, part in shown)


def bought(subject: Subject) -> str:
    """Return classes and overlap of the purchases, and the pictures in the study folder."""
    if not subject.inputs.curves.bought and not subject.pictures:
        return ""
    pictures = []
    for path in subject.pictures:
        name, words = f"{path.parent.name}, {path.stem}", path.with_suffix(".txt")
        caption = (
            _read(words).decode(errors="replace").strip()
            if holds_file(words, path.parents[2])
            else f"What was bought: {name}."
        )
        kind, alt = KINDS[path.suffix.lower()], f"Images that were bought: {name}"
        pictures.append(picture(kind, _read(path), alt, caption))
    shown = f"<h3>Images that were bought</h3>{''.join(pictures)}" if pictures else ""
    return _figures(subject, "contact-sheet", "class-balance", "overlap") + shown


def _read(picture: Path) -> bytes:
    """Read `pictures/<protocol>/<strategy>.*`; no link in the study folder is followed."""
    return read_bytes(picture, _LARGEST_PICTURE, picture.parents[2])


def costs(subject: Subject) -> str:
    """Return seconds and memory of queries."""
    part = subject.inputs.details.query_cost
    if not part.rows:
        return ""
    cells = table(part.formatted(), part.title, data=("query-cost-table", part.to_frame()))
    return _figures(subject, "query-cost") + cells


def environment(subject: Subject) -> str:
    """Return versions, commit and device of the runs, and the number of runs in each environment."""
    environments = sorted(subject.inputs.curves.environments.items(), key=lambda item: -item[1])
    if not environments:
        return ""
    columns = [{**_flatten(json.loads(recorded)), "runs": str(runs)} for recorded, runs in environments]
    names = list(dict.fromkeys(name for column in columns for name in column))
    frame = pd.DataFrame(
        {"what": names}
        | {f"environment {i}": [c.get(n, numbers.NOTHING) for n in names] for i, c in enumerate(columns, 1)}
    )
    count = "one environment" if len(columns) == 1 else f"{len(columns)} environments"
    all_runs = "All runs" if len(columns) == 1 else "Runs"
    cells = table(frame, "As recorded by the runs", prose=list(frame.columns[1:]))
    return paragraph(f"{all_runs} were made in {count}.") + cells


def _flatten(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in values.items():
        out |= _flatten(value, f"{before}{name} ") if isinstance(value, Mapping) else {f"{before}{name}": str(value)}
    return out


def runs(subject: Subject) -> str:
    """Return how many runs are complete, and which are missing and why."""
    comparison = subject.inputs.comparison
    first, *rest = sentences.runs(comparison).splitlines()
    reasons: Sequence[tuple[str, int]] = ()
    if len(comparison.missing) > sentences.SHOWN:
        reasons = Counter(m.reason for m in comparison.missing).most_common()
    counts = items([f"{count}: {reason}" for reason, count in reasons])
    return paragraph(first) + counts + items([line.removeprefix("- ") for line in rest])

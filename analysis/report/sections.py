"""The sections of the report, each a piece of HTML; empty where there is nothing to say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from analysis.across import sentences as across_sentences
from analysis.across import tables as across_tables
from analysis.figures import FIGURES
from analysis.formatting import numbers
from analysis.formatting.rows import Rows, Table
from analysis.report import interactive
from analysis.report.html import figure, folded, items, paragraph, picture, table, text
from analysis.verdict import score_table, sentences, verdict_table
from analysis.verdict.plan import plan_summary

if TYPE_CHECKING:  # the page is made of these sections
    from analysis.report.subject import Subject

SAYS: Final = {
    "better": "better than {0}",
    "worse": "worse than {0}",
    "equivalent": "equivalent to {0} within ±{1:g}",
    "undecided": "undecided",
}
SHORT: Final = ["protocol", "strategy", "answer", "difference", "95 % interval", "adjusted p", "seeds"]
KINDS: Final = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".svg": "svg+xml"}


def figures_html(subject: Subject, *names: str) -> str:
    """The named figures under their titles; in words why one is missing."""
    parts = []
    for name in names:
        study_figure = FIGURES[name](subject.inputs)
        if isinstance(study_figure, str):
            parts.append(paragraph(f"No figure {name}: {study_figure}.", "note"))
        else:
            parts.append(f"<h3>{text(study_figure.title)}</h3>{figure(study_figure)}")
    return "".join(parts)


def answer(subject: Subject) -> str:
    """The first screen: who beats random, where, by how much, how sure, under what protocol, in words and one picture."""
    inputs, comparison = subject.inputs, subject.inputs.comparison
    parts = [paragraph(sentences.headline(comparison), "headline")]
    if subject.toy:
        parts.insert(
            0,
            '<p class="warning"><strong>Toy size:</strong> this study shows how the tool works; its verdicts mean little.</p>',
        )
    if comparison.exploratory:
        why = (
            "the plan was amended after the study had started"
            if comparison.amended
            else "no plan was fixed before the first run"
        )
        parts.append(paragraph(f"Exploratory: {why}.", "warning"))
    for protocol in inputs.curves.protocols:
        own = sorted(
            (v for v in comparison.verdicts if v.protocol == protocol), key=lambda v: -abs(v.difference) if v.n else 0.0
        )
        says = []
        for kind, words in SAYS.items():
            names = [_named(v) for v in own if v.answer == kind]
            if names:
                said = words.format(inputs.curves.baseline, comparison.plan.delta)
                says.append(f"{text(said)}: <strong>{text(_few(names))}</strong>")
        parts.append(f"<p>Under <em>{text(protocol)}</em>: {'; '.join(says) or 'nothing to compare'}.</p>")
    parts.append(paragraph(_how_sure(subject)))
    short = comparison.planned - comparison.complete
    if short:
        said = f"{short} of {comparison.planned} runs are not complete and not analysed"
        parts.append(f'<p class="warning">{text(said)}; see <a href="#runs">Runs</a>.</p>')
    study_figure = FIGURES["verdicts"](inputs)
    parts.append(
        paragraph(f"No picture: {study_figure}.", "note") if isinstance(study_figure, str) else figure(study_figure)
    )
    return "".join(parts)


FEW: Final = 8
"""Names of one answer on the first screen; the table below has all."""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= FEW else f"{', '.join(names[: FEW - 2])} and {len(names) - FEW + 2} more"


def _named(verdict: Any) -> str:
    """With its difference where there is one to speak of."""
    small = ", negligible" if verdict.negligible else ""
    return (
        f"{verdict.strategy} ({numbers.signed(verdict.difference)}{small})"
        if verdict.answer in ("better", "worse")
        else str(verdict.strategy)
    )


def _how_sure(subject: Subject) -> str:
    inputs, plan = subject.inputs, subject.inputs.comparison.plan
    sure = f"Differences in {inputs.endpoint}, n = {inputs.pairs}; {inputs.tested}, {sentences.ASSUMES[plan.correction].format(alpha=plan.alpha)}."
    if subject.compliance is not None and subject.study is not None:
        return f"{sure} Protocol: {subject.compliance.summary()}; study {subject.study.fingerprint[:12]}."
    return f"{sure} A table of curves: nothing is known of the protocol that it was made under."


def verdicts(subject: Subject) -> str:
    """All numbers, one sentence each, and how they were reached."""
    comparison = subject.inputs.comparison
    caption = f"Difference to {comparison.baseline} in {subject.inputs.endpoint}; {subject.inputs.tested}. Intervals: 95 %, each for itself."
    each = [f"{v.protocol}: {sentences.sentence(v, comparison)}" for v in comparison.verdicts]
    board = score_table.scores(subject.inputs.curves, comparison)
    return "".join(
        [
            table(
                verdict_table.formatted(comparison.verdicts)[SHORT],
                caption,
                data=("all-verdicts", comparison.to_frame()),
            ),
            folded(
                "Every number of every verdict",
                table(verdict_table.formatted(comparison.verdicts), f"All columns. {caption}"),
            ),
            f"<h3>Scores</h3>{table(board.formatted(), board.caption, data=('scores', board.to_frame()))}",
            f"<h3>In words</h3>{items(each)}<h3>How this was decided</h3>",
            paragraph(sentences.method(comparison)),
        ]
    )


def curves(subject: Subject) -> str:
    """To hover over where scripts run, and as printed."""
    return interactive.curves(subject.inputs) + figures_html(subject, "learning-curves", "difference-to-random")


def protocol(subject: Subject) -> str:
    """What was fixed, what could be decided, and whether it was kept."""
    study, kept = subject.study, subject.compliance
    if study is None or kept is None:
        return paragraph(
            "A table of curves does not say under which protocol it was made. `beatrandom check TABLE --protocol …` lists what can be verified."
        )
    rows = [
        {
            "protocol": p.name,
            "data": kept.data_of(p),
            "budgets": ", ".join(map(str, p.budgets)),
            "validation": f"{p.splits.validation_size} ({'counted' if p.splits.validation_counted else 'not counted'})",
            "model": p.model.name,
            "regime": p.regime.name,
            "metric": p.metric,
            "fingerprint": p.fingerprint[:12],
        }
        for p in study.protocols
    ]
    found = [
        {
            "rule": f.rule,
            "severity": f.severity,
            "answer": f.answer,
            "where": f.where,
            "expected": f.expected,
            "found": f.found,
        }
        for f in sorted(kept.findings, key=lambda f: (f.answer != "broken", f.severity != "error"))
    ]
    parts = [
        table(pd.DataFrame(rows), f"What was fixed. Study {study.name}, fingerprint {study.fingerprint[:12]}."),
        "<h3>Was it obeyed?</h3>",
        paragraph(f"{kept.summary()}."),
        folded("Rule by rule", table(pd.DataFrame(kept.table()), "Compliance", prose=("title",))),
    ]
    if found:
        shown = pd.DataFrame(found[:FINDINGS])
        more = f"; {len(found) - FINDINGS} more by `beatrandom check`" if len(found) > FINDINGS else ""
        parts.append(
            folded("What was found", table(shown, f"Broken rules first{more}", prose=("where", "expected", "found")))
        )
    parts += ["<h3>Known before the first run</h3>", items(plan_summary(study).summary().splitlines())]
    return "".join(parts)


FINDINGS: Final = 50


def levers(subject: Subject) -> str:
    """Strategies beside regimes; nothing where there is one regime."""
    return figures_html(subject, "levers", "interaction") if len(subject.inputs.across.regimes) > 1 else ""


def over_all(subject: Subject) -> str:
    """What several settings say together."""
    across = subject.inputs.across
    said = (
        ""
        if len(across.datasets) * len(across.regimes) < 2
        else items([line.removeprefix("- ") for line in across_sentences.summary(across).splitlines()])
    )
    figures = figures_html(
        subject,
        "mean-ranks",
        "penalty-matrix",
        "performance-profile",
        "probability-of-improvement",
        "ranking-stability",
    )
    return (
        said
        + figures
        + "".join(
            _secondary(name, part)
            for name, part in across_tables.parts(across).items()
            if part.rows and name not in DRAWN
        )
    )


DRAWN: Final = {"ranks", "nemenyi", "profiles", "penalties", "penalty-means", "seeds", "labels", "levers"}
"""Parts across settings whose rows are the data of figures."""


def _secondary(name: str, part: Rows[Any] | Table) -> str:
    body = table(part.formatted(), f"{part.title}. Secondary: no verdict rests on it.", data=(name, part.to_frame()))
    return folded(part.title, body)


def details(subject: Subject) -> str:
    """Secondary endpoints and whatever else is reported beside the verdicts."""
    parts = [
        figures_html(subject, "labels-saved", "class-iou", "changed-predictions", "power", "calibration", "reliability")
    ]
    for name, part in subject.inputs.details.parts().items():
        if part.rows and name not in ("band", "query_cost"):
            parts.append(_secondary(name, part))
    return "".join(parts)


def bought(subject: Subject) -> str:
    """Classes, overlap, and pictures where some lie beside the study."""
    if not subject.inputs.curves.bought and not subject.pictures:
        return ""
    shown = []
    for path in subject.pictures:
        beside = path.with_suffix(".txt")
        name = f"{path.parent.name}, {path.stem}"
        caption = beside.read_text(encoding="utf-8").strip() if beside.is_file() else f"What was bought: {name}."
        shown.append(
            picture(KINDS[path.suffix.lower()], path.read_bytes(), f"Images that were bought: {name}", caption)
        )
    return figures_html(subject, "contact-sheet", "class-balance", "overlap") + (
        f"<h3>Images that were bought</h3>{''.join(shown)}" if shown else ""
    )


def costs(subject: Subject) -> str:
    """Seconds and memory of queries."""
    part = subject.inputs.details.query_cost
    return (
        figures_html(subject, "query-cost")
        + table(part.formatted(), part.title, data=("query-cost-table", part.to_frame()))
        if part.rows
        else ""
    )


def environment(subject: Subject) -> str:
    """Versions, commit and device of the runs, and how many were made so."""
    made = subject.inputs.curves.environments
    if not made:
        return ""
    columns: list[dict[str, str]] = [
        {**_flat(json.loads(kind)), "runs": str(runs)} for kind, runs in sorted(made.items(), key=lambda e: -e[1])
    ]
    names = list(dict.fromkeys(name for column in columns for name in column))
    frame = pd.DataFrame(
        {"": names} | {f"environment {i}": [c.get(n, numbers.NOTHING) for n in names] for i, c in enumerate(columns, 1)}
    )
    said = (
        "All runs were made in one environment."
        if len(columns) == 1
        else f"Runs were made in {len(columns)} environments."
    )
    return paragraph(said) + table(
        frame.rename(columns={"": "what"}), "As recorded by the runs", prose=list(frame.columns[1:])
    )


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in values.items():
        out |= _flat(value, f"{before}{name} ") if isinstance(value, Mapping) else {f"{before}{name}": str(value)}
    return out


def runs(subject: Subject) -> str:
    """How many runs are in, and which are not."""
    comparison = subject.inputs.comparison
    first, *rest = sentences.runs(comparison).splitlines()
    reasons: Sequence[tuple[str, int]] = Counter(m.reason for m in comparison.missing).most_common()
    counted = (
        items([f"{count}: {reason}" for reason, count in reasons]) if len(comparison.missing) > sentences.SHOWN else ""
    )
    return paragraph(first) + counted + items([line.removeprefix("- ") for line in rest])

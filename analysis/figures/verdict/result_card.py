"""A result card: one protocol on one page, with all that somebody who cites it must say."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import folded, legend, own, rows_height, seeds_in_words
from analysis.figures.style import style_context
from analysis.figures.verdict.learning_curves import draw_learning_curves, learning_frame
from analysis.figures.verdict.verdicts import draw_forest
from analysis.verdict import sentences
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study


def result_card(inputs: FigureInputs, study: Study, protocol: Protocol) -> StudyFigure:
    """Learning curves, verdicts, every verdict in words, what was fixed, and the fingerprints.

    Args:
        inputs: of the whole study, so that corrections are the planned ones.
    """
    curves, comparison, name = inputs.curves, inputs.comparison, protocol.name
    frame = own(comparison.to_frame(), protocol=name)
    lines = own(learning_frame(curves), protocol=name)
    width = inputs.venue.page
    said = "\n".join(
        folded(sentences.sentence(v, comparison), width) for v in comparison.verdicts if v.protocol == name
    )
    fixed = "\n".join(folded(line, width) for line in _fixed(study, protocol, inputs))
    text = f"{said}\n\n{fixed}"
    upper = max(2.3, rows_height(inputs.others))
    below = 0.125 * (text.count("\n") + 2)
    with style_context(inputs.venue):
        figure = Figure(figsize=(width, upper + below + 1.4), layout="constrained")
        figure.suptitle(
            f"{protocol.title or name}\n{_answer(frame['answer'].tolist(), curves.baseline)}",
            fontsize=9,
            fontweight="bold",
        )
        grid = figure.add_gridspec(2, 2, height_ratios=[upper, below])
        draw_learning_curves(figure.add_subplot(grid[0, 0]), lines, inputs.styles, (curves.baseline,))
        right = draw_forest(figure.add_subplot(grid[0, 1]), frame, inputs.others, inputs.styles, comparison.plan.delta)
        right.set_xlabel(f"difference to {curves.baseline}, AUBC")
        words = figure.add_subplot(grid[1, :])
        words.axis("off")
        words.text(0, 1, text, va="top", fontsize=7, linespacing=1.25, transform=words.transAxes)
        legend(
            figure,
            curves.strategies,
            inputs.styles,
            f"Bars and band: 95 % t interval, {seeds_in_words(lines['n'], curves.unit)}",
        )
    caption = f"Result card of {name}. {sentences.method(comparison)}"
    return StudyFigure(f"card-{name}", f"Result card: {name}", figure, frame, caption, f"{said} {fixed}")


def _answer(answers: Sequence[str], baseline: str) -> str:
    counted = ", ".join(
        f"{answers.count(a)} {a}" for a in ("better", "worse", "equivalent", "undecided") if a in answers
    )
    return f"Of {len(answers)} strategies against {baseline}: {counted or 'nothing compared'}"


def _fixed(study: Study, protocol: Protocol, inputs: FigureInputs) -> list[str]:
    splits, regime, plan = protocol.splits, protocol.regime, study.plan
    test = "the official test set" if splits.test_size is None else f"{splits.test_size:,} test images a seed"
    pool = "all other training images" if splits.pool_size is None else f"a pool of {splits.pool_size:,}"
    paid = "paid for" if splits.validation_counted else "free"
    validation = (
        f"{splits.validation_size} validation labels, {paid}" if splits.validation_size else "no validation labels"
    )
    start = "starts of strategies' own" if splits.initial == "strategy" else f"{splits.initial} start"
    length = f"{regime.steps} steps" if regime.steps is not None else f"{regime.epochs} epochs"
    if regime.tuning:
        length += f", tuned by {regime.tuning.trials} trials {'on the starting set' if regime.tuning.policy == 'starting-set' else 'each'}"
    return [
        f"Data: {inputs.curves.places.get(protocol.name, (protocol.data.name, ''))[0]}; {test}, {pool}, {validation}; {start}.",
        f"Budgets: {', '.join(map(str, protocol.budgets))}. Model: {protocol.model.name}. Recipe: {regime.name} ({regime.method}, {length} a round).",
        f"Decided by: {plan.endpoint.upper()}, {inputs.tested}, margin ±{plan.delta:g}, {len(study.seeds)} seeds planned"
        + (
            "; exploratory: the plan was changed after the start."
            if inputs.curves.exploratory
            else "; plan fixed before the first run."
        ),
        f"Protocol {protocol.fingerprint[:16]}, study {study.name} {study.fingerprint[:16]}.",
    ]

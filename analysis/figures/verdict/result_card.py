"""Result card: one protocol on one page, with everything that a citation of it must state."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import add_legend, count_in_words, fold, rows_height, select
from analysis.figures.style import style_context
from analysis.figures.verdict.learning_curves import draw_learning_curves, learning_frame
from analysis.figures.verdict.verdicts import draw_forest
from analysis.verdict import method, sentences
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study


def result_card(inputs: FigureInputs, study: Study, protocol: Protocol) -> StudyFigure:
    """Draw learning curves and verdicts above each verdict in words, the settings, and the fingerprints.

    Args:
        inputs: of the whole study, so that corrections are the planned ones.
    """
    curves, comparison, name = inputs.curves, inputs.comparison, protocol.name
    frame = select(comparison.to_frame(), protocol=name)
    lines = select(learning_frame(curves), protocol=name)
    width = inputs.venue.page
    verdicts = [sentences.sentence(v, comparison) for v in comparison.verdicts if v.protocol == name]
    blocks = ["\n".join(fold(line, width) for line in part) for part in (verdicts, _settings(study, protocol, inputs))]
    text = "\n\n".join(blocks)
    upper = max(2.3, rows_height(inputs.compared))
    below = 0.125 * (text.count("\n") + 2)
    with style_context(inputs.venue):
        figure = Figure(figsize=(width, upper + below + 1.4), layout="constrained")
        title = f"{protocol.title or name}\n{_count_answers(frame['answer'].tolist(), curves.baseline)}"
        figure.suptitle(title, fontsize=9, fontweight="bold")
        grid = figure.add_gridspec(2, 2, height_ratios=[upper, below])
        draw_learning_curves(figure.add_subplot(grid[0, 0]), lines, inputs.styles, (curves.baseline,))
        forest = figure.add_subplot(grid[0, 1])
        draw_forest(forest, frame, inputs.compared, inputs.styles, comparison.plan.delta)
        forest.set_xlabel(f"difference to {curves.baseline}, AUBC")
        words = figure.add_subplot(grid[1, :])
        words.axis("off")
        words.text(0, 1, text, va="top", fontsize=7, linespacing=1.25, transform=words.transAxes)
        bars = f"Bars: 95 % {method.interval_names(comparison)} interval; band: 95 % t interval"
        note = f"{bars}; {count_in_words(lines['n'], curves.unit)}"
        add_legend(figure, curves.strategies, inputs.styles, note)
    caption = f"Result card of {name}. {method.method(comparison)}"
    return StudyFigure(f"card-{name}", f"Result card: {name}", figure, frame, caption, " ".join(blocks))


def _count_answers(answers: Sequence[str], baseline: str) -> str:
    kinds = ("better", "worse", "equivalent", "undecided")
    counts = ", ".join(f"{answers.count(kind)} {kind}" for kind in kinds if kind in answers)
    return f"Of {len(answers)} strategies against {baseline}: {counts or 'nothing compared'}"


def _settings(study: Study, protocol: Protocol, inputs: FigureInputs) -> list[str]:
    splits, regime, plan = protocol.splits, protocol.regime, study.plan
    test = "the official test set" if splits.test_size is None else f"{splits.test_size:,} test images per seed"
    pool = "all other training images" if splits.pool_size is None else f"a pool of {splits.pool_size:,}"
    paid = "paid for" if splits.validation_counted else "free"
    size = splits.validation_size
    validation = f"{size} validation labels, {paid}" if size else "no validation labels"
    start = "each strategy's own start" if splits.initial == "strategy" else f"{splits.initial} start"
    length = f"{regime.steps} steps" if regime.steps is not None else f"{regime.epochs} epochs"
    recipe = f"{regime.name} ({regime.method}, {'solved' if regime.solver else f'{length} per round'}"
    if regime.tuning:
        when = "on the starting set" if regime.tuning.policy == "starting-set" else "in every round"
        recipe += f", tuned by {regime.tuning.trials} trials {when}"
    seeds = f"{len(study.seeds)} seeds planned"
    data = inputs.curves.places.get(protocol.name, (protocol.data.name, ""))[0]
    fixed = "plan fixed before the first run"
    fixed = "exploratory: the plan was changed after the start" if inputs.curves.exploratory else fixed
    return [
        f"Data: {data}; {test}, {pool}, {validation}; {start}.",
        f"Budgets: {', '.join(map(str, protocol.budgets))}. Model: {protocol.model.name}. Recipe: {recipe}).",
        f"Decided by: {plan.endpoint.upper()}, {inputs.tested}, margin ±{plan.delta:g}, {seeds}; {fixed}.",
        f"Protocol {protocol.fingerprint[:16]}, study {study.name} {study.fingerprint[:16]}.",
    ]

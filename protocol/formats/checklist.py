"""Checklist of active-learning evaluation for a paper's appendix, and a one-line summary.

It is filled in from the plan and the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from protocol.rules.result import Compliance
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE

_MARKS: Final = {"obeyed": "yes", "broken": "NO", "unverifiable": "not verifiable"}


@dataclass(frozen=True)
class Item:
    """Question of the checklist: the plan's answer, and the rules that check it."""

    question: str
    says: str
    rules: tuple[str, ...]


def badge(result: Compliance) -> str:
    """Return one line: answer, rules and runs it rests on, study, version."""
    obeyed = sum(r.answer == "obeyed" for r in result.results)
    answer = {"obeyed": "compliant", "broken": "violations found", "unverifiable": "not decidable"}[result.answer]
    amended = f", plan amended {result.amended} times" if result.amended else ""
    attempts = f", {result.failures} failed attempts" if result.failures else ""
    return (
        f"beatrandom {version('beatrandom')}: {answer}; {obeyed} of {len(result.results)} rules obeyed, "
        f"{result.sealed} of {result.planned} planned runs finished{attempts}{amended}; study {result.fingerprint[:16]}"
    )


def _items(result: Compliance) -> list[Item]:
    plan, protocols = result.plan.plan, result.plan.protocols

    def each(say: object) -> str:
        answers = [f"{p.name}: {say(p)}" for p in protocols] if callable(say) else []
        values = {a.split(": ", 1)[1] for a in answers}
        return values.pop() if len(values) == 1 else "; ".join(answers)

    others = ", ".join(s.id for s in result.plan.strategies if s.id != BASELINE)
    tuned = ", ".join(
        f"{s.id}: {'not declared' if s.tuning is None else s.tuning}"
        for s in result.plan.strategies
        if s.id != BASELINE
    )
    return [
        Item(
            "Which data, and how are they split?",
            each(lambda p: _data(p, result.data_of(p))),
            ("SPL-01", "SPL-02", "SPL-03", "SPL-04", "SPL-05", "SPL-06"),
        ),
        Item("Are copies and near-duplicates across the split excluded?", "compared by pixels", ("SPL-07", "SPL-08")),
        Item("Do validation labels count towards the budget?", each(_validation), ("BUD-05",)),
        Item(
            "Which budgets, and are they the same for all strategies?",
            each(lambda p: ", ".join(map(str, p.budgets))),
            ("BUD-01", "BUD-02", "BUD-03", "BUD-04"),
        ),
        Item(
            "Is the starting set shared and random?",
            each(_starting_set),
            ("SED-02", "SED-03"),
        ),
        Item(
            "Is random sampling among the strategies?", f"yes, as {BASELINE}; compared with it: {others}", ("CMP-04",)
        ),
        Item("Is the training recipe the same for all, and does it augment?", each(_recipe), ("TRN-01", "TRN-04")),
        Item("Are the weights reset every round?", each(_start), ("TRN-02", "TRN-03")),
        Item("Were all strategies tuned equally?", f"settings tried: {tuned}", ("TRN-05",)),
        Item(
            "Are hyperparameters tuned inside the runs, equally for all?",
            each(_tuning),
            ("TRN-06", "TRN-07", "TRN-08", "TRN-09"),
        ),
        Item("How many seeds, and are they enough?", f"{len(result.plan.seeds)} seeds", ("STA-01", "SED-01", "SED-04")),
        Item(
            "Are all planned runs reported?",
            f"{result.sealed} of {result.planned} finished, {result.failures} failed attempts",
            ("CMP-01", "CMP-02", "CMP-03"),
        ),
        Item(
            "Was the test set left out of training and selection?",
            each(lambda p: f"weights: {p.regime.selection}"),
            ("EVL-04", "EVL-05"),
        ),
        Item("Can the metrics be recomputed?", each(lambda p: p.metric), ("EVL-01", "EVL-02", "EVL-03")),
        Item(
            "Was the analysis fixed beforehand?",
            f"{plan.endpoint}, {plan.test}, alpha {plan.alpha:g}, delta {plan.delta:g}, {plan.correction}",
            ("PRO-03", "PRO-04"),
        ),
        Item("Same code, versions and device?", "recorded for every run", ("ENV-01", "ENV-02", "ENV-03")),
    ]


def _data(p: Protocol, described: str) -> str:
    test = "official test set" if p.splits.test_size is None else f"{p.splits.test_size} test images per seed"
    return f"{described}, {test}"


def _validation(p: Protocol) -> str:
    paid = "charged to the budget" if p.splits.validation_counted else "not charged"
    return f"{p.splits.validation_size} labels, {paid}" if p.splits.validation_size else "none used"


def _recipe(p: Protocol) -> str:
    augmented = [name for name, value in p.regime.augmentation.model_dump().items() if value]
    return f"{p.model.name}, {p.regime.method}, augmentation: {', '.join(augmented) or 'none'}"


def _tuning(p: Protocol) -> str:
    tuning = p.regime.tuning
    if tuning is None:
        return "none"
    when = {"starting-set": "on the starting set", "every-round": "in every round"}[tuning.policy]
    labels = (
        "the validation labels" if tuning.held_out is None else f"{tuning.held_out:g} of the labelled images, held out"
    )
    return f"{tuning.trials} trials {when} over {', '.join(tuning.space)}, scored on {labels}"


def _starting_set(p: Protocol) -> str:
    strategic = "no: strategies that can choose their own do, all others share that of random"
    return f"{strategic if p.splits.initial == 'strategy' else p.splits.initial}, {p.training_labels[0]} labels"


def _start(p: Protocol) -> str:
    return {
        "reset": "yes, by digest of the initial weights",
        "warm": "no: a declared warm start, by digests of initial and final weights",
    }[p.regime.start]


def _kept(result: Compliance, item: Item) -> str:
    answers = {r.rule.id: r.answer for r in result.results}
    worst = next(a for a in ("broken", "unverifiable", "obeyed") if a in {answers[i] for i in item.rules})
    bad = [i for i in item.rules if answers[i] == worst]
    return _MARKS[worst] + ("" if worst == "obeyed" else f" ({', '.join(bad)})")


def to_markdown(result: Compliance) -> str:
    """Write the checklist as a Markdown table; the last column is the rules' answer, not the authors'."""
    rows = [f"| {_bar(i.question)} | {_bar(i.says)} | {_kept(result, i)} |" for i in _items(result)]
    head = ["| Question | As planned | Kept? |", "| --- | --- | --- |"]
    return "\n".join([f"**Evaluation checklist: {_bar(result.study)}**", "", *head, *rows, "", badge(result)])


def to_latex(result: Compliance) -> str:
    """Write the checklist as a LaTeX table (booktabs)."""
    rows = [f"{_tex(i.question)} & {_tex(i.says)} & {_tex(_kept(result, i))} \\\\" for i in _items(result)]
    head = [
        r"\begin{tabular}{p{.33\linewidth}p{.42\linewidth}p{.17\linewidth}}",
        r"\toprule",
        r"Question & As planned & Kept? \\",
        r"\midrule",
    ]
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}", f"% {badge(result)}"])


def _bar(text: str) -> str:
    return text.replace("|", "\\|")


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
        c: f"\\{c}" for c in "&%$#_{}"
    }
    return "".join(special.get(c, c) for c in text)

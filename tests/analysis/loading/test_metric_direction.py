"""Metrics of which lower is better are compared the right way round, from whatever source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.figures.secondary.calibration import calibration
from analysis.loading.metric_direction import lower_is_better, negate_losses
from analysis.loading.table import load_table
from analysis.verdict.decide import compare
from analysis.verdict.sentences import summary
from runners.verbs.results.compare_options import CompareOptions
from tests.support.figure_inputs import make_inputs


@pytest.mark.parametrize(
    "name",
    [
        "nll",
        "NLL",
        "test_loss",
        "testLoss",
        "top-1 error",
        "err",
        "ECE",
        "brier",
        "val/rmse",
        "cross-entropy",
        "negative log-likelihood",
    ],
)
def test_names_of_which_lower_is_better(name: str) -> None:
    assert lower_is_better(name)


@pytest.mark.parametrize(
    "name",
    [
        "accuracy", "value", "mean_iou", "terror", "lossless", "auc", "entropy", "log-likelihood", "loglikelihood",
        "-nll", "neg_log_loss", "neg mean error", "1 - error", "1-ece", "−nll", "precision",
    ],
)  # fmt: skip
def test_names_of_which_higher_is_better(name: str) -> None:
    assert not lower_is_better(name)


@pytest.mark.parametrize("from_folder", [False, True])
def test_nll_of_a_study_says_what_accuracy_says(
    from_folder: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    curves = make_inputs(4, seeds=8).curves  # nll is 2 - 2 accuracy there
    monkeypatch.setattr("runners.verbs.results.compare_options.load_study", lambda _: curves)
    curves.to_csv(tmp_path / "t.csv")
    found = compare(CompareOptions(metric="nll").curves(tmp_path if from_folder else tmp_path / "t.csv"))
    right = compare(replace(curves, plan=curves.plan.model_copy(update={"delta": 0.005})))
    for lower, higher in zip(found.verdicts, right.verdicts, strict=True):
        assert lower.answer == higher.answer
        assert lower.difference == pytest.approx(2 * higher.difference)
        assert lower.value < 0
    assert {"better", "worse"} <= {v.answer for v in right.verdicts}
    assert "-nll is compared" in summary(found)


def test_what_it_was_made_of_stays_for_the_figure_of_calibration(tmp_path: Path) -> None:
    made = make_inputs(2)
    made.curves.to_csv(tmp_path / "t.csv")
    curves = load_table(tmp_path / "t.csv", metric="nll")
    study_figure = calibration(replace(made, curves=curves, comparison=compare(curves)))
    assert not isinstance(study_figure, str)
    assert set(study_figure.frame["metric"]) == {"nll"}
    assert (study_figure.frame["mean"] > 0).all()


def test_values_that_are_negated_already_stay(table) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{s},{k},10,{-0.5 - 0.01 * k + 0.1 * (s == 'x') + 0.001 * k * (s == 'x')},nll\n"
        for s in ("random", "x")
        for k in range(6)
    )
    curves = table(rows, "strategy,seed,budget,value,metric")
    assert compare(curves).verdicts[0].answer == "better"
    assert "negated already" in curves.notes[0]
    assert negate_losses(curves).metrics == curves.metrics == {"all": "nll"}


def test_a_column_that_is_named_as_the_value_names_the_metric(table) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{s},{k},10,{0.5 - 0.01 * k - (0.1 + 0.001 * k) * (s == 'x')}\n" for s in ("random", "x") for k in range(6)
    )
    curves = table(rows, "strategy,seed,budget,test error", columns={"value": "test error"})
    assert compare(curves).verdicts[0].answer == "better"
    assert curves.metrics == {"all": "-test error"}

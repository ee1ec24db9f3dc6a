"""Metrics of which lower is better are compared the right way round, from whatever source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.figures.secondary.calibration import calibration
from analysis.loading.metric_direction import apply_direction, direction_of
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
        *[
            "WER",
            "CER",
            "EER",
            "FPR",
            "FNR",
            "MAPE",
            "RMSE",
            "FID",
            "BCE",
            "CE",
            "NLL",
            "KL",
            "AURC",
            "HD95",
            "perplexity",
            "deviance",
            "fpr95",
            "FPR@95TPR",
        ],
        "miss rate",
        "hinge",
        "hinge_loss",
        "misclassification",
        "misclassification rate",
        "WER rate",
        "false positive rate",
        "word error rate",
        "val_wer",
        "test/FID",
        "testWER",
        "lower_bound_error",
        "mean rank",
        "Brier score",
        "log loss",
        "crossEntropy",
        "-log likelihood",
    ],
)
def test_names_of_which_lower_is_better(name: str) -> None:
    assert direction_of(name).better == "lower"


@pytest.mark.parametrize(
    "name",
    [
        "accuracy", "value", "mean_iou", "terror", "lossless", "auc", "entropy", "log-likelihood", "loglikelihood",
        "-nll", "neg_log_loss", "neg mean error", "1 - error", "1-ece", "−nll", "precision",
        "error_reduction", "val_score_loss_reduction", "error_detection_auroc", "risk_coverage_auc", "true positive rate",
        "hit rate", "success rate", "mIoU", "top-5 acc", "macro_f1", "R2", "mAP", "AUPRC", "kappa", "NMI", "reward", "1 - WER",
        "negative MSE", "minus_rmse", "failure detection AUROC", "win rate", "BLEU", "test_acc", "Dice", "roc_auc",
    ],
)  # fmt: skip
def test_names_of_which_higher_is_better(name: str) -> None:
    assert direction_of(name).better == "higher"


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
    assert "Metric nll: lower is better (known by its name)." in summary(found)


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
    assert "negated already" in str(curves.directions["all"])
    assert apply_direction(curves).metrics == curves.metrics == {"all": "nll"}


def test_a_column_that_is_named_as_the_value_names_the_metric(table) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{s},{k},10,{0.5 - 0.01 * k - (0.1 + 0.001 * k) * (s == 'x')}\n" for s in ("random", "x") for k in range(6)
    )
    curves = table(rows, "strategy,seed,budget,test error", columns={"value": "test error"})
    assert compare(curves).verdicts[0].answer == "better"
    assert curves.metrics == {"all": "-test error"}


def _mirrored(lower: bool) -> str:
    return "".join(
        f"{s},{k},{b},{(1 - v if lower else v):.4f}\n"
        for s in ("random", "margin")
        for k in range(8)
        for b in (100, 200, 400)
        for v in [0.5 + b / 1000 + 0.01 * k + (0.02 + 0.001 * k) * (s == "margin")]
    )


@pytest.mark.parametrize("name", ["wer", "WER", "err", "fpr", "KL", "miss rate", "hinge"])
def test_the_same_numbers_give_the_same_verdict_under_every_name_of_an_error(table, name: str) -> None:  # type: ignore[no-untyped-def]
    curves = table(_mirrored(lower=True), f"strategy,seed,budget,{name}", columns={"value": name})
    comparison = compare(curves)
    assert comparison.verdicts[0].answer == "better"
    assert comparison.to_dict()["directions"]["all"] == {"metric": name, "better": "lower", "basis": "name"}
    assert summary(comparison).splitlines()[1] == f"Metric {name}: lower is better (known by its name)."


def test_an_unknown_name_is_taken_as_higher_and_says_how_to_change_it(table) -> None:  # type: ignore[no-untyped-def]
    header, columns = "strategy,seed,budget,quux", {"value": "quux"}
    comparison = compare(table(_mirrored(lower=True), header, columns=columns))
    assert comparison.verdicts[0].answer == "worse"
    assert "--lower-is-better" in summary(comparison).splitlines()[1]
    stated = compare(table(_mirrored(lower=True), header, columns=columns, better="lower"))
    assert stated.verdicts[0].answer == "better"
    assert "as stated by option" in summary(stated)
    assert (
        compare(table(_mirrored(lower=False), "strategy,seed,budget,wer", columns={"value": "wer"}, better="higher"))
        .verdicts[0]
        .answer
        == "better"
    )


def test_a_direction_that_a_study_states_is_used_and_fingerprinted(tmp_path: Path) -> None:
    from analysis.loading.records import load_study
    from protocol.spec.study import Study
    from tests.analysis.simulated import make_study, write_study

    plain = make_study()
    stated = Study.model_validate(dict(plain) | {"metric": {"direction": "lower"}})
    assert "metric" not in plain.content()
    assert stated.fingerprint != plain.fingerprint
    answers = {}
    for name, study in (("plain", plain), ("stated", stated)):
        write_study(tmp_path / name, study, {"good": 0.05, "bad": -0.05})
        comparison = compare(load_study(tmp_path / name))
        answers[name] = [v.answer for v in comparison.verdicts]
        turned = compare(
            CompareOptions(higher_is_better=name == "stated", lower_is_better=name == "plain").curves(tmp_path / name)
        )
        answers[f"{name}, turned"] = [v.answer for v in turned.verdicts]
        assert turned.exploratory
    assert "stated in the study file" in summary(comparison)
    swap = {"better": "worse", "worse": "better"}
    assert answers["stated"] == answers["plain, turned"] == [swap.get(a, a) for a in answers["plain"]]
    assert answers["stated, turned"] == answers["plain"]

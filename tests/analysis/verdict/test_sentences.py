"""Every sentence that a verdict can produce, in one file that a person reads before it is accepted.

To accept a change: BEATRANDOM_ACCEPT=1 uv run pytest tests/analysis/verdict/test_sentences.py, then read what git
shows.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.loading.curves import Missing
from analysis.loading.metric_direction import direction_of
from analysis.verdict.comparison import Comparison, Verdict
from analysis.verdict.scale import scale_of
from analysis.verdict.sentences import answers_over_all, headline, sentence, summary
from protocol.spec.run_id import RunId
from protocol.spec.study import Plan

GOLDEN = Path(__file__).parent / "sentences.txt"


def verdict(**changes: Any) -> Verdict:
    known: dict[str, Any] = {
        "protocol": "plain",
        "strategy": "margin",
        "answer": "undecided",
        "negligible": False,
        "n": 10,
        "n_planned": 10,
        "value": 0.642,
        "baseline_value": 0.621,
        "difference": 0.021,
        "low": 0.0042,
        "high": 0.0378,
        "sd": 0.0235,
        "p": 0.0313,
        "p_error": 0.0,
        "p_adjusted": 0.0938,
        "p_equivalence": 0.91,
        "p_equivalence_adjusted": 1.0,
        "smallest_p": 2.0**-9,
        "seeds_to_decide": 93,
        "test": "sign-flip",
        "interval": "sign-flip",
        "excludable": 0.26,
    }
    return Verdict(**(known | changes))


def comparison(*verdicts: Verdict, **changes: Any) -> Comparison:
    known: dict[str, Any] = {
        "study": "study",
        "baseline": "random",
        "plan": Plan(delta=0.01),
        "exploratory": False,
        "verdicts": verdicts,
        "tests": len(verdicts),
        "least_seeds": 8,
        "planned": 40,
        "complete": 40,
        "missing": (),
        "unmatched": (),
        "metrics": dict.fromkeys((v.protocol for v in verdicts), "accuracy"),
        "directions": dict.fromkeys((v.protocol for v in verdicts), direction_of("accuracy")),
    }
    return Comparison(**(known | changes))


BETTER = verdict(answer="better", p=0.002, p_adjusted=0.0078, difference=0.0424, low=0.0271, high=0.0577)
WORSE = verdict(
    strategy="entropy", answer="worse", p=0.002, p_adjusted=0.0078, difference=-0.031, low=-0.0452, high=-0.0168
)
NEGLIGIBLE = replace(BETTER, difference=0.0031, low=0.0008, high=0.0054, negligible=True)
EQUIVALENT = verdict(
    strategy="core-set",
    answer="equivalent",
    difference=0.0007,
    low=-0.0051,
    high=0.0065,
    p=0.8,
    p_adjusted=1.0,
    p_equivalence=0.004,
    p_equivalence_adjusted=0.0117,
)
UNDECIDED = verdict()
TINY = verdict(difference=0.0004, low=-0.0164, high=0.0172, p=0.95, p_adjusted=1.0, seeds_to_decide=31623)
FEW = verdict(interval="t", n=5, n_planned=5, smallest_p=2.0**-4, p=0.0625, p_adjusted=0.25)
ONE = verdict(
    interval="",
    n=1,
    n_planned=10,
    low=math.nan,
    high=math.nan,
    sd=math.nan,
    p=1.0,
    p_adjusted=1.0,
    seeds_to_decide=None,
)
NONE = verdict(n=0, n_planned=10, difference=math.nan, value=math.nan, baseline_value=math.nan, seeds_to_decide=None)


def situations() -> Iterator[tuple[str, str]]:
    """Yield (situation, what is said of it)."""
    for name, v in {
        "better": BETTER,
        "worse": WORSE,
        "negligible": NEGLIGIBLE,
        "equivalent": EQUIVALENT,
        "undecided": UNDECIDED,
        "undecided, next to nothing seen": TINY,
        "too few seeds for the test": FEW,
        "one seed": ONE,
        "no data": NONE,
        "values coarser than the margin": replace(UNDECIDED, resolution=0.05),
    }.items():
        yield f"{name}, accuracy as a share", sentence(v, comparison(v))
    yield "runs missing", sentence(replace(BETTER, n=8), comparison(replace(BETTER, n=8)))
    percent = replace(BETTER, value=64.2, baseline_value=62.1, difference=4.24, low=2.71, high=5.77)
    yield "accuracy in percent", sentence(percent, comparison(percent, plan=Plan(delta=1.0)))
    yield "nll, negated", sentence(BETTER, comparison(BETTER, metrics={"plain": "-nll"}))
    yield (
        "unknown metric, one value per run",
        sentence(UNDECIDED, comparison(UNDECIDED, metrics={"plain": "value"}, has_curves=False)),
    )
    yield "data sets as pairs", sentence(UNDECIDED, comparison(UNDECIDED, unit="data set", has_curves=False))
    yield "data sets as pairs, too few", sentence(FEW, comparison(FEW, unit="data set", has_curves=False))
    yield "unpaired", sentence(UNDECIDED, comparison(UNDECIDED, mismatch="unpaired"))
    family = (BETTER, WORSE, UNDECIDED, EQUIVALENT)
    yield "headline, one comparison", headline(comparison(BETTER))
    yield "headline, one family", headline(comparison(*family))
    several = tuple(replace(v, protocol=p, group=p) for p in ("plain", "augmented") for v in family)
    yield "headline, several families", headline(comparison(*several))
    weak = tuple(replace(v, p=0.04, p_adjusted=0.04) for v in several[:1]) + several[6:7]
    yield "headline, nothing survives over all", headline(comparison(*weak))
    yield "headline, nothing compared", headline(comparison())
    yield "summary, planned", summary(comparison(*family))
    gap = Missing(RunId("plain", "margin", 3), "no value at budget 40")
    left = comparison(*several, exploratory=True, complete=39, missing=(gap,), unmatched=("plain/margin: seed 7",))
    yield "summary, exploratory, with gaps", summary(left)
    yield "summary, amended", summary(comparison(BETTER, exploratory=True, amended=2))
    looks = Plan(delta=0.01, test="t", looks=(5, 10), spending="pocock")
    yield "summary, t test with looks", summary(comparison(replace(BETTER, interval="t"), plan=looks))
    yield "summary, few seeds", summary(comparison(FEW))
    yield "summary, unpaired", summary(comparison(*(replace(v, interval="welch") for v in family), mismatch="unpaired"))
    yield (
        "summary, data sets",
        summary(comparison(*family, unit="data set", has_curves=False, plan=Plan(test="wilcoxon", correction="bh"))),
    )


def test_every_sentence_is_the_one_that_was_read_and_accepted() -> None:
    text = "".join(f"## {situation}\n{said}\n\n" for situation, said in situations())
    if os.environ.get("BEATRANDOM_ACCEPT"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("word", ["nan", "inf", "  ", "in 0 ", "0 equivalent", "None"])
def test_no_sentence_has_a_number_that_is_none(word: str) -> None:
    for situation, said in situations():
        assert word not in said.replace("None of", ""), (situation, said)


def test_one_family_over_all_takes_answers_away_and_never_adds_one() -> None:
    family = tuple(replace(BETTER, protocol=f"p{i}", group=f"p{i}", p=0.02, p_adjusted=0.02) for i in range(3))
    found = answers_over_all(comparison(*family, EQUIVALENT))
    assert found == {"undecided": 3, "equivalent": 1}  # 3 x .02 > .05 by Holm; 4 x .004 <= .05
    assert answers_over_all(comparison(*family[:2])) == {"better": 2}  # 2 x .02 <= .05


def test_the_smaller_number_of_seeds_comes_first_and_nothing_is_to_be_decided_of_the_decided() -> None:
    said = sentence(UNDECIDED, comparison(UNDECIDED))
    assert said.index("about 12 seeds") < said.index("about 93 seeds")  # paired t: sd .0235, .021, 80 %, alpha .05
    for v in (BETTER, WORSE, EQUIVALENT):
        assert "about" not in sentence(v, comparison(v))


def test_points_are_said_where_the_metric_is_known_to_be_a_share() -> None:
    assert scale_of("plain", comparison(BETTER)).factor == 100
    percent = replace(BETTER, value=64.2, baseline_value=62.1)
    assert scale_of("plain", comparison(percent)).factor == 1
    assert scale_of("plain", comparison(percent)).noun == "accuracy points"
    assert scale_of("plain", comparison(BETTER, metrics={"plain": "-nll"})).noun == "in -nll"

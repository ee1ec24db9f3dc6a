"""A declared warm start is checked by initial and previous final weights; an undeclared one is a violation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.formats.checklist import to_markdown
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study, lines, obedient_study, protocol_table, rewrite, rounds

Lines = list[dict[str, Any]]
WARM = protocol_table(regime=protocol_table()["regime"] | {"start": "warm"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_study(tmp_path_factory.mktemp("warm") / "study", obedient_study(protocols=[WARM])).path


@pytest.fixture
def study(built: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(built, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def lucky_from_the_start(events: Lines) -> None:
    rounds(events)[0].update(initial_weights="1" * 64)


def other_weights(events: Lines) -> None:
    rounds(events)[1].update(initial_weights="1" * 64)


def reset_all_the_same(events: Lines) -> None:
    for event in rounds(events)[1:]:
        event.update(initial_weights=rounds(events)[0]["initial_weights"])


def two_rounds_back(events: Lines) -> None:
    rounds(events)[2].update(initial_weights=rounds(events)[0]["final_weights"])


def nothing_of_the_end(events: Lines) -> None:
    rounds(events)[0].update(final_weights="")


def nothing_of_the_beginning(events: Lines) -> None:
    rounds(events)[1].update(initial_weights="")


@pytest.mark.parametrize(
    ("do", "broken", "unverifiable"),
    [
        (lambda events: None, [], []),
        (other_weights, ["TRN-02"], []),
        (reset_all_the_same, ["TRN-02"], []),
        (two_rounds_back, ["TRN-02"], []),
        (lucky_from_the_start, ["TRN-03"], []),
        (nothing_of_the_end, [], ["TRN-02"]),
        (nothing_of_the_beginning, [], ["TRN-02"]),
    ],
)
def test_a_warm_start_must_be_as_declared(
    study: StudyFolder, do: Callable[[Lines], None], broken: list[str], unverifiable: list[str]
) -> None:
    rewrite(study.run(RunId("small", "first", 0)).events, do)
    result = check_study(study.path)
    training = [r for r in result.results if r.rule.id.startswith("TRN")]
    assert [r.rule.id for r in training if r.answer == "broken"] == broken
    assert [r.rule.id for r in training if r.answer == "unverifiable"] == unverifiable


def test_the_checklist_says_that_it_was_declared(study: StudyFolder) -> None:
    assert "| no: a declared warm start, by digests of initial and final weights | yes |" in to_markdown(
        check_study(study.path)
    )


def test_weights_kept_against_a_declared_reset_are_detected(study: StudyFolder, tmp_path: Path) -> None:
    reset = build_study(tmp_path / "reset")
    warm = lines(study.run(RunId("small", "first", 0)).events)

    def kept(events: Lines) -> None:
        for event, other in zip(rounds(events), rounds(warm), strict=True):
            event.update({name: other[name] for name in ("initial_weights", "final_weights")})

    rewrite(reset.run(RunId("small", "first", 0)).events, kept)
    assert check_study(reset.path).broken() == ["TRN-02"]

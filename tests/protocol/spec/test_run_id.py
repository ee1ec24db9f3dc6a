from __future__ import annotations

import pytest

from protocol.spec.run_id import RunId
from tests.support.study_builder import obedient_study


def test_the_written_form_is_read_back() -> None:
    run = RunId("digits-plain", "entropy", 3)
    assert str(run) == f"{run}" == "digits-plain/entropy/seed-3"
    assert RunId.parse(str(run)) == run


@pytest.mark.parametrize("text", ["", "entropy/seed-3", "a/b/3", "a/b/seed-x", "a/b/seed-"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="protocol/strategy/seed-n"):
        RunId.parse(text)


def test_a_study_lists_its_runs_by_strategy_or_by_seed() -> None:
    study = obedient_study()
    names, seeds = [s.id for s in study.strategies], study.seeds
    assert list(study.runs()) == [RunId("small", n, s) for n in names for s in seeds]
    assert list(study.runs(by_seed=True)) == [RunId("small", n, s) for s in seeds for n in names]
    assert [study.strategy(n) for n in names] == list(study.strategies)
    assert study.protocol("small") == study.protocols[0]

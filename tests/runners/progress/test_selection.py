"""Which runs `--only` keeps."""

from __future__ import annotations

import pytest

from protocol.errors import InputError
from protocol.spec.study import Study
from runners.progress.plan import planned_runs
from runners.progress.selection import select_runs


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("strategy=margin", "margin-0 margin-1"),
        ("strategy!=margin", "random-0 random-1"),
        ("strategy=rand*|margin,seed<1", "random-0 margin-0"),
        ("seed>=1", "random-1 margin-1"),
        ("seed!=0|1,strategy=x", None),
        ("seed=0|1 , regime=plain, data=digits, protocol=to?", "random-0 random-1 margin-0 margin-1"),
        ("seed>0,seed<=1,strategy=random", "random-1"),
        ("seed!=1,strategy=random", "random-0"),
    ],
)
def test_conditions(text: str, kept: str | None, toy_study: Study) -> None:
    if kept is None:
        with pytest.raises(InputError, match="some planned run meets"):
            select_runs(planned_runs(toy_study), text)
    else:
        assert " ".join(f"{r.strategy.id}-{r.seed}" for r in select_runs(planned_runs(toy_study), text)) == kept


@pytest.mark.parametrize(
    "text", ["", "strategi=margin", "seed<x", "strategy<margin", "seed", "seed=", "seed=1,,seed=2"]
)
def test_what_cannot_be_read_is_said(text: str, toy_study: Study) -> None:
    with pytest.raises(InputError, match="--only"):
        select_runs(planned_runs(toy_study), text)


def test_all_faults_at_once(toy_study: Study) -> None:
    with pytest.raises(InputError) as caught:
        select_runs(planned_runs(toy_study), "seed<x,strategi=a")
    assert len(caught.value.faults) == 2
    assert "strategy" in str(caught.value)

"""Tuning inside the protocol: break one thing in a valid study, and exactly the rules that must fire do.

Lines of a record tuned in every round by three trials: 0 run, 1 validation, 2 initial, 3-5 trials, 6 round, 7 query,
8-10 trials, 11 round, 12 query, 13-15 trials, 16 round, 17 seal. Trial 1 of each round is the best, trial 2 fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.toml_files import parse
from tests.support.study_builder import build_study, lines, obedient_study, protocol_table, rewrite

Lines = list[dict[str, Any]]
SPACE = {"optimizer.lr": {"low": 0.01, "high": 1.0, "scale": "log"}, "batch_size": {"choices": [4, 8]}}


def table(policy: str, **tuning: Any) -> dict[str, Any]:
    regime = protocol_table()["regime"] | {"tuning": {"policy": policy, "trials": 3, "space": SPACE} | tuning}
    del regime["steps"]
    splits = {"test_size": 40} | ({} if "held_out" in tuning else {"validation_size": 6})
    return protocol_table(regime=regime | {"epochs": 2}, splits=splits)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tuned")
    tables = {
        "every": table("every-round"),
        "start": table("starting-set"),
        "apart": table("every-round", held_out=0.25),
        "apart-start": table("starting-set", held_out=0.25),
    }
    for name, protocol in tables.items():
        for record in sorted(
            build_study(folder / name, obedient_study(protocols=[protocol])).records.rglob("events.jsonl")
        ):
            rewrite(
                record,
                lambda events: [e.update(time=f"2026-01-01T00:00:{n:02d}.000+00:00") for n, e in enumerate(events)],
            )
    return {name: folder / name for name in tables}


@pytest.fixture
def study(built: dict[str, Path], tmp_path: Path) -> Callable[[str], StudyFolder]:
    def copy(name: str) -> StudyFolder:
        shutil.copytree(built[name], tmp_path / name)
        return StudyFolder(tmp_path / name)

    return copy


def answers(folder: StudyFolder) -> dict[str, set[str]]:
    result = check_study(folder.path)
    assert not [f for f in result.findings if "can read" in f.expected], "a rule failed on the evidence"
    return {a: {r.rule.id for r in result.results if r.answer == a} for a in ("broken", "unverifiable")}


def settled(events: Lines, round_: int, trial: int) -> None:
    """Train a round by another of its trials, with matching recipe and steps."""
    protocol = parse(Protocol, events[0]["protocol"], "p")
    tuned = protocol.with_setting(events[trial]["setting"])
    steps = tuned.regime.max_steps(events[round_]["training_labels"])
    events[round_].update(setting=events[trial]["setting"], recipe=tuned.recipe, steps=steps)
    events[round_]["extra"].update(selected_step=float(steps))


def own_setting(events: Lines) -> None:
    """Try another setting instead of the drawn one, with a matching recipe."""
    setting = events[3]["setting"] | {"optimizer.lr": 0.5}
    events[3].update(setting=setting, recipe=parse(Protocol, events[0]["protocol"], "p").with_setting(setting).recipe)


def one_more(events: Lines) -> None:
    events.insert(6, events[5] | {"trial": 3})


def trial_of_the_next_round_early(events: Lines) -> None:
    events.insert(6, events.pop(8) | {"time": events[6]["time"]})


def after_the_round(events: Lines) -> None:
    events[5], events[6] = events[6] | {"time": events[5]["time"]}, events[5] | {"time": events[6]["time"]}


def trial_of_no_round(events: Lines) -> None:
    events.insert(16, events[15] | {"round": 3})


@pytest.mark.parametrize("name", ["every", "start", "apart", "apart-start"])
def test_the_untouched_study_is_compliant(study: Callable[[str], StudyFolder], name: str) -> None:
    result = check_study(study(name).path)
    assert result.findings == ()
    assert {(r.evaluated, r.planned) for r in result.results} == {(6, 6)}


@pytest.mark.parametrize(
    ("do", "broken", "unverifiable"),
    [
        (lambda e: e.pop(5), "TRN-06", ""),
        (lambda e: e.pop(3), "TRN-06", ""),
        (one_more, "TRN-06", ""),
        (own_setting, "TRN-06", ""),
        (after_the_round, "TRN-06 TRN-08", ""),
        (trial_of_the_next_round_early, "TRN-08", ""),
        (trial_of_no_round, "TRN-06", ""),
        (lambda e: e.__delitem__(slice(16, None)), "CMP-03", ""),  # killed after the last round's trials
        (lambda e: e[3].update(recipe="1" * 64), "TRN-06", ""),
        (lambda e: (e[3].update(trial=1), e[4].update(trial=0)), "TRN-06", ""),
        (lambda e: settled(e, 6, 3), "TRN-07", ""),
        (lambda e: e[3]["validation"].update(accuracy=0.9), "TRN-07", ""),
        (lambda e: settled(e, 11, 4), "TRN-07", ""),  # of the round before
        (lambda e: e[6].update(setting={}), "TRN-07", ""),
        (lambda e: e[6].update(recipe="1" * 64), "TRN-07", ""),
        (lambda e: (e[6].update(steps=99), e[6]["extra"].update(selected_step=99.0)), "TRN-07", ""),
        (lambda e: [e[k].update(validation={}) for k in (3, 4)], "", "TRN-07"),
        (lambda e: e[3].update(scored_on="1" * 64), "TRN-08", ""),
        (lambda e: e[9].update(examined=2), "TRN-08", ""),
        (lambda e: e[3].update(initial_weights="1" * 64), "TRN-08", ""),
    ],
)
def test_exactly_the_rules_that_must_fire_do(
    study: Callable[[str], StudyFolder], do: Callable[[Lines], object], broken: str, unverifiable: str
) -> None:
    folder = study("every")
    rewrite(folder.run(RunId("small", "first", 0)).events, do)
    assert answers(folder) == {"broken": set(broken.split()), "unverifiable": set(unverifiable.split())}


def test_of_trials_on_the_starting_set_everybody_has_the_same(study: Callable[[str], StudyFolder]) -> None:
    folder = study("start")
    rewrite(folder.run(RunId("small", "first", 0)).events, lambda e: e[3]["validation"].update(accuracy=0.2))
    assert answers(folder) == {"broken": {"TRN-09"}, "unverifiable": set()}


def test_tuning_again_although_only_the_start_was_declared(study: Callable[[str], StudyFolder]) -> None:
    folder = study("start")
    rewrite(
        folder.run(RunId("small", "first", 0)).events,
        lambda e: e.insert(8, e[3] | {"round": 1, "examined": 1, "time": e[8]["time"]}),
    )
    assert answers(folder)["broken"] == {"TRN-06"}


def test_other_held_out_images_than_the_seed_draws(study: Callable[[str], StudyFolder]) -> None:
    folder = study("apart")
    other = lines(folder.run(RunId("small", "first", 1)).events)
    rewrite(folder.run(RunId("small", "first", 0)).events, lambda e: e[2].update(scored_on=other[2]["scored_on"]))
    assert answers(folder) == {"broken": {"TRN-08"}, "unverifiable": set()}


def test_trials_and_settings_where_the_protocol_tunes_nothing(tmp_path: Path, built: dict[str, Path]) -> None:
    plain = build_study(tmp_path / "plain")
    trial = lines(StudyFolder(built["every"]).run(RunId("small", "first", 0)).events)[3]
    rewrite(plain.run(RunId("small", "first", 0)).events, lambda e: e.insert(3, trial | {"time": e[3]["time"]}))
    rewrite(plain.run(RunId("small", "first", 1)).events, lambda e: e[3].update(setting={"optimizer.lr": 0.5}))
    assert {"TRN-06", "TRN-07"} == answers(plain)["broken"]

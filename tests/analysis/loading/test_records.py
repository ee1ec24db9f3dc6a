from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.loading.records import load_study
from analysis.loading.table import load_table
from analysis.verdict.decide import compare
from analysis.verdict.sentences import summary
from protocol.errors import InputError
from protocol.record.amendments import amend
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from tests.analysis.simulated import curve, make_study, write_run, write_study
from tests.support.study_builder import rewrite


def test_a_whole_study(folder: StudyFolder, study: Study) -> None:
    curves = load_study(folder.path)
    assert (len(curves.planned), curves.complete, curves.missing) == (36, 36, ())
    assert not curves.exploratory
    assert curves.strategies == ("random", "good", "bad")
    row = curves.frame[(curves.frame["metric"] == "accuracy") & (curves.frame["strategy"] == "good")].iloc[0]
    assert row["value"] == curve(0, 0.05)[0]
    assert (row["dataset"], row["regime"], row["budget"]) == ("digits", "plain", 20)


def test_every_kind_of_missing_run_is_listed_with_its_reason(folder: StudyFolder, study: Study) -> None:
    plain, _ = study.protocols
    random, good, _ = study.strategies
    shutil.rmtree(folder.run(RunId("plain", "good", 0)).path)
    for seed, end in ((1, "failed"), (2, "open")):
        shutil.rmtree(folder.run(RunId("plain", "good", seed)).path)
        write_run(folder, plain, good, seed, curve(seed, 0.05), end)
    shutil.rmtree(folder.run(RunId("plain", "good", 3)).path)
    shutil.copytree(folder.run(RunId("augmented", "good", 3)).path, folder.run(RunId("plain", "good", 3)).path)
    shutil.rmtree(folder.run(RunId("plain", "good", 4)).path)
    shutil.copytree(folder.run(RunId("plain", "bad", 4)).path, folder.run(RunId("plain", "good", 4)).path)
    events = folder.run(RunId("plain", "good", 5)).events
    events.write_bytes(events.read_bytes().replace(b'"digest":"d"', b'"digest":"e"', 1))  # the next line's hash tells
    write_run(folder, plain, random, 99, curve(99, 0.0))
    curves = load_study(folder.path)
    reasons = {(m.run.seed if m.planned else "extra"): m.reason for m in curves.missing}
    assert curves.complete == 30
    assert reasons[0] == "not run"
    assert reasons[1] == "failed"
    assert reasons[2] == "not finished"
    assert "another protocol" in reasons[3]
    assert "another run (bad" in reasons[4]
    assert "broken record at line 2" in reasons[5]
    assert reasons["extra"].startswith("not in the plan")
    assert not ((curves.frame["protocol"] == "plain") & (curves.frame["strategy"] == "good")).any()


def test_fingerprint_and_protocol_of_a_record_must_both_be_the_planned_ones(folder: StudyFolder) -> None:
    other_body, other_fingerprint = RunId("plain", "good", 0), RunId("plain", "good", 1)
    rewrite(folder.run(other_body).events, lambda e: e[0]["protocol"].update(root_seed=99))
    rewrite(folder.run(other_fingerprint).events, lambda e: e[0].update(fingerprint="0" * 64))
    curves = load_study(folder.path)
    assert [m.run for m in curves.missing] == [other_body, other_fingerprint]
    assert all("another protocol" in m.reason for m in curves.missing)
    rows = curves.frame[(curves.frame["protocol"] == "plain") & (curves.frame["strategy"] == "good")]
    assert set(rows["seed"]) == {2, 3, 4, 5}


def test_not_a_study_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study\.json"):
        load_study(tmp_path)


def test_a_study_survives_the_way_through_csv(folder: StudyFolder, tmp_path: Path) -> None:
    curves = load_study(folder.path)
    curves.to_csv(tmp_path / "all.csv")
    again = load_table(tmp_path / "all.csv", metric="accuracy", plan=curves.plan, test_size=20_000)
    assert again.exploratory
    assert compare(again).verdicts == compare(curves).verdicts


def test_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    curves = load_study(write_study(tmp_path / "s", make_study(), {"good": 0.01, "bad": -0.003}).path)
    mixed = curves.frame.sample(frac=1, random_state=3)
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    curves.to_csv(tmp_path / "tidy.csv")
    tidy, shuffled = (compare(load_table(tmp_path / f"{n}.csv", metric="accuracy")) for n in ("tidy", "mixed"))
    assert {(v.protocol, v.strategy): v for v in tidy.verdicts} == {
        (v.protocol, v.strategy): v for v in shuffled.verdicts
    }


def test_holes_are_missing_runs(table) -> None:  # type: ignore[no-untyped-def]
    rows = "random,0,10,.1\nrandom,0,20,.2\nrandom,1,10,.1\nrandom,1,20,.2\nx,0,10,.3\nx,0,20,\n"
    with pytest.raises(InputError, match=r"no run of x has all of them(.|\n)*loses 1 of 3 runs"):
        table(rows)
    curves = table(rows + "x,2,10,.3\nx,2,20,.4\nrandom,2,10,.1\nrandom,2,20,.2\n")
    assert [str(m) for m in curves.missing] == [
        "all/x/seed-0: no value at budget 20",
        "all/x/seed-1: no rows in the table",
    ]
    assert (curves.complete, len(curves.planned)) == (4, 6)
    (verdict,) = compare(curves).verdicts
    assert (verdict.n, verdict.n_planned, verdict.answer) == (1, 3, "undecided")
    absent = table(rows.replace("x,0,20,\n", "") + "x,2,10,.3\nx,2,20,.4\nrandom,2,10,.1\nrandom,2,20,.2\n")
    assert (absent.missing, absent.warnings) == (curves.missing, curves.warnings)  # an absent row is an empty cell


def test_unequal_budgets_are_refused_or_cropped(table) -> None:  # type: ignore[no-untyped-def]
    rows = "random,0,10,.1\nrandom,0,20,.2\nrandom,0,40,.3\nx,0,20,.3\nx,0,40,.5\n"
    with pytest.raises(InputError, match="same budgets"):
        table(rows)
    curves = table(rows, mismatch="crop")
    assert curves.frame["budget"].tolist() == [20, 40, 20, 40]
    assert "2 of 3 budgets" in curves.warnings[0]
    with pytest.raises(InputError, match="share no budget"):
        table("random,0,10,.1\nx,0,20,.3\n", mismatch="crop")


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        ("random,0,10\n", "strategy,seed,budget", "no value"),
        ("", "strategy,seed,budget,value", "only a header"),
        ("random,0,10,good\n", "strategy,seed,budget,value", r"csv:2: value(.|\n)*'good'"),
        ("random,0,10,inf\n", "strategy,seed,budget,value", "a finite number"),
        (
            "random,a,10,1\nrandom,0,-3,1\n",
            "strategy,seed,budget,value",
            r"an integer(.|\n)*a whole number of at least 0",
        ),
        ("random,0,10,1\nrandom,0,10,1\n", "strategy,seed,budget,value", "repeated in lines 2, 3"),
        ("entropy,0,10,1\n", "strategy,seed,budget,value", "baseline"),
        ("random,0,10,1,a\nrandom,0,10,1,b\n", "strategy,seed,budget,value,metric", "one metric"),
        ("random,0,10,1,p,a\nx,0,10,1,p,b\n", "strategy,seed,budget,value,protocol,dataset", "one dataset"),
        ("random,0,10,1,a\nrandom,1,10,1,b\n", "strategy,seed,budget,value,study", "one study"),
    ],
)
def test_bad_tables_are_explained(table, rows: str, header: str, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says):
        table(rows, header)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_table(tmp_path / "none.csv")


def test_an_amended_study_says_so_and_is_exploratory(folder: StudyFolder, study: Study) -> None:
    assert "As planned before the first run" in summary(compare(load_study(folder.path)))
    amend(
        folder,
        study.model_copy(update={"plan": study.plan.model_copy(update={"delta": 0.02})}),
        "two points matter to us",
    )
    curves = load_study(folder.path)
    assert (curves.exploratory, curves.amended) == (True, 1)
    text = summary(compare(curves))
    assert "Exploratory: the plan was amended 1 time after the study had started" in text
    assert "two points matter to us" in text
    assert "As planned" not in text

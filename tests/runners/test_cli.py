"""The real front door at toy size: every verb, every exit code, and what bad input is answered."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from analysis.figures import FIGURES
from protocol.record.chain import essence, read
from protocol.record.layout import StudyFolder
from runners import cli
from runners.cli import reading
from runners.cli.verbs import VERBS, load
from tests.support.front_door import beatrandom

TOY = """
name = "toy"
strategies = ["margin", "entropy"]
seeds = 2
plan = { test = "t" }

[[protocols]]
base = "digits-plain"
name = "toy"
budgets = [20, 30, 40]
model = { width = 4 }
regime = { steps = 5 }
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "toy.toml").write_text(TOY)
    beatrandom("run", "toy.toml", "--out", "study", cwd=folder)
    return folder


COMMANDS: dict[str, Callable[..., None]] = {
    str(command.callback.__name__): command.callback
    for group in cli.app.registered_groups
    if group.typer_instance
    for command in group.typer_instance.registered_commands
    if command.callback
}


def test_the_help_of_figures_names_every_figure() -> None:
    text = " ".join((reading.figures.__doc__ or "").split())
    assert [name for name in FIGURES if name not in text] == []


def test_help_is_quick_and_needs_no_torch(tmp_path: Path) -> None:
    heavy = ("torch", "pandas", "matplotlib", "pydantic", "scipy", "typer.rich_utils", "rich.markdown")
    code = (
        "import sys; from runners import cli; sys.argv = ['beatrandom', '--help']\ntry: cli.main()\n"
        f"except SystemExit: print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "quickstart" in done.stdout


def test_the_help_page_lists_every_verb_with_its_first_paragraph(tmp_path: Path) -> None:
    page = beatrandom("--help", cwd=tmp_path).stdout
    words = " ".join(page.replace("│", " ").split())
    for verb, command in COMMANDS.items():
        assert f"{verb} " in words
        first = " ".join((command.__doc__ or "").partition("\n\n")[0].replace("`", "").split())
        assert first in words


def test_every_verb_takes_what_its_command_gives() -> None:
    assert set(VERBS) == set(COMMANDS)
    for verb, command in COMMANDS.items():
        names = inspect.signature(command).parameters
        inspect.signature(load(verb)).bind(**dict.fromkeys(names))


def test_run_again_changes_nothing(finished: Path) -> None:
    records = sorted((finished / "study" / "records").rglob("events.jsonl"))
    before = [r.read_bytes() for r in records]
    assert len(records) == 6
    assert "6 done already, 0 to do" in beatrandom("run", "toy.toml", "--out", "study", cwd=finished).stdout
    assert "6 done already" in beatrandom("run", "study", cwd=finished).stdout
    assert [r.read_bytes() for r in records] == before


BACKENDS = {"local": "local.Local", "inline": "inline.Inline", "ray": "ray.RayBackend", "slurm": "slurm.SlurmBackend"}


@pytest.mark.parametrize("name", BACKENDS)
def test_where_nothing_is_left_no_executor_is_started(
    name: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"runners.executors.{BACKENDS[name]}.__init__", None)
    assert "All runs are done" in beatrandom("run", "study", "--executor", name, cwd=finished).stdout
    assert "did you mean" in beatrandom("run", "study", "--executor", f"{name}s", cwd=finished, check=2).stderr


def test_check_status_compare_figures_report(finished: Path) -> None:
    assert json.loads(beatrandom("check", "study", "--json", cwd=finished).stdout)
    assert json.loads(beatrandom("status", "study", "--json", cwd=finished).stdout)["counts"] == {"done": 6}
    verdicts = json.loads(beatrandom("compare", "study", "--json", cwd=finished).stdout)
    assert verdicts
    table = beatrandom("compare", "study", cwd=finished).stdout
    assert "margin" in table
    assert "undecided" in table  # two seeds can never decide
    other = json.loads(
        beatrandom("compare", "study", "--delta", "0.03", "--baseline", "margin", "--json", cwd=finished).stdout
    )
    assert (verdicts["exploratory"], other["exploratory"]) == (False, True)
    assert "changed after planning: plan, baseline" in other["notes"][0]
    assert "leave out --wide" in beatrandom("compare", "study", "--wide", "budget", cwd=finished, check=2).stderr
    assert (
        "did you mean 'accuracy'" in beatrandom("compare", "study", "--metric", "acuracy", cwd=finished, check=2).stderr
    )
    assert "toprule" in beatrandom("compare", "study", "--latex", cwd=finished).stdout
    assert "| " in beatrandom("compare", "study", "--markdown", cwd=finished).stdout
    beatrandom("figures", "study", cwd=finished)
    written = {p.suffix for p in (finished / "study" / "analysis").iterdir()}
    assert {".pdf", ".svg", ".png", ".csv", ".md", ".tex"} <= written
    beatrandom("report", "study", cwd=finished)
    assert (finished / "study" / "report.html").stat().st_size > 20_000


def test_more_seeds_openly(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "study", tmp_path / "study")
    (tmp_path / "more.toml").write_text(TOY.replace("seeds = 2", "seeds = 3"))
    assert "a folder of the plan" in beatrandom("run", "more.toml", "--out", "study", cwd=tmp_path, check=2).stderr
    assert "why the plan" in beatrandom("amend", "study", "more.toml", "--reason", " ", cwd=tmp_path, check=2).stderr
    beatrandom("amend", "study", "more.toml", "--reason", "two seeds were too few", cwd=tmp_path)
    assert "6 done already, 3 to do" in beatrandom("run", "study", cwd=tmp_path).stdout
    done = beatrandom("check", "study", cwd=tmp_path)
    assert "two seeds were too few" in done.stdout
    assert "1 amendments" in done.stdout


def test_plan_says_what_it_costs_and_what_it_can_decide(finished: Path) -> None:
    plan = json.loads(beatrandom("plan", "toy.toml", "--json", cwd=finished).stdout)
    assert plan["runs"] == 6
    assert plan["labels"] == 240
    assert plan["expected_seconds"] > 0
    assert plan["power"]
    (finished / "exact.toml").write_text(TOY.replace('plan = { test = "t" }', ""))
    assert "Smallest reachable p" in beatrandom("plan", "exact.toml", cwd=finished).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["protocols"],
        ["protocols", "show", "digits-plain"],
        ["strategies"],
        ["strategies", "show", "core-set"],
        ["strategies", "show", "statistics:mean"],
        ["regimes"],
        ["datasets"],
    ],
)
def test_catalogues(words: list[str], tmp_path: Path) -> None:
    assert len(beatrandom(*words, cwd=tmp_path).stdout) > 200


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("strategies", "strategys"), "unknown key 'strategys'"),
        (('"entropy"', '"entrpy"'), "did you mean 'entropy'?"),
        (('"digits-plain"', '"digits-plane"'), "did you mean 'digits-plain'?"),
        (("[20, 30, 40]", "[20, 40, 30]"), "strictly increasing"),
        (("[20, 30, 40]", "[20, 30, 4000]"), "at most 1797 images"),
        (("[20, 30, 40]", '[20, "30"]'), "valid integer"),
        (("budgets = [20", "splits = { validation_size = 30 }\nbudgets = [20"), "exceed the counted validation labels"),
        (("budgets = [20", 'data = { name = "digit" }\nbudgets = [20'), "digits"),
        (("steps = 5", "steps = nan"), "valid integer"),
        (("name = ", "name = \nname = "), "valid TOML"),
        (("seeds = 2", "seeds = [1, 1]"), "more than once"),
        (('"margin"', '"nothing.py:Mine"'), "no file nothing.py"),
        (('model = { width', 'model = { name = "resnet19", width'), "resnet18"),
    ],
)  # fmt: skip
def test_bad_studies_are_answered_in_one_screen(edit: tuple[str, str], said: str, tmp_path: Path) -> None:
    assert edit[0] in TOY
    (tmp_path / "bad.toml").write_text(TOY.replace(*edit))
    done = beatrandom("run", "bad.toml", cwd=tmp_path, check=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) < 40
    assert [p.name for p in tmp_path.iterdir()] == ["bad.toml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "absent.toml"], "no such file"),
        (["check", "."], "study.json"),
        (["compare", "absent.csv"], "absent.csv"),
        (["report", "."], "study.json"),
        (["strategies", "show", "rnadom"], "did you mean 'random'?"),
        (["strategies", "show", "absent.py:Mine"], "no file absent.py in the working directory"),
        (["strategies", "list", "statistics:mean"], "nothing, or: show NAME"),
        (["protocols", "shwo"], "show NAME"),
        (["plan", "absent.toml"], "no such file"),
    ],
)
def test_bad_words_exit_with_2(words: list[str], said: str, tmp_path: Path) -> None:
    assert said in beatrandom(*words, cwd=tmp_path, check=2).stderr


def test_a_folder_of_another_plan_is_refused_and_untouched(finished: Path) -> None:
    (finished / "other.toml").write_text(TOY.replace("seeds = 2", "seeds = 3"))
    before = sorted(p for p in (finished / "study").rglob("*"))
    assert "a folder of the plan" in beatrandom("run", "other.toml", "--out", "study", cwd=finished, check=2).stderr
    assert sorted(p for p in (finished / "study").rglob("*")) == before


def test_one_failing_strategy_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "mine.py").write_text("def pick(view, n, rng):\n    raise RuntimeError('no idea')\n")
    done = beatrandom("run", "toy.toml", "--strategy", "mine.py:pick", "--out", "s", cwd=tmp_path, check=1)
    assert "no idea" in done.stdout
    assert "2 failed" in done.stdout
    counts = json.loads(beatrandom("status", "s", "--json", cwd=tmp_path).stdout)["counts"]
    assert counts == {"done": 6, "failed": 2}
    beatrandom("check", "s", cwd=tmp_path, check=1)
    assert "2" in beatrandom("compare", "s", cwd=tmp_path).stdout


MANY = TOY.replace("seeds = 2", "seeds = 6")
"""Eighteen runs: a signal sent when the first has begun cannot come after the last has ended."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "toy.toml").write_text(MANY)
    beatrandom("run", "toy.toml", "--out", "study", cwd=folder)
    return folder


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_killed_in_the_middle_the_same_command_gives_the_same_records(
    how: signal.Signals, undisturbed: Path, tmp_path: Path
) -> None:
    (tmp_path / "toy.toml").write_text(MANY)
    words = [sys.executable, "-c", "from runners.cli import main; main()", "run", "toy.toml", "--out", "study"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 300
    while (
        time.monotonic() < until and len(list(tmp_path.rglob("events.jsonl"))) < 4
    ):  # runs have ended and others are under way
        time.sleep(0.01)
    if how == signal.SIGINT:
        process.send_signal(how)
    else:
        os.killpg(process.pid, how)  # parent and fork server at once, as a power cut, `timeout` or a scheduler would
    _, stderr = process.communicate(timeout=300)
    assert "Traceback" not in stderr
    if how != signal.SIGKILL:
        assert process.returncode == 130
        assert "interrupted" in stderr
        assert "same command continues" in stderr
        assert "failed" not in json.loads(beatrandom("status", "study", "--json", cwd=tmp_path).stdout)["counts"]
    beatrandom("run", "toy.toml", "--out", "study", cwd=tmp_path)
    mine, theirs = StudyFolder(tmp_path / "study"), StudyFolder(undisturbed / "study")
    paths = sorted(theirs.records.rglob("events.jsonl"))
    assert len(paths) == 18
    for path in paths:
        assert essence(read(mine.records / path.relative_to(theirs.records))) == essence(read(path))
    beatrandom("check", "study", cwd=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "expected" in beatrandom("run", "toy.toml", "--out", "locked/study", cwd=tmp_path, check=2).stderr


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "file").write_text("kept")
    assert "expected" in beatrandom("run", "toy.toml", "--out", "file/study", cwd=tmp_path, check=2).stderr
    assert (tmp_path / "file").read_text() == "kept"


def test_dry_run_only_and_stopping_by_the_clock(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    shown = beatrandom("run", "toy.toml", "--dry-run", "--only", "strategy=margin|random,seed<1", cwd=tmp_path).stdout
    assert [line.split()[0] for line in shown.splitlines() if "seed-" in line] == [
        "toy/random/seed-0",
        "toy/margin/seed-0",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["toy.toml"]
    assert (
        "interrupted" in beatrandom("run", "toy.toml", "--out", "s", "--max-hours", "0", cwd=tmp_path, check=130).stderr
    )
    inline = ("run", "toy.toml", "--out", "s", "--executor", "inline")
    assert "These runs are done" in beatrandom(*inline, "--only", "strategy=margin|random,seed<1", cwd=tmp_path).stdout
    said = beatrandom("status", "s", cwd=tmp_path).stdout
    assert "MiB on disk" in said
    assert "of work left; nothing is running" in said
    machine = json.loads(beatrandom("status", "s", "--json", cwd=tmp_path).stdout)
    assert machine["counts"] == {"done": 2, "missing": 4}
    assert machine["expected_seconds"] > 0
    assert (
        "conditions that some planned run meets"
        in beatrandom(*inline, "--only", "seed>7", cwd=tmp_path, check=2).stderr
    )


def test_a_run_that_keeps_failing_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "mine.py").write_text("def pick(view, n, rng):\n    raise RuntimeError('no idea')\n")
    words = (
        "run",
        "toy.toml",
        "--strategy",
        "mine.py:pick",
        "--out",
        "s",
        "--executor",
        "inline",
        "--only",
        "strategy=mine*,seed=0",
    )
    for _ in range(3):
        assert "1 failed" in beatrandom(*words, cwd=tmp_path, check=1).stdout
    said = beatrandom(*words, cwd=tmp_path, check=1).stdout
    assert "0 to do" in said
    assert "failed 3 times without a finished round in between" in said
    assert "left alone from now on" in beatrandom("status", "s", cwd=tmp_path).stdout
    assert "1 failed" in beatrandom(*words, "--retry-failed", cwd=tmp_path, check=1).stdout


def test_what_a_terminal_cannot_spell_is_a_question_mark_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from runners.cli import main; main()", "--help"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"protocols ? write a study" in done.stdout


def test_a_log_keeps_lines_whole_and_a_narrow_window_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    from runners.terminal.console import _Console, table

    sentence = "beatrandom check a-long-name ; beatrandom report a-long-name"
    pipe = _Console(width=20, force_terminal=False)
    pipe.print(sentence)
    assert capsys.readouterr().out == sentence + "\n"
    _Console(width=20, force_terminal=True).print(sentence)
    assert capsys.readouterr().out.count("\n") > 1  # a terminal breaks between words
    pipe.print(table("t", ["protocol", "failed attempts", "unreadable"], [("my-protocol", 12, 34)]))
    shown = capsys.readouterr().out
    assert "unreadable" in shown  # neither cut off nor folded
    assert "34" in shown


def test_status_shows_rare_columns_only_where_they_say_something(finished: Path, tmp_path: Path) -> None:
    said = beatrandom("status", "study", cwd=finished).stdout
    assert "missing" in said
    assert "unreadable" not in said
    assert "failed attempts" not in said
    shutil.copytree(finished / "study", tmp_path / "study")
    record = next((tmp_path / "study" / "records").rglob("events.jsonl"))
    record.write_text("no record\n")
    assert "unreadable" in beatrandom("status", "study", cwd=tmp_path).stdout


def test_version_and_the_short_form_of_help(tmp_path: Path) -> None:
    assert beatrandom("--version", cwd=tmp_path).stdout == f"beatrandom {version('beatrandom')}\n"
    assert beatrandom("-h", cwd=tmp_path).stdout == beatrandom("--help", cwd=tmp_path).stdout
    assert "--all" in beatrandom("check", "-h", cwd=tmp_path).stdout
    assert "--version" in beatrandom("-h", cwd=tmp_path).stdout


def test_an_unknown_name_among_many_lists_the_nearest(tmp_path: Path) -> None:
    error = beatrandom("protocols", "show", "digits-plane", cwd=tmp_path, check=2).stderr
    assert error.index("digits-plain") < error.index("others")
    assert len(error) < 600

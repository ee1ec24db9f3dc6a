"""Own strategies in a process of their own: what they may, what they keep, and how they end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from protocol.errors import BeatRandomError
from protocol.record.events import FailureEvent
from protocol.record.layout import StudyFolder
from protocol.record.stored_arrays import read_arrays
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from runners.confine.server import empty
from runners.progress.job import Stopped
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, resolve
from runners.run.perform import perform
from runners.run.replay import replay_run
from tests.conftest import toy_table
from tests.support.own_strategy import job_of, job_of_source, record_of

HONEST = {
    "keeps a cache in its temporary folder": """import tempfile, pathlib, numpy
    file = pathlib.Path(tempfile.mkdtemp()) / 'cache.npy'
    numpy.save(file, view.unlabelled)
    return numpy.load(file)[:n]""",
    "forks": """import os
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, b'7')
        os._exit(0)
    assert os.read(reading, 1) == b'7'
    return view.unlabelled[:n]""",
    "uses a pool of processes": """import multiprocessing
    with multiprocessing.get_context('fork').Pool(2) as pool:
        kept = pool.map(abs, view.unlabelled[:n].tolist())
    return kept""",
    "uses joblib": """import joblib
    return joblib.Parallel(2)(joblib.delayed(abs)(i) for i in view.unlabelled[:n].tolist())""",
    "uses threads": """from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(abs, view.unlabelled[:n].tolist()))""",
    "compiles its own function": """import torch
    return view.unlabelled[:n] if twice(torch.ones(2)).sum() == 4 else None


import torch


@torch.jit.script
def twice(x: torch.Tensor) -> torch.Tensor:
    return x + x""",
    "registers hooks and changes settings": """import torch
    torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: None)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.contiguous = None
    return view.unlabelled[:n]""",
    "trains a network of its own": """import torch
    x, y = view.labelled_embeddings, torch.from_numpy(view.labels.copy())
    net = torch.nn.Linear(x.shape[1], view.classes)
    best = torch.optim.Adam(net.parameters())
    for _ in range(3):
        best.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        best.step()
    return view.unlabelled[net(view.embeddings).amax(1).argsort()[:n].numpy()]""",
    "draws from the global generators": """import numpy, random, torch
    return view.unlabelled[numpy.random.permutation(len(view.unlabelled))[:n]]""",
    "reads its own source": """import inspect
    assert 'assert' in inspect.getsource(select)
    return view.unlabelled[:n]""",
    "imports what is installed": "import json.tool, sklearn.cluster, pandas; return view.unlabelled[:n]",
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_strategy_runs_and_replays(name: str, toy_study: Study, tmp_path: Path) -> None:
    job = job_of(tmp_path / "run", toy_study, HONEST[name])
    result = perform(job)
    assert result.state == "done", result.message
    run = StudyFolder(job.study).run(job.run)
    assert [r.answer for r in replay_run(run, [1], None, None)] == ["equal"]


COUNTER = """
import numpy

class Mine:
    def __init__(self):
        self.seen = 0

    def select(self, view, n, rng):
        self.seen += 1
        return view.unlabelled[self.seen - 1 :][:n]
"""
STATE = """

    def state(self):
        return {"seen": numpy.asarray([self.seen])}

    def restore(self, state):
        [self.seen] = state["seen"]
"""


def bought(job: object) -> list[tuple[int, ...]]:
    return [e.query for e in record_of(job).rounds]  # type: ignore[arg-type]  # a Job


@pytest.mark.parametrize("declared", [False, True])
def test_state_is_declared_or_none_with_and_without_interruption(
    declared: bool, toy_study: Study, tmp_path: Path
) -> None:
    source = COUNTER + (STATE if declared else "")
    whole = job_of_source(tmp_path / "whole", toy_study, source, name="Mine")
    assert perform(whole).state == "done"
    broken = job_of_source(tmp_path / "broken", toy_study, source, name="Mine")

    def stop(rounds: int, _: int) -> None:
        if rounds == 1:
            raise Stopped

    assert perform(broken, stop).state == "stopped"
    assert perform(broken).state == "done"
    assert bought(broken) == bought(whole)
    states = [e.state for e in record_of(whole).rounds]
    if declared:
        assert [None if s is None else read_arrays(s)["seen"].tolist() for s in states] == [[1], [2], None]
    else:
        assert states == [None] * 3
    run = StudyFolder(broken.study).run(broken.run)
    assert [r.answer for r in replay_run(run, None, None, None)] == ["equal"] * 3


ENDS = {
    "ends its process": ("import os; os._exit(0)", "its process ended: exit code 0"),
    "kills its process": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "raises": ("raise RuntimeError('no luck')", "RuntimeError: no luck (line 3 of its file)"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "returns a huge array": ("import numpy; return numpy.zeros(10**6, int)", "10 indices"),
    "returns positions": ("import numpy; return numpy.arange(n)", "not in the pool"),
    "keeps too much": (
        "return view.unlabelled[:n]",
        "at most 1048576 bytes",
    ),
}
TOO_MUCH = """
import numpy
select.select = select
select.state = lambda: {"a": numpy.zeros(2**18)}
"""


@pytest.mark.parametrize("name", ENDS)
def test_a_failure_costs_its_own_run_and_is_recorded(name: str, toy_study: Study, tmp_path: Path) -> None:
    body, said = ENDS[name]
    job = job_of(tmp_path / "run", toy_study, body, after=TOO_MUCH if "too much" in name else "")
    result = perform(job)
    assert result.state == "failed"
    assert said in result.message
    assert len(record_of(job).of(FailureEvent)) == 1


def test_the_traceback_of_the_strategy_is_in_the_record(toy_study: Study, tmp_path: Path) -> None:
    job = job_of(tmp_path / "run", toy_study, "return deeper()", after="def deeper():\n    return 1 / 0\n")
    assert perform(job).state == "failed"
    [failure] = record_of(job).of(FailureEvent)
    assert "in deeper" in failure.details
    assert "ZeroDivisionError" in failure.message


@pytest.mark.parametrize("at", ["import", "select"])
def test_a_strategy_that_ends_its_process_is_told_before_and_in_the_run(
    at: str, toy_study: Study, tmp_path: Path
) -> None:
    if at == "import":
        with pytest.raises(BeatRandomError, match="its process ended: exit code 0"):
            job_of(tmp_path / "run", toy_study, "return view.unlabelled[:n]", before="import os; os._exit(0)")
    else:
        assert perform(job_of(tmp_path / "run", toy_study, "__import__('os')._exit(0)")).state == "failed"


def test_non_determinism_is_found_by_asking_twice(toy_study: Study, tmp_path: Path) -> None:
    body = "import os; k = os.urandom(1)[0] % 200; return view.unlabelled[k : k + n]"
    job = job_of(tmp_path / "run", toy_study, body)
    assert perform(job).state == "done"
    answers = list(replay_run(StudyFolder(job.study).run(job.run), [0], None, None))
    assert answers[0].answer == "differs"
    assert "asked twice" in answers[0].said or "reproduced" in answers[0].said


def test_what_one_round_leaves_is_gone_in_the_next(toy_study: Study, tmp_path: Path) -> None:
    body = """import os, tempfile, pathlib
    note = pathlib.Path(tempfile.gettempdir()) / 'note'
    left = note.exists() or pathlib.Path('/dev/shm/note').exists() or hasattr(os, 'note')
    note.write_text('seen')
    os.note = True
    try:
        pathlib.Path('/dev/shm/note').write_text('seen')
    except OSError:
        pass
    return view.unlabelled[5 if left else 0 :][:n]"""
    job = job_of(tmp_path / "run", toy_study, body)
    assert perform(job).state == "done"
    clean = job_of(tmp_path / "clean", toy_study, "return view.unlabelled[:n]")
    assert perform(clean).state == "done"
    assert bought(job) == bought(clean)
    assert not Path("/dev/shm/note").exists()


def test_what_a_round_started_ends_with_it(toy_study: Study, tmp_path: Path) -> None:
    """Though it left the session and lost its parent; the mark in its command line is its own."""
    mark = f"600.{os.getpid()}"
    body = f"""import os
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.set_inheritable(writing, False)  # closes when sleep has replaced this process
            os.execvp('sleep', ['sleep', '{mark}'])
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b''
    lines = [open(f'/proc/{{name}}/cmdline').read() for name in os.listdir('/proc') if name.isdigit()]
    assert any('{mark}' in line for line in lines)
    return view.unlabelled[:n]"""
    result = perform(job_of(tmp_path / "run", toy_study, body))
    assert result.state == "done", result.message
    assert not [p.pid for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or ())]


def test_the_view_is_that_of_a_built_in_strategy_in_another_order(toy_study: Study, tmp_path: Path) -> None:
    """Least confidence as an own strategy buys what the built-in one buys, ties aside."""
    own = job_of(
        tmp_path / "own",
        toy_study.model_copy(update={"strategies": (*toy_study.strategies[:1],)}),
        "return view.unlabelled[view.probabilities.amax(1).argsort()[:n].numpy()]",
    )
    assert perform(own).state == "done"
    path = tmp_path / "built"
    whole = resolve(toy_study.with_strategies((*toy_study.strategies[:1], StrategySpec(name="least-confidence"))), path)
    adopt(StudyFolder(path), whole, path)
    [run] = [r for r in planned_runs(whole) if r.strategy.name != "random" and r.seed == 0]
    [built] = jobs(StudyFolder(path), whole, None, "cpu", 1, [run])
    assert perform(built).state == "done"
    assert [sorted(q) for q in bought(own)] == [sorted(q) for q in bought(built)]
    assert np.concatenate([np.asarray(q) for q in bought(own)]).max() < 1797


TRAINS = """
import numpy, torch
from runners.strategies import Strategy, top


class Mine(Strategy):
    needs = ("images", "probabilities")

    def prepare(self, context, generator):
        with torch.no_grad():
            logits = context.network()(context.scaled(context.view.images))
        assert torch.allclose(logits.softmax(1), context.view.probabilities, atol=1e-5)
        predict = context.retrained(context.view.unlabelled[:5], numpy.zeros(5, int))
        self.p = predict(context.view.unlabelled)
        assert torch.allclose(self.p[3:7], predict(context.view.unlabelled[3:7]), atol=1e-6)
        try:
            context.retrained(numpy.arange(3), numpy.zeros(3, int))
        except Exception as error:
            assert "not in the pool" in str(error)
        else:
            raise AssertionError("positions are no ids")

    def select(self, view, n, rng):
        return top(view, -self.p.amax(1), n, rng)
"""


def test_what_a_context_offers_is_there(toy_study: Study, tmp_path: Path) -> None:
    """A copy of the network, its scaling, and classifiers that the run trains for the strategy."""
    job = job_of_source(tmp_path / "run", toy_study, TRAINS, name="Mine")
    result = perform(job)
    assert result.state == "done", result.message
    assert [r.answer for r in replay_run(StudyFolder(job.study).run(job.run), [1], None, None)] == ["equal"]


MAPS = """
import torch
from runners.strategies import top
from runners.strategies.on_maps import MapStrategy


class Mine(MapStrategy):
    needs = ("map_scores",)

    def score_pixels(self, samples):
        return torch.special.entr(samples[:, 0]).sum(1)

    def select(self, view, n, rng):
        if view.division is not None:
            image = view.division.units.image_of(view.unlabelled[:1])
            assert view.unlabelled[0] in view.division.maps(image)
        return top(view, view.map_scores, n, rng)
"""


@pytest.mark.parametrize("tiles", [False, True])
def test_own_scores_of_maps_are_those_of_the_built_in_strategy(tiles: bool, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"budgets": [9, 12, 16], "labelling": {"unit": "tile", "tile": [8, 10]}} if tiles else {}
    regime = {"name": "plain", "steps": 2, "batch_size": 4, "optimizer": {"name": "adam", "lr": 0.01}}
    scenes = {"task": "segmentation", "metric": "mean_iou", "data": {"name": "digit-scenes"}, "splits": {}}
    table = toy_table(**scenes, model={"name": "unet-small", "width": 2}, regime=regime, **changes)
    study = parse(Study, {"name": "toy", "protocols": [table], "strategies": [{"name": "random"}], "seeds": [0]}, "toy")
    own = job_of_source(tmp_path / "own", study, MAPS, name="Mine")
    result = perform(own)
    assert result.state == "done", result.message
    whole = resolve(study.with_strategies((*study.strategies, StrategySpec(name="entropy"))), tmp_path)
    folder = StudyFolder(tmp_path / "built")
    adopt(folder, whole, tmp_path)
    [run] = [r for r in planned_runs(whole) if r.strategy.name == "entropy"]
    [built] = jobs(folder, whole, None, "cpu", 1, [run])
    assert perform(built).state == "done"
    assert [sorted(q) for q in bought(own)] == [sorted(q) for q in bought(built)]  # equal scores but for rounding


def test_a_strategy_that_must_see_the_order_is_refused_unless_it_is_shown(tmp_path: Path) -> None:
    source = """
class Mine:
    sees_order = True

    def select(self, view, n, rng):
        assert (view.unlabelled[1:] > view.unlabelled[:-1]).all()
        return view.unlabelled[:n]
"""
    tables = [toy_table(name=name, splits={"test_size": 200, "order": order}) for name, order in ORDERS]
    for table in tables:
        study = parse(
            Study, {"name": "toy", "protocols": [table], "strategies": [{"name": "random"}], "seeds": [0]}, "toy"
        )
        job = job_of_source(tmp_path / table["name"], study, source, name="Mine")
        result = perform(job)
        if table["splits"]["order"] == "shown":
            assert result.state == "done", result.message
            assert [list(q) for q in bought(job)] == [sorted(q) for q in bought(job)]
        else:
            assert result.state == "failed"
            assert 'splits.order = "shown"' in result.message


ORDERS = [("shown", "shown"), ("hidden", "hidden")]


def test_a_scratch_folder_that_is_no_mount_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "scratch" / "deep").mkdir(parents=True)
    (tmp_path / "scratch" / "deep" / "note").write_text("seen")
    (tmp_path / "scratch" / "note").write_text("seen")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("kept")
    (tmp_path / "scratch" / "link").symlink_to(tmp_path / "mine")
    empty(str(tmp_path / "scratch"))
    assert not list((tmp_path / "scratch").iterdir())
    assert (tmp_path / "mine" / "kept").exists()
    empty(str(tmp_path / "absent"))

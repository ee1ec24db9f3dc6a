"""What a strategy's process cannot reach. Every attempt ends in the choice of honest code, or the wall fell."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from runners.confine.kernel import landlock_version
from runners.confine.walls import readable_places
from runners.run.perform import perform
from runners.run.replay import replay_run
from tests.support.own_strategy import job_of, job_of_source, record_of

WALLED = pytest.mark.skipif(landlock_version() == 0, reason="the kernel offers no Landlock")
DIGITS = Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"

ATTEMPTS = {
    "loads the data set again": "from sklearn.datasets import load_digits; load_digits()",
    "reads the test labels of its study": (
        "import glob; [open(f) for f in glob.glob(STUDY + '/splits/*.npz')] or refused()"
    ),
    "reads the purchases of other runs": "open(STUDY + '/records/toy/random/seed-0/events.jsonl')",
    "lists its study's records": "import os; os.listdir(STUDY + '/records')",
    "reads its study through a link of its own": """import os, tempfile
        os.symlink(STUDY, tempfile.gettempdir() + '/link')
        os.listdir(tempfile.gettempdir() + '/link')""",
    "links the data set elsewhere, to read it there": """import os
        os.link(DIGITS, 'mine')
        open('mine').read() or refused()""",
    "names the data set's file from a descriptor of its folder": """import os
        os.read(os.open(os.path.basename(DIGITS), 0, dir_fd=os.open(os.path.dirname(DIGITS), 0)), 9) or refused()""",
    "opens the data set by a library in another language": """import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        os.read(libc.open(DIGITS.encode(), 0), 9) or refused()""",
    "opens the data set in a process that it starts": """import subprocess
        subprocess.run(['cat', DIGITS], check=True, capture_output=True).stdout or refused()""",
    "opens the data set in a subinterpreter": """import _xxsubinterpreters as sub
        sub.run_string(sub.create(), f'open({DIGITS!r}, chr(114) + chr(98)).read()[0]')""",
    "opens a path that changes between check and use": """import os
        class Two(os.PathLike):
            asked = 0
            def __fspath__(self):
                Two.asked += 1
                return '/etc/hostname' if Two.asked == 1 else DIGITS
        open(Two(), 'rb').read(2) == bytes([31, 139]) or open(Two(), 'rb').read() or refused()""",
    "exchanges the functions that resolve paths": """import os, posixpath
        posixpath.realpath = os.path.realpath = lambda path, **_: '/etc/hostname'
        open(DIGITS).read() or refused()""",
    "opens the data set later, in a thread": """from concurrent.futures import ThreadPoolExecutor
        ThreadPoolExecutor(1).submit(lambda: open(DIGITS, 'rb').read()).result() or refused()""",
    "reads the memory of a process": "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "looks into its parent's open files": "import os; [os.readlink(f'/proc/{os.getppid()}/fd/{k}') for k in range(5)]",
    "traces its parent": """import ctypes, os
        ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0 or refused()""",
    "reads its parent's memory by a system call": """import ctypes, os
        ctypes.CDLL(None).syscall(310, os.getppid(), 0, 0, 0, 0, 0) == 0 or refused()""",
    "opens a socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()",
    "asks a name server": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "opens a local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "takes a shared segment": "import ctypes; ctypes.CDLL(None).shmget(77, 4096, 0o1600) >= 0 or refused()",
    "writes beside its file": "open(STUDY + '/../note', 'w')",
    "writes into the home folder": "import pathlib, pwd, os; open(pwd.getpwuid(os.getuid()).pw_dir + '/.note', 'w')",
    "writes into the temporary folder of all": "open('/var/tmp/beatrandom-note', 'w')",
    "uncovers a hidden file": """import ctypes
        ctypes.CDLL(None).umount2(DIGITS.encode(), 2) == 0 or refused()""",
    "keeps the privileges of root": """import re
        int(re.search('CapEff:(.*)', open('/proc/self/status').read())[1], 16) or refused()""",
    "mounts its study elsewhere": """import ctypes
        ctypes.CDLL(None).mount(STUDY.encode(), b'.', None, 4096, None) == 0 or refused()""",
}


EVERY = """
STUDY, DIGITS, ATTEMPTS = {study!r}, {digits!r}, {attempts!r}

class NoTest(BaseException):
    pass

def refused():
    raise OSError

def fell(source):
    try:
        exec(source, {{"STUDY": STUDY, "DIGITS": DIGITS, "refused": refused}})
    except (NameError, SyntaxError, AttributeError) as error:
        raise NoTest(source) from error
    except Exception:
        return False
    return True

def select(view, n, rng):
    fallen = [name for name, source in ATTEMPTS.items() if fell(source)]
    if fallen:
        raise RuntimeError(f"no wall against: {{fallen}}")
    return view.unlabelled[:n]
"""


@WALLED
def test_every_wall_stands(toy_study: Study, tmp_path: Path) -> None:
    """One strategy tries all; each attempt that comes through is named."""
    attempts = {name: textwrap.dedent(" " * 8 + source) for name, source in ATTEMPTS.items()}
    source = EVERY.format(study=str(tmp_path / "run" / "study"), digits=str(DIGITS), attempts=attempts)
    result = perform(job_of_source(tmp_path / "run", toy_study, source))
    assert result.state == "done", result.message


def test_each_attempt_succeeds_where_no_wall_stands(tmp_path: Path) -> None:
    """In this process what needs no study and no privilege comes through, so the attempts are tests."""
    harmless = (
        "loads the data set again",
        "opens the data set by",
        "opens the data set in a process",
        "opens a socket",
    )
    space = {"STUDY": str(tmp_path), "DIGITS": str(DIGITS)}
    exec("def refused():\n    raise OSError", space)
    tried = [name for name in ATTEMPTS if name.startswith(harmless)]
    assert len(tried) == len(harmless)
    for name in tried:  # each raises if it is refused
        exec(textwrap.dedent(" " * 8 + ATTEMPTS[name]), space)


@WALLED
def test_the_parents_live_on(toy_study: Study, tmp_path: Path) -> None:
    body = """import os, signal
    for pid in (os.getppid(), PARENT):
        try:
            os.kill(pid, signal.SIGKILL)
        except PermissionError:
            pass
    return view.unlabelled[:n]""".replace("PARENT", str(os.getpid()))
    assert perform(job_of(tmp_path / "run", toy_study, body)).state == "done"


INNARDS = """import gc, sys
    from protocol.oracle.oracle import Oracle
    found = [o for o in gc.get_objects() if type(o) is Oracle]
    frame = sys._getframe()
    while frame is not None:
        found += [v for k, v in frame.f_locals.items() if k in ('oracle', 'fitted', 'examined', 'session')]
        frame = frame.f_back
    assert not found, found
    return view.unlabelled[:n]"""


@pytest.mark.parametrize("isolate", [False, True])
def test_neither_labels_nor_test_metrics_are_in_its_process(isolate: bool, toy_study: Study, tmp_path: Path) -> None:
    result = perform(job_of(tmp_path / "run", toy_study, INNARDS, isolate=isolate))
    assert result.state == "done", result.message


PATCHES = {
    "replaces a check of this program": "import runners.loop; runners.loop.check_selection = lambda s, *_: s",
    "replaces a method of the oracle": "import protocol.oracle.oracle as o; o.Oracle.buy = lambda self, indices: None",
    "replaces the code behind a metric": (
        "import protocol.metrics as m; m.classification_metrics.__code__ = (lambda *_: {}).__code__"
    ),
    "replaces an entry of a table of this program": (
        "import runners.tasks as t; t.TASKS['classification'] = t.TASKS['segmentation']"
    ),
    "replaces a method of torch": "import torch; torch.Tensor.contiguous = lambda self: self * 0",
    "registers a hook for every network": (
        "import torch; torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: 1 / 0)"
    ),
    "changes how torch computes": "import torch; torch.set_default_dtype(torch.float64)",
    "exchanges the judge of replay": ("import runners.run.replay_answer as r; r.compare_round = lambda *_, **__: None"),
}


def test_what_a_strategy_changes_ends_with_its_process(toy_study: Study, tmp_path: Path) -> None:
    """The run is, byte for byte, that of the same choice without any of the changes; so is its replay."""
    body = "chosen = view.unlabelled[:n].copy()\n    " + "\n    ".join(PATCHES.values()) + "\n    return chosen"
    changed = job_of(tmp_path / "run", toy_study, body)
    plain = job_of(tmp_path / "plain", toy_study, "return view.unlabelled[:n]")
    assert [perform(job).state for job in (changed, plain)] == ["done", "done"]
    told = [[(e.query, e.metrics, e.predictions) for e in record_of(job).rounds] for job in (changed, plain)]
    assert told[0] == told[1]
    run = StudyFolder(changed.study).run(changed.run)
    assert [r.answer for r in replay_run(run, [1], None, None)] == ["equal"]


def test_the_record_says_which_walls_stood(toy_study: Study, tmp_path: Path) -> None:
    job = job_of(tmp_path / "run", toy_study, "return view.unlabelled[:n]")
    assert perform(job).state == "done"
    start = record_of(job).run
    assert start is not None
    confined = start.environment["confined"]
    assert confined["process"] is True
    if landlock_version():
        assert confined["files"] == "landlock"
    assert set(confined) == {"process", "files", "network", "temporary"}


def test_positions_tell_nothing_about_images(toy_study: Study, tmp_path: Path) -> None:
    """The order of ids is random: the first ones are spread over the pool, and no id is a position."""
    job = job_of(tmp_path / "run", toy_study, "assert view.unlabelled.min() > 2**40; return view.unlabelled[:n]")
    assert perform(job).state == "done"
    first = [e.query for e in record_of(job).rounds][1]
    assert list(first) != sorted(first)
    assert np.ptp(first) > 600  # of 1,597 images


def test_readable_places_leave_out_the_denied_and_keep_what_is_beside(tmp_path: Path) -> None:
    (tmp_path / "a" / "study").mkdir(parents=True)
    (tmp_path / "a" / "own").mkdir()
    (tmp_path / "a" / "study" / "code").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "study")
    code, denied = str(tmp_path / "a" / "study" / "code"), str(tmp_path / "a" / "study")
    places = readable_places([denied], [code])
    assert code in places
    assert not [p for p in places if p in ("/", "/tmp", denied, str(tmp_path / "a" / "link"))]
    kept = readable_places([str(tmp_path / "a" / "study")], [str(tmp_path)])
    assert str(tmp_path / "a" / "own") in kept
    assert not [p for p in kept if re.search("study|link", p)]

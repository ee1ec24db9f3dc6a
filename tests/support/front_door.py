"""Run the real `beatrandom` in this process and capture its output."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def beatrandom(*words: str, cwd: Path, check: int | None = 0) -> Done:
    """Run the command in this process, with a fixed console width. A new process would need seconds for imports."""
    from runners import cli
    from runners.terminal.console import console

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["beatrandom", *words])
        patch.setattr(console, "width", 200)
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    done = Done(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in done.stderr, done.stderr
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done

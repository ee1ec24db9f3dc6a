"""A line is due every so often, and says how long the rest will take."""

from __future__ import annotations

import time

import pytest

from runners.machine import progress_lines


def test_a_line_is_due_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines = progress_lines.ProgressLines()
    now += progress_lines.SECONDS / 2
    assert lines.seconds_left(1, 4) is None
    now += progress_lines.SECONDS / 2
    assert lines.seconds_left(2, 8) == pytest.approx(3 * progress_lines.SECONDS)
    now += progress_lines.SECONDS / 2
    assert lines.seconds_left(3, 8) is None

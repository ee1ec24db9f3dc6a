"""A line is due every so often, and says how long the rest will take."""

from __future__ import annotations

import pytest

from runners import pace


def test_a_line_is_due_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now)
    kept = pace.Pace()
    now += pace.SECONDS / 2
    assert kept.left(1, 4) is None
    now += pace.SECONDS / 2
    assert kept.left(2, 8) == pytest.approx(3 * pace.SECONDS)
    now += pace.SECONDS / 2
    assert kept.left(3, 8) is None

"""Per cent and fractions in one metric are refused, whatever separates them; ranges that are merely wide are not."""

from __future__ import annotations

import pytest

from protocol.errors import InputError


def _rows(percent) -> str:  # type: ignore[no-untyped-def]
    return "".join(
        f"{d},{s},{k},{b},{v * (100 if percent(d, s, k, b) else 1):.4f}\n"
        for d in "ab"
        for s in ("random", "x", "y")
        for k in range(5)
        for b in (10, 20, 30)
        for v in [0.4 + b / 100 + 0.013 * k + 0.1 * (d == "b") + 0.01 * (s == "x")]
    )


HEADER = "dataset,strategy,seed,budget,value"


@pytest.mark.parametrize(
    ("percent", "says"),
    [
        (lambda d, s, k, b: s == "x", "strategy x from"),
        (lambda d, s, k, b: s == "random", "strategy random from"),
        (lambda d, s, k, b: k == 3, "seed 3 from"),
        (lambda d, s, k, b: d == "b", "protocol b from"),
        (lambda d, s, k, b: (d, s, k, b) == ("a", "x", 2, 20), "a/x/2"),
        (lambda d, s, k, b: (d, s, k, b) != ("a", "x", 2, 20), "a/x/2"),
        (lambda d, s, k, b: (d, s) == ("a", "x"), "strategy x from"),
    ],
)
def test_two_scales_are_refused_with_the_likely_reading(table, percent, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says) as raised:
        table(_rows(percent), HEADER)
    assert "per cent" in str(raised.value)


def test_two_scales_of_data_sets_without_seeds_are_refused(table) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="data set c"):
        table("a,.861,.872\nb,.602,.609\nc,90.1,91.3\nd,.4,.5\n", "dataset,random,x")


@pytest.mark.parametrize("scale", [1, 100])
def test_one_scale_passes(table, scale: int) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(lambda *_: scale == 100)
    assert not table(rows, HEADER).warnings


def test_what_is_merely_wide_passes(table) -> None:  # type: ignore[no-untyped-def]
    low = "".join(
        f"{s},{k},{b},{v}\n"
        for s in ("random", "x")
        for k in range(4)
        for b, v in ((1, 0.8 + k / 10), (9, 3), (99, 60))
    )
    assert table(low).frame["value"].max() == 60  # per cent, from below 1 %
    loss = "".join(f"{s},{k},10,{v}\n" for s, v in (("random", 2.0), ("x", 0.02)) for k in range(4))
    assert len(table(loss, "strategy,seed,budget,nll", columns={"value": "nll"}).frame) >= 8
    collapsed = "".join(
        f"{s},{k},10,{1.0 if (s, k) == ('x', 2) else 60.0 + k}\n" for s in ("random", "x") for k in range(4)
    )
    table(collapsed)  # one of 100 classes for every image

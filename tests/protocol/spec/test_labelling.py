"""Regions are bought: only paid pixels are revealed, at the protocol's prices, within the budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.draws.splits import make_split, refuse_unpayable, starting_set
from protocol.errors import InputError, RuleBroken
from protocol.metrics import VOID
from protocol.oracle.oracle import Oracle
from protocol.record.events import LabelsEvent
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import load_preset, parse
from protocol.spec.units import PricedUnits, Units, tiled
from tests.support.study_builder import protocol_table

N, HEIGHT, WIDTH = 12, 5, 7
TILE = {"unit": "tile", "tile": [3, 4]}  # tiles of 12, 9, 8 and 6 pixels
MASKS = np.random.default_rng(3).integers(0, 3, (N + 4, HEIGHT, WIDTH)).astype(np.uint8)
MASKS[:, 0, 0] = VOID


def protocol(**changes: Any) -> Protocol:
    table = protocol_table(
        task="segmentation", metric="mean_iou", splits={"validation_size": 0}, budgets=[4, 9, 15], labelling=TILE
    )
    return parse(Protocol, table | changes, "p")


def an_oracle(of: Protocol, written: list[LabelsEvent] | None = None, price: Any = None) -> Oracle:
    split = make_split(of, 0, N, 4)
    division = tiled(N, HEIGHT, WIDTH, (3, 4))
    cost = of.labelling.cost if of.labelling else "label"
    by_pixels = (
        (lambda units: division.units.pixels[units])
        if cost == "pixel"
        else (lambda units: np.ones(len(units), np.int64))
    )
    return Oracle(
        of,
        0,
        split,
        MASKS,
        ([] if written is None else written).append,
        classes=3,
        units=PricedUnits(division, price or by_pixels),
    )


def test_tiles_are_numbered_image_by_image_and_cover_every_pixel_once() -> None:
    division = tiled(3, HEIGHT, WIDTH, (3, 4))
    assert division.units.pixels.tolist() == [12, 9, 8, 6] * 3
    assert division.units.first.tolist() == [0, 4, 8, 12]
    assert division.maps is not None
    maps = division.maps(np.array([2, 0]))
    assert maps[1].tolist() == [[0] * 4 + [1] * 3] * 3 + [[2] * 4 + [3] * 3] * 2
    np.testing.assert_array_equal(maps[0], maps[1] + 8)
    assert division.units.of(np.array([2, 0])).tolist() == [8, 9, 10, 11, 0, 1, 2, 3]
    assert division.units.of(np.array([], np.int64)).tolist() == []
    assert division.units.image_of(np.array([0, 3, 4, 11])).tolist() == [0, 0, 1, 2]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_units_of_images_are_those_whose_image_they_are(counts: list[int], data: st.DataObject) -> None:
    units = Units(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.ones(sum(counts), np.int64))
    images = np.asarray(data.draw(st.lists(st.integers(0, len(counts) - 1), unique=True)), np.int64)
    found = units.of(images)
    assert found.tolist() == [
        u for i in images.tolist() for u in range(sum(counts)) if units.image_of(np.array([u]))[0] == i
    ]


def test_exactly_the_paid_pixels_are_told() -> None:
    oracle = an_oracle(protocol())
    oracle.start()
    oracle.buy(oracle.unlabelled[[7, 0, 3, 1, 2]])
    images, told = oracle.labels_of(oracle.labelled)
    assert len(oracle.labelled) == oracle.spent == 9
    assert images.tolist() == list(dict.fromkeys((oracle.labelled // 4).tolist()))
    for image, mask in zip(images.tolist(), told, strict=True):
        for unit in range(4):
            rows, columns = slice(3 * (unit // 2), 3 + 2 * (unit // 2)), slice(4 * (unit % 2), 4 + 3 * (unit % 2))
            expected = (
                MASKS[image, rows, columns]
                if 4 * image + unit in oracle.labelled
                else np.full_like(MASKS[0, rows, columns], VOID)
            )
            np.testing.assert_array_equal(mask[rows, columns], expected)


def test_what_is_not_paid_is_not_told() -> None:
    oracle = an_oracle(protocol())
    oracle.start()
    with pytest.raises(RuleBroken, match="BUD-06"):
        oracle.labels_of(np.append(oracle.labelled, oracle.unlabelled[0]))


def test_what_an_earlier_round_was_trained_on_is_had_again() -> None:
    oracle = an_oracle(protocol())
    oracle.start()
    before = oracle.labels_of(oracle.labelled)
    oracle.buy(oracle.unlabelled[:5])
    for then, now in zip(before, oracle.labels_of(oracle.labelled_at(0)), strict=True):
        np.testing.assert_array_equal(then, now)


def test_a_region_is_bought_once_of_the_pool_and_up_to_the_budget() -> None:
    oracle = an_oracle(protocol(splits={"validation_size": 2, "validation_counted": False}))
    oracle.start()
    assert oracle.spent == 4
    assert oracle.validation()[0].tolist() == make_split(oracle._protocol, 0, N, 4).validation.tolist()
    np.testing.assert_array_equal(oracle.validation()[1], MASKS[oracle.validation()[0]])
    for wish, rule in (
        (oracle.labelled[:2], "BUD-03"),
        (4 * oracle.validation()[0][:1], "BUD-04"),
        (np.array([4 * N]), "BUD-04"),
        (oracle.unlabelled[:6], "BUD-01"),
    ):
        with pytest.raises(RuleBroken, match=rule):
            oracle.buy(wish)


def pixels_of(units: NDArray[np.int64]) -> list[int]:
    return [[12, 9, 8, 6][u % 4] for u in units.tolist()]


def test_pixels_are_bought_in_the_order_of_preference_as_far_as_the_budget_reaches() -> None:
    written: list[LabelsEvent] = []
    oracle = an_oracle(protocol(labelling=TILE | {"cost": "pixel"}, budgets=[30, 60, 90]), written)
    oracle.start()
    spent = sum(pixels_of(oracle.labelled))
    assert written[0].costs == tuple(pixels_of(oracle.labelled))
    assert oracle.spent == spent <= 30 < spent + 12
    order = oracle.unlabelled[::-1]
    n = oracle.affordable(60)
    cheapest = np.cumsum(sorted(pixels_of(order)))
    assert cheapest[n - 1] <= 60 - spent < cheapest[n]
    oracle.buy(order[:n])
    reach = int(np.searchsorted(np.cumsum(pixels_of(order)), 60 - spent, side="right"))
    assert written[1].indices == tuple(order[:reach].tolist())
    assert (written[1].before, written[1].after) == (spent, spent + sum(pixels_of(order[:reach])))
    assert oracle.labelled_at(0).tolist() == list(written[0].indices)
    oracle.buy(oracle.unlabelled[:0])  # nothing asked for: what is left stays for the next budget
    assert written[2].indices == ()
    assert oracle.affordable(90) > oracle.affordable(60)


def test_what_is_restored_costs_what_it_cost() -> None:
    written: list[LabelsEvent] = []
    of = protocol(labelling=TILE | {"cost": "pixel"}, budgets=[30, 60, 90])
    first = an_oracle(of, written)
    first.start()
    first.buy(first.unlabelled[: first.affordable(60)])
    second = an_oracle(of)
    for sale in written:
        second.restore(sale.purpose, np.asarray(sale.indices, np.int64))
    assert second.spent == first.spent
    assert second.labelled.tolist() == first.labelled.tolist()
    with pytest.raises(RuleBroken, match="BUD-01"):
        an_oracle(of).restore("initial", first.labelled)


def test_clicks_are_paid_when_they_are_known() -> None:
    of = protocol(labelling=TILE | {"cost": "click"}, budgets=[20, 40, 60])
    written: list[LabelsEvent] = []
    oracle = an_oracle(of, written, lambda units: 1 + units % 7)
    oracle.start()
    assert (
        oracle.affordable(40) == 40 - oracle.spent
    )  # one click each at least: prices of what is not bought are nobody's to know
    oracle.buy(oracle.unlabelled)
    assert written[1].costs == tuple(1 + i % 7 for i in written[1].indices)
    assert oracle.spent <= 40 < oracle.spent + 7


def test_the_starting_set_is_drawn_of_the_pools_regions() -> None:
    of = protocol(splits={"validation_size": 3, "validation_counted": False})
    split, units = make_split(of, 0, N, 4), tiled(N, HEIGHT, WIDTH, (3, 4)).units
    drawn = starting_set(of, 0, split, MASKS, units)
    assert len(drawn) == 4
    assert np.isin(drawn // 4, split.pool).all()
    metered = starting_set(
        protocol(labelling=TILE | {"cost": "pixel"}), 0, make_split(protocol(), 0, N, 4), MASKS, units
    )
    assert sorted(metered.tolist()) == list(range(4 * N)) != metered.tolist()


@pytest.mark.parametrize(
    ("cost", "budgets", "says"), [("label", [4, 49], "at most 48 regions"), ("pixel", [40, 421], "at most 420 pixels")]
)
def test_a_budget_beyond_all_regions_is_refused(cost: str, budgets: list[int], says: str) -> None:
    units = tiled(N, HEIGHT, WIDTH, (3, 4)).units
    enough = protocol(labelling=TILE | {"cost": cost}, budgets=[budgets[0], budgets[1] - 1])
    refuse_unpayable(enough, make_split(enough, 0, N, 4), units)
    more = protocol(labelling=TILE | {"cost": cost}, budgets=budgets)
    with pytest.raises(InputError, match=says):
        refuse_unpayable(more, make_split(more, 0, N, 4), units)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labelling": {"unit": "tile"}}, "needs tile"),
        ({"labelling": {"unit": "superpixel", "tile": [2, 2]}}, "has no tile; unit = 'superpixel' needs superpixels"),
        ({"labelling": {"unit": "image", "cost": "label"}}, "remove the table"),
        ({"task": "classification", "metric": "accuracy"}, "labelling is for masks"),
        ({"splits": {"validation_size": 2}}, "validation_counted = false"),
        ({"regime": load_preset("digit-scenes-s4gan").regime.model_dump(mode="json")}, "s4gan's critic"),
        (
            {"regime": {"name": "plain", "epochs": 5, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.1}}},
            "regime.steps",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        protocol(**changes)


def test_units_are_read_as_they_were_kept_and_nothing_else_is() -> None:
    units = Units(np.array([0, 2, 5]), np.array([3, 4, 1, 5, 2]), "ab" * 32)
    kept = {"first": units.first, "pixels": units.pixels, "maps": units.map_bytes}
    assert Units.read(kept).digest == units.digest
    assert (
        len(
            {
                units.digest,
                Units(units.first, units.pixels).digest,
                Units(units.first, units.pixels + 1, "ab" * 32).digest,
            }
        )
        == 3
    )
    for wrong in (
        {"first": np.array([1, 5])},
        {"first": np.array([0, 2, 2, 5])},
        {"first": np.array([0, 4])},
        {"pixels": units.pixels - 1},
    ):
        with pytest.raises(ValueError, match="image by image"):
            Units.read(kept | wrong)

"""The only way to a label is to pay for it, on record, first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.draws.splits import make_split
from protocol.errors import RuleBroken
from protocol.oracle.oracle import Oracle, noisy_labels
from protocol.record.events import LabelsEvent
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from tests.support.study_builder import IMAGES, make_labels, protocol_table


class Desk:
    """An oracle and what it wrote; each entry also keeps what the oracle had revealed when it was written."""

    def __init__(self, **changes: Any) -> None:
        self.protocol = parse(Protocol, protocol_table(**changes), "p")
        self.split = make_split(self.protocol, 0, IMAGES, 0)
        self.ledger: list[tuple[str, int, int, int]] = []
        self.revealed_at_write: list[int] = []
        self.fail = False
        self.oracle = Oracle(self.protocol, 0, self.split, make_labels(), self.write)

    def write(self, sale: LabelsEvent) -> None:
        if self.fail:
            raise OSError(28, "No space left on device")
        self.revealed_at_write.append(len(self.oracle.labelled) + len(self.oracle.validation()[0]))
        self.ledger.append((sale.purpose, len(sale.indices), sale.before, sale.after))


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.oracle.start()
    return desk


def test_the_ledger_is_written_before_the_labels_are_revealed(desk: Desk) -> None:
    desk.oracle.buy(desk.oracle.unlabelled[:6])
    assert desk.ledger == [("validation", 6, 0, 6), ("initial", 10, 6, 16), ("query", 6, 16, 22)]
    assert desk.revealed_at_write == [0, 6, 16]
    assert desk.oracle.spent == 22


def test_labels_are_those_of_the_owned_images_in_order_of_purchase(desk: Desk) -> None:
    query = desk.oracle.unlabelled[[5, 1, 9, 0, 3, 2]]
    desk.oracle.buy(query)
    np.testing.assert_array_equal(desk.oracle.labelled[10:], query)
    np.testing.assert_array_equal(desk.oracle.labels_of(desk.oracle.labelled)[1], make_labels()[desk.oracle.labelled])
    indices, labels = desk.oracle.validation()
    np.testing.assert_array_equal(indices, desk.split.validation)
    np.testing.assert_array_equal(labels, make_labels()[desk.split.validation])
    assert not np.isin(desk.oracle.unlabelled, desk.oracle.labelled).any()
    assert len(desk.oracle.unlabelled) == len(desk.split.pool) - 16


def test_a_label_is_not_revealed_if_the_ledger_cannot_be_written(desk: Desk) -> None:
    owned = desk.oracle.labelled
    desk.fail = True
    with pytest.raises(OSError, match="No space left"):
        desk.oracle.buy(desk.oracle.unlabelled[:6])
    np.testing.assert_array_equal(desk.oracle.labelled, owned)
    assert desk.oracle.spent == 16


def test_nothing_is_known_before_the_start() -> None:
    desk = Desk()
    assert (
        len(desk.oracle.labelled)
        == len(desk.oracle.labels_of(desk.oracle.labelled)[1])
        == len(desk.oracle.validation()[1])
        == desk.oracle.spent
        == 0
    )


def refused(desk: Desk, indices: NDArray[np.int64], rule: str) -> str:
    before = list(desk.ledger)
    with pytest.raises(RuleBroken) as caught:
        desk.oracle.buy(indices)
    assert caught.value.rule == rule
    assert desk.ledger == before
    assert desk.oracle.spent == before[-1][3]
    return str(caught.value)


def test_over_budget_names_rule_and_room(desk: Desk) -> None:
    assert "at most 6 labels up to the budget of 22" in refused(desk, desk.oracle.unlabelled[:7], "BUD-01")


def test_nothing_can_be_bought_after_the_last_budget(desk: Desk) -> None:
    desk.oracle.buy(desk.oracle.unlabelled[:6])
    desk.oracle.buy(desk.oracle.unlabelled[:8])
    assert "at most 0 labels up to the budget of 30" in refused(desk, desk.oracle.unlabelled[:1], "BUD-01")


def test_the_first_query_waits_for_the_start() -> None:
    desk = Desk()
    with pytest.raises(RuleBroken, match="BUD-01"):
        desk.oracle.buy(desk.split.pool[:17])
    assert desk.ledger == []


def test_twice_within_a_query_and_across_queries(desk: Desk) -> None:
    one = desk.oracle.unlabelled[:1]
    assert "1 repeated within the query" in refused(desk, np.concatenate([one, one]), "BUD-03")
    assert str(int(desk.oracle.labelled[3])) in refused(desk, desk.oracle.labelled[3:4], "BUD-03")


@pytest.mark.parametrize("part", ["test", "validation"])
def test_test_and_validation_images_are_not_for_sale(desk: Desk, part: str) -> None:
    wanted = getattr(desk.split, part)[:2]
    assert str(int(wanted[0])) in refused(desk, wanted, "BUD-04")


@pytest.mark.parametrize("index", [-1, IMAGES, 10**12])
def test_images_that_do_not_exist_are_not_for_sale(desk: Desk, index: int) -> None:
    assert str(index) in refused(desk, np.array([index]), "BUD-04")


def test_uncounted_validation_costs_nothing() -> None:
    desk = Desk(splits={"test_size": 40, "validation_size": 6, "validation_counted": False})
    desk.oracle.start()
    assert desk.ledger == [("validation", 6, 0, 0), ("initial", 16, 0, 16)]


def test_restoring_writes_nothing_and_gives_the_same_state(desk: Desk) -> None:
    query = desk.oracle.unlabelled[:6]
    desk.oracle.buy(query)
    again = Desk()
    again.oracle.restore("validation", desk.split.validation)
    again.oracle.restore("initial", desk.oracle.labelled[:10])
    again.oracle.restore("query", query)
    assert again.ledger == []
    assert again.oracle.spent == desk.oracle.spent
    np.testing.assert_array_equal(again.oracle.labelled, desk.oracle.labelled)
    again.oracle.start()
    assert again.ledger == []
    refused_again = pytest.raises(RuleBroken, match="BUD-03")
    with refused_again:
        again.oracle.restore("query", query[:1])


def test_an_interrupted_start_goes_on_where_it_stopped() -> None:
    desk = Desk()
    desk.oracle.restore("validation", desk.split.validation)
    desk.oracle.start()
    assert desk.ledger == [("initial", 10, 6, 16)]


def test_two_strategies_start_from_the_same_images(desk: Desk) -> None:
    other = Desk()
    other.oracle.start()
    np.testing.assert_array_equal(other.oracle.labelled, desk.oracle.labelled)


def test_examining_gives_numbers_and_no_labels(desk: Desk) -> None:
    labels = make_labels()[desk.split.test]
    wrong = labels.copy()
    wrong[:10] = (wrong[:10] + 1) % 3
    assert desk.oracle.examine(wrong)["accuracy"] == 0.75


def test_a_noisy_oracle_tells_another_class_for_a_share_of_the_labels_by_the_seed_alone() -> None:
    protocol = parse(Protocol, protocol_table(label_noise=0.3), "p")
    truth = np.random.default_rng(1).integers(0, 5, 20_000)
    truth[:500] = -1
    told = noisy_labels(protocol, 3, truth)
    assert (told[:500] == -1).all()
    wrong = told != truth
    assert wrong[500:].mean() == pytest.approx(0.3, abs=0.015)
    assert np.bincount((told - truth)[wrong] % 5, minlength=5)[1:] / wrong.sum() == pytest.approx([0.25] * 4, abs=0.03)
    np.testing.assert_array_equal(told, noisy_labels(protocol, 3, truth))
    assert (told != noisy_labels(protocol, 4, truth)).any()
    assert noisy_labels(parse(Protocol, protocol_table(), "p"), 3, truth) is truth


def test_noise_is_in_what_is_sold_and_not_in_what_is_examined() -> None:
    noisy = Desk(label_noise=0.5)
    noisy.oracle.start()
    truth = make_labels()
    told = noisy_labels(noisy.protocol, 0, truth)
    owned = noisy.oracle.labelled
    np.testing.assert_array_equal(noisy.oracle.labels_of(noisy.oracle.labelled)[1], told[owned])
    assert (told[owned] != truth[owned]).any()
    indices, labels = noisy.oracle.validation()
    np.testing.assert_array_equal(labels, told[indices])
    assert noisy.oracle.examine(truth[noisy.split.test])["accuracy"] == 1.0
    assert noisy.split.digest == Desk().split.digest

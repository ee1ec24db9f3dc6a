"""Cards: read from TOML, checked when read."""

import pytest
from pydantic import ValidationError

from runners.datasets.cards import CARDS, read_cards
from runners.datasets.registry import LOADERS

CARD = """
[mine]
description = "spirals"
licence = "CC0"
citation = "none"
files = ["mine.npz"]
origin = "made here"
"""


def test_a_card_needs_no_counts() -> None:
    card = read_cards(CARD)["mine"]
    assert (card.name, card.n_train, card.classes, card.files, card.task) == (
        "mine",
        None,
        None,
        ("mine.npz",),
        "classification",
    )


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("licens = 1", "licens"),
        ("n_train = 'many'", "n_train"),
        ("shape = [28, 28]", "shape"),
        ("task = 'detection'", "task"),
    ],
)
def test_a_faulty_card_is_refused(line: str, field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        read_cards(CARD + line)


def test_a_card_without_licence_is_refused() -> None:
    with pytest.raises(ValidationError, match="licence"):
        read_cards(CARD.replace("licence", "# licence"))


def test_every_loader_has_its_card() -> None:
    assert list(CARDS) == list(LOADERS)

"""Images and labels from disk: one loader per data set."""

from __future__ import annotations

from runners.datasets.cards import CARDS, Card
from runners.datasets.images import Images, Labels
from runners.datasets.registry import OWN, refuse_other_task

__all__ = ["CARDS", "OWN", "Card", "Images", "Labels", "refuse_other_task"]

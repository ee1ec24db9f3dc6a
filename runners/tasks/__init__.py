"""Kinds of prediction, by the name in a protocol's `task`."""

from __future__ import annotations

from typing import Final

from runners.tasks.base import Evaluation, Task
from runners.tasks.classification import Classification
from runners.tasks.segmentation import Segmentation

__all__ = ["TASKS", "Evaluation", "Task"]

TASKS: Final[dict[str, Task]] = {task.name: task for task in (Classification(), Segmentation())}

"""TODO runners.verbs"""

from __future__ import annotations

"""Read strategy and seed from the names of runs, files and folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

EDGE: Final = r"[\s_\-.,/()\[\]=]"
PATTERNS: Final = tuple(
    re.compile(rf"(?i)(?:^|{EDGE})(?:{words})[\s_\-=.:#]*(\d+)(?=$|{EDGE})")
    for words in (r"seeds?|rng|random_?state", r"runs?|reps?|repeats?|repetitions?|trials?|folds?|splits?")
)
LETTER: Final = re.compile(rf"(?i)(?:^|{EDGE})[sr](\d+)$")
"""A single letter counts only at the end: "random-s3", but not the network of "r18-random"."""
LAST: Final = re.compile(rf"(?:^|{EDGE})(\d+)$")
EDGES: Final = " _-.,/()[]="


def split_run(name: str, *, any_number: bool = False) -> tuple[str, str]:
    """Return strategy and seed of a run's name; the seed is empty if the name has none.

    Args:
        name: Such as "margin_seed3", "margin/run 3", "margin-s3".
        any_number: Whether a number at the end is a seed without a word before it, as in "margin-3".

    >>> split_run("margin_seed3"), split_run("r18-margin s2"), split_run("margin-3")
    (('margin', '3'), ('r18-margin', '2'), ('margin-3', ''))
    """
    for pattern in (*PATTERNS, LETTER, *([LAST] if any_number else [])):
        matches = list(pattern.finditer(name))
        if matches:
            found = matches[-1]
            before, after = name[: found.start()].strip(EDGES), name[found.end() :].strip(EDGES)
            return "_".join(part for part in (before, after) if part), found[1]
    return name.strip(), ""


def split_runs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return strategy and seed of several names; numbers at the end are seeds if no name has a seed in words."""
    found = [split_run(name) for name in names]
    if any(seed for _, seed in found):
        return found
    numbered = [split_run(name, any_number=True) for name in names]
    shared = len({seed for _, seed in numbered}) < len(numbered)  # the last number of sunny-river-12 counts all runs
    return numbered if shared and all(seed and strategy for strategy, seed in numbered) else found


def run_of(path: Path) -> tuple[str, str]:
    """Return strategy and seed of a file: from its own name, then from its folders.

    >>> run_of(Path("margin/seed_2/accuracy.csv")), run_of(Path("margin_seed2.csv"))
    (('margin', '2'), ('margin', '2'))
    """
    strategy, seed = split_run(path.stem, any_number=path.stem.isdigit())
    folder = path.parent
    if not seed:
        for part in (folder.name, folder.parent.name):
            outer, found = split_run(part, any_number=part.isdigit())
            if found:
                return outer or (folder.parent if part == folder.name else folder.parent.parent).name, found
        return strategy, ""
    return strategy or folder.name, seed


def without_shared_words(names: Sequence[str], baseline: str) -> dict[str, str]:
    """Return shorter names without the words that all share, if that makes one of them the baseline.

    >>> without_shared_words(["cifar_random_lr1", "cifar_margin_lr1"], "random")
    {'cifar_random_lr1': 'random', 'cifar_margin_lr1': 'margin'}
    """
    different = list(dict.fromkeys(names))
    if baseline in different or len(different) < 2:
        return {}
    parts = [re.split(r"([\s_\-.]+)", name) for name in different]
    shortest = min(map(len, parts))
    first = next((i for i in range(shortest) if len({p[i] for p in parts}) > 1), shortest)
    last = next((i for i in range(shortest) if len({p[-1 - i] for p in parts}) > 1), shortest)
    shorter = ["".join(p[first : len(p) - last]).strip(EDGES) for p in parts]
    if baseline not in shorter or len(set(shorter)) < len(different) or "" in shorter:
        return {}
    return dict(zip(different, shorter, strict=True))

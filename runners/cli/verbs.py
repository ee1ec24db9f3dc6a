"""The function of every verb. Its module is imported when the verb is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

VERBS: Final = {
    "quickstart": "runners.verbs.browse.quickstart",
    "protocols": "runners.verbs.browse.protocols",
    "strategies": "runners.verbs.browse.strategies",
    "regimes": "runners.verbs.browse.protocols",
    "datasets": "runners.verbs.browse.datasets",
    "encode": "runners.verbs.browse.encode",
    "plan": "runners.verbs.running.plan",
    "run": "runners.verbs.running.run",
    "status": "runners.verbs.running.status",
    "merge": "runners.verbs.running.storage",
    "gc": "runners.verbs.running.gc",
    "serve": "runners.verbs.running.serve",
    "check": "runners.verbs.evidence.check",
    "amend": "runners.verbs.running.amend",
    "replay": "runners.verbs.evidence.replay",
    "seal": "runners.verbs.evidence.seal",
    "verify": "runners.verbs.evidence.seal",
    "pack": "runners.verbs.evidence.pack",
    "unpack": "runners.verbs.evidence.pack",
    "export": "runners.verbs.results.export",
    "compare": "runners.verbs.results.compare",
    "figures": "runners.verbs.results.figures",
    "card": "runners.verbs.results.card",
    "report": "runners.verbs.results.report",
}
"""Verb -> module that holds a function of the same name."""


TRAINING: Final = ("torch", "torchvision")
"""Packages of the dependency group `train`, which verbs that only read do without."""


def load(verb: str) -> Callable[..., None]:
    """Import a verb's module and return its function."""
    function: Callable[..., None] = getattr(import_module(VERBS[verb]), verb)
    return function


def call(verb: str, options: Mapping[str, Any]) -> None:
    """Call a verb with a command's arguments and options, all by keyword under the same names.

    Verbs of results compute with one thread: their matrices are small, and threads that wait for work would cost more
    than they save.
    """
    function = load(verb)
    if not VERBS[verb].startswith("runners.verbs.results."):
        function(**options)
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        function(**options)


def start_fork_server(threads: int = 1, executor: str | None = "local") -> None:
    """Start the process that runs are forked from, so that it loads torch meanwhile.

    Args:
        threads: threads per run.
        executor: only "local" forks runs; None: as the user's configuration says.
    """
    from importlib.util import find_spec

    from runners.executors.config import read_config
    from runners.machine.fork_server import warm_up

    if find_spec(TRAINING[0]) is None:
        return  # the verb says what is missing
    if (executor or read_config().executor) == "local":
        warm_up(threads)

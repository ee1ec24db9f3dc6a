"""Fix what an active-learning comparison allows, and check what happened.

A `Protocol` fixes everything but the query strategy: data, splits, budgets, model, training recipe and metric. A
`Study` is protocols x strategies x seeds, with the `Plan` of the analysis. While a study runs, strategies buy labels
from an `Oracle`, which refuses what the budget does not cover, and every step is appended to the run's record.
`check_study` then answers, rule by rule, whether the protocol was obeyed: obeyed, broken, or cannot be verified.

    from pathlib import Path
    from protocol import check_study, load_preset, read_study

    protocol = load_preset("digits-plain")          # `beatrandom protocols` lists all presets
    study = read_study(Path("study.toml"))          # protocols, strategies, seeds and plan
    result = check_study(Path("results/my_study"))  # the folder that `beatrandom run` wrote
    print(result.answer, result.summary())

Values of a protocol are checked when it is made, and its fingerprint names the comparison:

    >>> from protocol import load_preset
    >>> protocol = load_preset("digits-plain")
    >>> protocol.metric, protocol.budgets[:2], protocol.fingerprint[:8]
    ('accuracy', (20, 40), '13c3bdae')

Names are loaded on first use, so importing this package costs nothing. It needs NumPy and pydantic, never torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from protocol.errors import InputError
    from protocol.oracle.oracle import Oracle
    from protocol.record.chain import read as read_record
    from protocol.record.layout import StudyFolder
    from protocol.rules.check import check_study
    from protocol.spec.protocol import Protocol
    from protocol.spec.run_id import RunId
    from protocol.spec.study import Plan, Study
    from protocol.spec.toml_files import load_preset, read_study

_PLACES: Final = {
    "InputError": "protocol.errors:InputError",
    "Oracle": "protocol.oracle.oracle:Oracle",
    "Plan": "protocol.spec.study:Plan",
    "Protocol": "protocol.spec.protocol:Protocol",
    "RunId": "protocol.spec.run_id:RunId",
    "Study": "protocol.spec.study:Study",
    "StudyFolder": "protocol.record.layout:StudyFolder",
    "check_study": "protocol.rules.check:check_study",
    "load_preset": "protocol.spec.toml_files:load_preset",
    "read_record": "protocol.record.chain:read",
    "read_study": "protocol.spec.toml_files:read_study",
}
"""Public name -> module:name. A module of the package is imported after the package, so none is imported here."""

__all__ = [
    "InputError",
    "Oracle",
    "Plan",
    "Protocol",
    "RunId",
    "Study",
    "StudyFolder",
    "check_study",
    "load_preset",
    "read_record",
    "read_study",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Compare a replayed round with the recorded one: predictions, metric, query, and trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protocol.draws.splits import Indices
from protocol.record.events import RoundEvent, TrialEvent
from protocol.record.replay_answers import Answer, Replayed
from protocol.record.stored_arrays import stored_arrays
from runners.loop import Outcome

_TOLERANCE = 1e-9
"""Relative tolerance of metrics: libraries may sum in another order."""


def compare_round(
    event: RoundEvent, outcome: Outcome, metric: str, differences: Sequence[str], *, exact: bool, commits: str = ""
) -> Replayed:
    """Compare a round that was trained and queried again.

    Args:
        metric: the protocol's metric.
        differences: facts of the environment that differ from the recorded ones and can change the last bits.
        exact: whether training on this device gives equal bytes in an equal environment.
        commits: both commits in words, if the record was made with another one; a hint that decides nothing.
    """
    same, number, replayed = _same_predictions(outcome, event), event.round, tuple(outcome.query.tolist())
    if replayed == event.query and same and not _same_state(outcome, event):
        said = f"{len(replayed)} labels reproduced, but the strategy keeps another state for the next round"
        return Replayed(round=number, answer="differs", said=said)
    if replayed != event.query:
        return compare_query(number, event.query, outcome.query, [] if same else differences, same_predictions=same)
    said = f"{len(replayed)} labels reproduced" if replayed else "no query in this round"
    if same:
        now, then = outcome.metrics.get(metric, math.nan), event.metrics.get(metric, math.nan)
        if not math.isclose(now, then, rel_tol=_TOLERANCE):
            said = f"{said}, but {metric} of the same predictions is {now:.6g}, not {then:.6g}"
            return Replayed(round=number, answer="differs", said=said)
        return Replayed(round=number, answer="equal", said=said if replayed else f"{said}, the same predictions")
    if exact and not differences:
        said = f"{said}, but training gave other predictions in the same environment{commits}"
        return Replayed(round=number, answer="differs", said=said)
    why = f" in another environment ({', '.join(differences)})" if differences else ""
    answer: Answer = "equal" if replayed else "undecided"  # predictions alone decide nothing here
    return Replayed(round=number, answer=answer, said=f"{said}, though training gave other predictions{why}")


def _same_predictions(outcome: Outcome, event: RoundEvent) -> bool:
    """Return whether predictions, and maps if any were kept, equal the recorded ones."""
    examined = outcome.examined
    return examined.predictions == event.predictions and event.maps in ("", examined.maps)


def _same_state(outcome: Outcome, event: RoundEvent) -> bool:
    now = None if outcome.state is None else stored_arrays(outcome.state)
    return now == event.state


def compare_query(
    number: int,
    recorded: Sequence[int],
    replayed: Indices,
    differences: Sequence[str] = (),
    *,
    same_predictions: bool = True,
) -> Replayed:
    """Compare a query or an initial set with the recorded one.

    Args:
        number: the round.
        differences: facts of the environment that may explain a difference, which is then "undecided".
    """
    indices = tuple(replayed.tolist())
    if indices == tuple(recorded):
        return Replayed(round=number, answer="equal", said=f"{len(indices)} labels reproduced")
    common = len(set(indices) & set(recorded))
    pairs = enumerate(zip(indices, recorded, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(indices), len(recorded)))
    said = f"{common} of {len(recorded)} labels reproduced, first difference at position {first}"
    answer: Answer = "undecided" if differences else "differs"
    if differences:
        said += f"; training gave other predictions in another environment ({', '.join(differences)})"
    elif not same_predictions:
        said += "; training gave other predictions"
    return Replayed(round=number, answer=answer, said=said)


def compare_trials(
    answer: Replayed, recorded: Sequence[TrialEvent], replayed: Sequence[TrialEvent], differences: Sequence[str]
) -> Replayed:
    """Add to the answer of a round whether its repeated trials have the recorded scores."""
    differ = [
        event
        for n, event in enumerate(recorded)
        if n >= len(replayed) or (event.setting, event.validation) != (replayed[n].setting, replayed[n].validation)
    ]
    if not differ:  # rule TRN-06 finds records with too few trials
        return answer.model_copy(
            update={"said": f"{answer.said}; {len(replayed)} trials repeated with the same scores"}
        )
    count = f"{len(differ)} of {len(recorded)} trials have other scores"
    said = f"{answer.said}; {count}, the first is number {differ[0].trial}"
    if differences:
        said += f", in another environment ({', '.join(differences)})"
    undecided = bool(differences) and answer.answer != "differs"
    return answer.model_copy(update={"said": said, "answer": "undecided" if undecided else "differs"})

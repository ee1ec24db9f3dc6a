"""What came of making a round again, against what the record says of it: the predictions, what they are worth, and the query."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protocol.draws.splits import Indices
from protocol.record.events import RoundEvent, TrialEvent
from protocol.record.replay_answers import Answer, Replayed
from runners.loop import Outcome

_TOLERANCE = 1e-9
"""Of metrics, relative: libraries may sum in another order."""


def judged(
    event: RoundEvent, outcome: Outcome, metric: str, other: Sequence[str], *, exact: bool, commits: str = ""
) -> Replayed:
    """The answer on a round that was trained and queried again.

    Args:
        metric: the protocol's.
        other: what of the environment differs from the recorded one and can change the last bits.
        exact: whether training on this device gives equal bytes in an equal environment.
        commits: which ones, where the record's is another than this program's: it decides nothing, but whoever judges should look there first.
    """
    same, number, again = _as_recorded(outcome, event), event.round, tuple(outcome.query.tolist())
    if again != event.query:
        return compared(number, event.query, outcome.query, [] if same else other, trained_equally=same)
    said = f"{len(again)} labels chosen again" if again else "nothing to choose"
    if same:
        now, then = outcome.metrics.get(metric, math.nan), event.metrics.get(metric, math.nan)
        if not math.isclose(now, then, rel_tol=_TOLERANCE):
            return Replayed(
                round=number,
                answer="differs",
                said=f"{said}, but {metric} of the same predictions is {now:.6g}, not {then:.6g}",
            )
        return Replayed(round=number, answer="equal", said=said if again else f"{said}, the same predictions")
    if exact and not other:
        return Replayed(
            round=number,
            answer="differs",
            said=f"{said}, but training gave other predictions in the same environment{commits}",
        )
    why = f" in another environment ({', '.join(other)})" if other else ""
    answer: Answer = "equal" if again else "undecided"  # predictions alone decide nothing here
    return Replayed(round=number, answer=answer, said=f"{said}, though training gave other predictions{why}")


def _as_recorded(outcome: Outcome, event: RoundEvent) -> bool:
    """Whether what was trained again predicts what the record says, as far as it kept it."""
    examined = outcome.examined
    return examined.predictions == event.predictions and event.maps in ("", examined.maps)


def compared(
    number: int, recorded: Sequence[int], chosen: Indices, other: Sequence[str] = (), *, trained_equally: bool = True
) -> Replayed:
    """The answer on a query or a starting set that was chosen again."""
    again = tuple(chosen.tolist())
    if again == tuple(recorded):
        return Replayed(round=number, answer="equal", said=f"{len(again)} labels chosen again")
    common = len(set(again) & set(recorded))
    first = next(
        (i for i, (a, b) in enumerate(zip(again, recorded, strict=False)) if a != b), min(len(again), len(recorded))
    )
    said = f"{common} of {len(recorded)} labels chosen again, the first other one at place {first}"
    answer: Answer = "undecided" if other else "differs"
    if other:
        said += f"; trained to other predictions in another environment ({', '.join(other)})"
    elif not trained_equally:
        said += "; trained to other predictions"
    return Replayed(round=number, answer=answer, said=said)


def with_trials(
    found: Replayed, recorded: Sequence[TrialEvent], made: Sequence[TrialEvent], other: Sequence[str]
) -> Replayed:
    """The answer on the round, and whether the trials came to the same scores."""
    differ = [
        a
        for n, a in enumerate(recorded)
        if n >= len(made) or (a.setting, a.validation) != (made[n].setting, made[n].validation)
    ]
    if not differ:  # a record with too few of them is TRN-06's
        return found.model_copy(update={"said": f"{found.said}; {len(made)} trials made again with the same scores"})
    said = f"{found.said}; {len(differ)} of {len(recorded)} trials came to other scores, the first of them number {differ[0].trial}"
    if other:
        said += f", in another environment ({', '.join(other)})"
    answer: Answer = "undecided" if other and found.answer != "differs" else "differs"
    return found.model_copy(update={"said": said, "answer": answer})

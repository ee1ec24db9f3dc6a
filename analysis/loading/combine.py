"""Combine several studies; results are descriptive, because each study has its own plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.loading.curves import Curves


def combine(parts: Sequence[Curves], name: str) -> Curves:
    """Combine studies into one, marked exploratory because no plan covers all of them.

    Args:
        parts: At least one study; plan and baseline are those of the first.
        name: Name of the combined study.

    Raises:
        ValueError: Two studies share a protocol's name, or have different baselines.
    """
    protocols = [p for part in parts for p in part.protocols]
    if twice := sorted({p for p in protocols if protocols.count(p) > 1}):
        raise ValueError(f"expected each protocol in one study, found {', '.join(twice)} in several")
    if len({part.baseline for part in parts}) > 1:
        raise ValueError(f"expected one baseline, found {', '.join(sorted({part.baseline for part in parts}))}")
    first = parts[0]
    return replace(
        first,
        frame=pd.concat([part.frame for part in parts], ignore_index=True),
        study=name,
        exploratory=True,
        planned=tuple(key for part in parts for key in part.planned),
        missing=tuple(gap for part in parts for gap in part.missing),
        metrics={k: v for part in parts for k, v in part.metrics.items()},
        notes=tuple(note for part in parts for note in part.notes),
        amended=sum(part.amended for part in parts),
        places={k: v for part in parts for k, v in part.places.items()},
        steps={k: v for part in parts for k, v in part.steps.items()},
        currencies={k: v for part in parts for k, v in part.currencies.items()},
        directions={k: v for part in parts for k, v in part.directions.items()},
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        upper=frozenset().union(*(part.upper for part in parts)),
        costs=pd.concat([part.costs for part in parts], ignore_index=True),
        reliability=pd.concat([part.reliability for part in parts], ignore_index=True),
        bought={k: v for part in parts for k, v in part.bought.items()},
    )


def relabel(curves: Curves, places: Mapping[str, tuple[str, str]]) -> Curves:
    """Assign protocols to other places (data set, regime).

    For example, assign frozen features to the images that they encode.

    Args:
        curves: The study.
        places: Protocol -> (data set, regime).
    """
    frame = curves.frame.copy()
    for protocol, (dataset, regime) in places.items():
        rows = frame["protocol"] == protocol
        frame.loc[rows, ["dataset", "regime"]] = [dataset, regime]
    return replace(curves, frame=frame, places={**curves.places, **places})

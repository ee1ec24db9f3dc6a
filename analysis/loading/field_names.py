"""Names that the field gives to the columns of a table: which of them are understood, and which only suggested."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from analysis.loading.reading import Reading
from analysis.loading.text_cells import LINE

UNDERSTOOD: Final[Mapping[str, tuple[str, ...]]] = {
    "strategy": (
        *("method", "methode", "query_strategy", "al_strategy", "al_method", "strategie", "strategy_name", "algorithm"),
        *("acquisition_function", "acquisition", "acq_function", "acq_fn", "acq", "query_method", "selection_strategy"),
        *("selection_method", "sampling_strategy", "sampler", "algo", "alg", "approach", "verfahren", "querier"),
    ),
    "seed": (
        *("random_seed", "seed_id", "random_state", "rng", "rng_seed", "repetition", "repeat", "rep", "replicate"),
        *("replication", "run", "run_id", "trial", "wiederholung", "lauf", "exp_seed"),
    ),
    "budget": (
        *("n_labels", "num_labels", "n_labeled", "n_labelled", "num_labeled", "num_labelled", "labels", "labeled"),
        *("labelled", "labeled_samples", "labelled_samples", "n_labeled_samples", "labeled_size", "labelled_size"),
        *("label_budget", "annotation_budget", "annotations", "n_annotations", "num_annotations", "n_queried"),
        *("train_size", "training_size", "n_train", "num_train", "n_samples", "num_samples", "n_queries"),
        *("number_of_labels", "no_of_labels", "labels_used", "round", "al_round", "cycle", "al_cycle", "iteration"),
    ),
    "dataset": ("data_set", "dataset_name", "datensatz", "data"),
    "metric": ("metric_name", "measure", "metrik"),
}
"""Our column -> other names for it, the first of them before the others if a table has several."""
SUGGESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "strategy": ("al", "model", "name"),
    "seed": ("fold", "split"),
    "budget": ("step", "steps", "size", "epoch"),
    "value": ("acc", "accuracy", "test_acc", "test_accuracy", "score", "result", "f1", "auc", "miou"),
}
"""Names that may mean something else: folds are no independent seeds, steps are often those of training."""


def understand_names(reading: Reading, given: Collection[str], wide: str | None) -> None:
    """Give columns with a name of the field their roles, where no column has the role yet; each is noted.

    Args:
        reading: The table; changed in place.
        given: Our columns that the user named.
        wide: Column whose values are spread over columns, if any.
    """
    own = [c for c in reading.frame.columns if c != LINE]
    found = {}
    for role, names in UNDERSTOOD.items():
        if role not in {*own, *given, wide}:
            column = _first(own, names)
            if column is not None:
                found[column] = role
    reading.rename(found, "a name of the field")
    if found:
        said = ", ".join(f"{column} is read as {role}" for column, role in found.items())
        reading.notes.append(f"{said} (--column OURS=THEIRS names another)")


def other_names(column: str, roles: Collection[str]) -> bool:
    """Return whether a column is another name of a role that a column has already, as round beside n_labels."""
    return any(_plain(column) in map(_plain, names) for role, names in UNDERSTOOD.items() if role in roles)


def suggested(there: Sequence[str], roles: Sequence[str]) -> str:
    """Return options for columns whose names may mean these roles."""
    found = {role: _first(there, (*UNDERSTOOD.get(role, ()), *SUGGESTED.get(role, ()))) for role in roles}
    return " ".join(f"--column {role}={column}" for role, column in found.items() if column is not None)


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column with the first of the names, in any spelling; none if two columns have it."""
    spelled: dict[str, list[str]] = {}
    for column in columns:
        spelled.setdefault(_plain(column), []).append(column)
    for name in names:
        if len(same := spelled.get(_plain(name), [])) == 1:
            return same[0]
    return None


def _plain(name: str) -> str:
    """Return a name without case, spaces and signs: "# Labels" and "nLabels" are labels and nlabels."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())

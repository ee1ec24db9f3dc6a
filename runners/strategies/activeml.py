"""Pool query strategies of scikit-activeml: `skactiveml:NAME`, with arguments in `args`.

A strategy sees the embeddings as samples, the labels of the labelled images and, if it needs a classifier, the
evaluated one: its last layer on those embeddings, which is never trained again. A strategy that must refit its
classifier, or needs one of another kind, gets one from the library, fitted to the embeddings of the labelled images.
Needs the extra `skactiveml`.

Rejected before a run: strategies for regression (ExpectedModelChangeMaximization, ExpectedModelOutputChange,
ExpectedModelVarianceReduction, KLDivergenceMaximization, GreedySamplingTarget, RegressionTreeBasedAL), wrappers around
other strategies (SubSamplingWrapper, ParallelUtilityEstimationWrapper) and the base class ExpectedErrorReduction.
EpistemicUncertaintySampling supports two classes; with more, its runs fail with an error. All others run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import skactiveml.pool
import torch
from numpy.typing import NDArray
from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
from skactiveml.classifier import MixtureModelClassifier, ParzenWindowClassifier, SklearnClassifier
from sklearn.ensemble import RandomForestClassifier

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError, unknown_name
from runners.strategies.base import Strategy
from runners.strategies.view import ClassifierHead, Need, View

PREFIX = "skactiveml:"
Classifier = Callable[[View, dict[str, Any]], Any]
"""Function that builds a classifier for a view; the dictionary holds random_state and classes."""


class ScikitActiveml(Strategy):
    """Query strategy of scikit-activeml, by its class name in `skactiveml.pool`.

    Raises:
        InputError: unknown name or argument, or a strategy that works with none of the classifiers, such as one that
            needs a regressor.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings", "classifier_head")
    paper = "Kottke et al. 2021, scikit-activeml; and the strategy's own paper"
    cost = "O(u d) at least; see its documentation"

    def __init__(self, name: str, **args: Any) -> None:
        self._where = f"strategy {PREFIX}{name}"
        known = strategies()
        if name not in known:
            raise InputError(unknown_name(self._where, name, list(known)))
        self._kind, self._args = known[name], args
        accepted = inspect.signature(self._kind).parameters
        settable = [p for p in accepted if p not in ("random_state", "missing_label", "classes")]
        if unknown := sorted(set(args) - set(settable)):
            raise InputError(Fault(f"{self._where}: args", f"arguments among {settable}", str(unknown)))
        refits = "ignore_partial_fit" in inspect.signature(self._kind.query).parameters
        self._classifier = self._first_that_works(CLASSIFIERS[1:] if refits else CLASSIFIERS)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the library's batch as data set indices."""
        return self._query(view, n, rng, self._classifier)

    def _query(self, view: View, n: int, rng: np.random.Generator, classifier: Classifier) -> Indices:
        labelled = view.labelled_embeddings
        samples = torch.cat([labelled, view.embeddings]).float().cpu().numpy()
        targets = np.concatenate([view.labels.astype(np.float64), np.full(len(view.unlabelled), np.nan)])
        fixed: dict[str, Any] = {"random_state": int(rng.integers(2**31)), "classes": list(range(view.classes))}
        accepted = inspect.signature(self._kind).parameters
        # without it, clusters are drawn by the global generator
        clustering = {"cluster_algo_dict": {"random_state": fixed["random_state"]}}
        given = {key: value for key, value in (fixed | clustering).items() if key in accepted}
        strategy = self._kind(**(given | self._args))
        asked = inspect.signature(strategy.query).parameters
        learners = _learners(classifier(view, fixed), fixed)
        chosen = strategy.query(
            samples, targets, batch_size=n, **{key: value for key, value in learners.items() if key in asked}
        )
        picked: Indices = view.unlabelled[np.asarray(chosen, np.int64) - len(labelled)]
        return picked

    def _first_that_works(self, classifiers: Sequence[Classifier]) -> Classifier:
        """Return the first classifier with which a query on 24 points works, before anything is trained."""
        rng = np.random.default_rng(0)
        points = torch.from_numpy(rng.normal(size=(24, 3)).astype(np.float32))
        head = ClassifierHead(torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]]), torch.zeros(2))
        features = {"embeddings": points[4:], "labelled_embeddings": points[:4], "classifier_head": head}
        view = View(np.arange(4, 24), np.arange(4), np.array([0, 1, 0, 1]), 2, 0, features)  # type: ignore[arg-type]  # keys are needs
        refusals = []
        for classifier in classifiers:
            try:
                self._query(view, 2, rng, classifier)
            except Exception as error:  # whatever the library raises
                refusals.append(f"{type(error).__name__}: {error}")
            else:
                return classifier
        expected = "a strategy for classification that works on embeddings and labels of the labelled images"
        raise InputError(Fault(self._where, expected, refusals[0], "fix its args, or choose a different strategy"))


class Head(SkactivemlClassifier):  # type: ignore[misc]  # the library has no types
    """Last layer of the evaluated classifier as a scikit-activeml classifier; fitting it changes nothing."""

    def __init__(self, head: ClassifierHead, k: int) -> None:
        super().__init__(classes=list(range(k)))
        self.head, self.k = head, k
        self.classes_ = np.arange(k)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Head:  # noqa: ARG002  # the library's signature
        """Return the classifier unchanged."""
        return self

    def predict_proba(self, X: Any, **_: Any) -> NDArray[np.float64]:
        """Return probabilities (m, k) of samples (m, d)."""
        weights, bias = (part.double().cpu() for part in self.head)
        found: NDArray[np.float64] = (torch.as_tensor(np.asarray(X, np.float64)) @ weights.T + bias).softmax(1).numpy()
        return found

    def predict(self, X: Any, **_: Any) -> NDArray[np.int64]:
        """Return the most probable classes, (m,); of equals the first."""
        best: NDArray[np.int64] = self.predict_proba(X).argmax(1)
        return best


CLASSIFIERS: Final[tuple[Classifier, ...]] = (
    lambda view, _: Head(view.classifier_head, view.classes),
    lambda _, fixed: ParzenWindowClassifier(**fixed),
    lambda _, fixed: MixtureModelClassifier(**fixed),
)
"""Classifiers to try, in this order."""


def _learners(classifier: Any, fixed: dict[str, Any]) -> dict[str, Any]:
    """Return possible arguments of `query` by name."""
    untrained = not isinstance(classifier, Head)
    return {
        "clf": classifier,
        "fit_clf": untrained,
        "estimator": classifier,
        "fit_estimator": untrained,
        "discriminator": ParzenWindowClassifier(**fixed),
        "ensemble": SklearnClassifier(RandomForestClassifier(random_state=fixed["random_state"]), **fixed),
    }


def strategies() -> dict[str, Any]:
    """Return the library's pool strategies for one annotator, by class name."""
    named = {name: getattr(skactiveml.pool, name) for name in skactiveml.pool.__all__}
    return {
        n: kind
        for n, kind in named.items()
        if inspect.isclass(kind) and issubclass(kind, SingleAnnotatorPoolQueryStrategy)
    }

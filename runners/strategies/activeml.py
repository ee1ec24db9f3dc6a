"""Any pool query strategy of scikit-activeml under this protocol: `skactiveml:NAME`, arguments through `args`.

It sees the embeddings as samples, the owned labels, and where it asks for a classifier the compared one: its last layer
on those embeddings, already trained and never trained again. A strategy that must refit its classifier, or wants one of another
kind, gets one of the library's own, fitted to the embeddings of the owned labels. Needs the extra `skactiveml`.

Refused before a run: its strategies for regression (ExpectedModelChangeMaximization, ExpectedModelOutputChange,
ExpectedModelVarianceReduction, KLDivergenceMaximization, GreedySamplingTarget, RegressionTreeBasedAL), its wrappers around other
strategies (SubSamplingWrapper, ParallelUtilityEstimationWrapper) and the base class ExpectedErrorReduction.
EpistemicUncertaintySampling knows two classes; with more of them its runs fail and say so. All others run.
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
"""Makes a classifier for a view; the dictionary holds random_state and classes."""


class ScikitActiveml(Strategy):
    """A query strategy of scikit-activeml, by its class name in `skactiveml.pool`.

    Raises:
        InputError: unknown name or argument, or a strategy that works with none of the classifiers (it wants a regressor, say).
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings", "classifier_head")
    paper = "Kottke et al. 2021, scikit-activeml; and the strategy's own"
    cost = "O(u d) at least; see its documentation"

    def __init__(self, name: str, **args: Any) -> None:
        self._where = f"strategy {PREFIX}{name}"
        known = strategies()
        if name not in known:
            raise InputError(unknown_name(self._where, name, list(known)))
        self._kind, self._args = known[name], args
        accepted = inspect.signature(self._kind).parameters
        settable = [p for p in accepted if p not in ("random_state", "missing_label", "classes")]
        if strangers := sorted(set(args) - set(settable)):
            raise InputError(Fault(f"{self._where}: args", f"arguments among {settable}", str(strangers)))
        refits = "ignore_partial_fit" in inspect.signature(self._kind.query).parameters
        self._classifier = self._first_that_works(CLASSIFIERS[1:] if refits else CLASSIFIERS)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Its batch, mapped back to data-set indices."""
        return self._query(view, n, rng, self._classifier)

    def _query(self, view: View, n: int, rng: np.random.Generator, classifier: Classifier) -> Indices:
        owned = view.labelled_embeddings
        samples = torch.cat([owned, view.embeddings]).float().cpu().numpy()
        targets = np.concatenate([view.labels.astype(np.float64), np.full(len(view.unlabelled), np.nan)])
        fixed: dict[str, Any] = {"random_state": int(rng.integers(2**31)), "classes": list(range(view.classes))}
        accepted = inspect.signature(self._kind).parameters
        clustering = {
            "cluster_algo_dict": {"random_state": fixed["random_state"]}
        }  # else its clusters are drawn by the global generator
        given = {key: value for key, value in (fixed | clustering).items() if key in accepted}
        strategy = self._kind(**(given | self._args))
        asked = inspect.signature(strategy.query).parameters
        learners = _learners(classifier(view, fixed), fixed)
        chosen = strategy.query(
            samples, targets, batch_size=n, **{key: value for key, value in learners.items() if key in asked}
        )
        picked: Indices = view.unlabelled[np.asarray(chosen, np.int64) - len(owned)]
        return picked

    def _first_that_works(self, classifiers: Sequence[Classifier]) -> Classifier:
        """Decided by a query on two dozen points, so that what cannot work is said before anything is trained."""
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
        wanted = "a strategy for classification that works on embeddings and owned labels"
        raise InputError(Fault(self._where, wanted, refusals[0], "choose another, or mend its args"))


class Head(SkactivemlClassifier):  # type: ignore[misc]  # the library has no types
    """The compared classifier's last layer as a scikit-activeml classifier; fitting it changes nothing."""

    def __init__(self, head: ClassifierHead, k: int) -> None:
        super().__init__(classes=list(range(k)))
        self.head, self.k = head, k
        self.classes_ = np.arange(k)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Head:  # noqa: ARG002  # the library's signature
        """Stays as it is."""
        return self

    def predict_proba(self, X: Any, **_: Any) -> NDArray[np.float64]:
        """(m, k) probabilities of samples (m, d)."""
        weights, bias = (part.double().cpu() for part in self.head)
        found: NDArray[np.float64] = (torch.as_tensor(np.asarray(X, np.float64)) @ weights.T + bias).softmax(1).numpy()
        return found

    def predict(self, X: Any, **_: Any) -> NDArray[np.int64]:
        """(m,) most probable classes; the first of equals."""
        best: NDArray[np.int64] = self.predict_proba(X).argmax(1)
        return best


CLASSIFIERS: Final[tuple[Classifier, ...]] = (
    lambda view, _: Head(view.classifier_head, view.classes),
    lambda _, fixed: ParzenWindowClassifier(**fixed),
    lambda _, fixed: MixtureModelClassifier(**fixed),
)
"""What is offered where a strategy asks for a classifier, in this order."""


def _learners(classifier: Any, fixed: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `query` by name; only those a strategy has are passed on."""
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
    """The library's pool strategies for one annotator, by class name."""
    named = {name: getattr(skactiveml.pool, name) for name in skactiveml.pool.__all__}
    return {
        n: kind
        for n, kind in named.items()
        if inspect.isclass(kind) and issubclass(kind, SingleAnnotatorPoolQueryStrategy)
    }

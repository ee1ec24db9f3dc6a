"""The adapter for scikit-activeml: its strategies under our contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.spec.study import StrategySpec
from runners.strategies import View
from runners.strategies.base import check_selection
from runners.strategies.core_set import k_center_greedy
from runners.strategies.resolve import make
from runners.strategies.uncertainty import Margin
from runners.strategies.view import ClassifierHead, Feature, Need

pytest.importorskip("skactiveml", reason="the extra skactiveml is not installed: uv sync --extra skactiveml")
pytestmark = pytest.mark.filterwarnings("ignore")

from runners.strategies import activeml  # noqa: E402  # needs the extra
from runners.strategies.activeml import ScikitActiveml, strategies  # noqa: E402  # needs the extra

REGRESSION = {
    "ExpectedModelChangeMaximization", "ExpectedModelOutputChange", "ExpectedModelVarianceReduction",
    "KLDivergenceMaximization", "GreedySamplingTarget", "RegressionTreeBasedAL",
}  # fmt: skip
WRAPPERS = {"SubSamplingWrapper", "ParallelUtilityEstimationWrapper"}
OTHER = {"ExpectedErrorReduction", "EpistemicUncertaintySampling"}
"""A base class, and a strategy for two classes only."""


@pytest.fixture
def view() -> View:
    generator = torch.Generator().manual_seed(2)
    points, owned = torch.randn(60, 4, generator=generator), torch.randn(9, 4, generator=generator)
    head = ClassifierHead(torch.randn(3, 4, generator=generator), torch.tensor([0.1, 0.0, -0.2]))
    features: dict[Need, Feature] = {"embeddings": points, "labelled_embeddings": owned, "classifier_head": head}
    return View(np.arange(100, 160), np.arange(9), np.arange(9) % 3, 3, 0, features)


@pytest.mark.parametrize("name", sorted(set(strategies()) - REGRESSION - WRAPPERS - OTHER))
def test_its_strategies_keep_the_contract(name: str, view: View) -> None:
    first, again = (
        make(StrategySpec(name=f"skactiveml:{name}"), None).select(view, 4, np.random.default_rng(3)) for _ in range(2)
    )
    check_selection(first, view, 4, name)
    assert first.tolist() == again.tolist()


def test_it_sees_the_compared_classifier(view: View) -> None:
    head = view.classifier_head
    uncertain = Margin.score((view.embeddings @ head.weights.T + head.bias).softmax(1)).topk(5).indices.numpy()
    found = ScikitActiveml("UncertaintySampling", method="margin_sampling").select(view, 5, np.random.default_rng(0))
    assert found.tolist() == view.unlabelled[uncertain].tolist()


def test_it_sees_embeddings_and_what_is_labelled(view: View) -> None:
    ours = view.unlabelled[k_center_greedy(view.embeddings, view.labelled_embeddings, 8, np.random.default_rng(0))]
    assert ScikitActiveml("CoreSet").select(view, 8, np.random.default_rng(0)).tolist() == ours.tolist()


@pytest.mark.parametrize("name", sorted(REGRESSION | WRAPPERS | {"ExpectedErrorReduction"}))
def test_what_is_not_for_classification_is_refused_before_a_run(name: str) -> None:
    with pytest.raises(InputError, match="for classification"):
        make(StrategySpec(name=f"skactiveml:{name}"), None)


def test_the_page_of_the_adapter_names_all_that_it_refuses() -> None:
    assert not [name for name in REGRESSION | WRAPPERS | OTHER if name not in (activeml.__doc__ or "")]
    assert strategies().keys() >= REGRESSION | WRAPPERS | OTHER


def test_unknown_names_and_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'UncertaintySampling'"):
        make(StrategySpec(name="skactiveml:UncertainSampling"), None)
    with pytest.raises(InputError, match="mehtod"):
        make(StrategySpec(name="skactiveml:UncertaintySampling", args={"mehtod": "entropy"}), None)

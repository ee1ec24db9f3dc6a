"""From scores of pixels to a score of the image, and the strategies that only maps make possible."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.spec.toml_files import load_preset
from protocol.spec.units import Division, tiled
from runners.data import load
from runners.features.segmentation import _with_mirrored
from runners.regimes import Resident
from runners.strategies import STRATEGIES, View
from runners.strategies.on_maps import selection_values
from runners.strategies.support.aggregation import Aggregation, boundaries
from runners.tasks import TASKS
from runners.tasks.segmentation import MapLearner


def certain(classes: list[list[int]], k: int = 3) -> torch.Tensor:
    """(1, 1, k, height, width) probabilities of a map without doubt."""
    return torch.nn.functional.one_hot(torch.tensor(classes), k).permute(2, 0, 1)[None, None].float()


def test_the_highest_share_of_pixels_is_averaged_and_never_none() -> None:
    scores = torch.tensor([[[1.0, 5.0], [2.0, 4.0]]])
    for share, expected in ((1.0, 3.0), (0.75, 11 / 3), (0.5, 4.5), (0.3, 4.5), (0.01, 5.0)):
        assert Aggregation(top_share=share)(scores, scores[:, None, None]).item() == pytest.approx(expected)


def test_pixels_beside_another_class_weigh_more() -> None:
    maps = certain([[0, 0, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0]])
    at = [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]]
    assert boundaries(maps[:, 0].argmax(1)).tolist() == [at]
    scores = torch.arange(12.0).view(1, 3, 4)
    weights = 1 + 4 * torch.tensor(at)
    by_hand = (scores[0] * weights).sum() / weights.sum()
    assert Aggregation(boundary_weight=4)(scores, maps).item() == pytest.approx(by_hand.item())
    assert Aggregation(boundary_weight=4)(scores, certain([[0] * 4] * 3)).item() == pytest.approx(5.5)


def test_strategies_of_scores_take_the_aggregation() -> None:
    p = torch.softmax(torch.randn(3, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0)), 2)
    each = -(p[:, 0] * p[:, 0].log()).sum(1).flatten(1)
    task = TASKS["segmentation"]
    top = task.adapt_or_refuse(STRATEGIES["entropy"](top_share=0.2), "entropy")  # type: ignore[call-arg]
    torch.testing.assert_close(top.score_maps(p), each.sort(1).values[:, -6:].mean(1))  # type: ignore[attr-defined]
    draws = p.repeat(1, 2, 1, 1, 1)
    several = task.adapt_or_refuse(STRATEGIES["ensemble-entropy"](top_share=0.2), "ensemble-entropy")  # type: ignore[call-arg]
    torch.testing.assert_close(several.score_maps(draws), top.score_maps(p))  # type: ignore[attr-defined]


def test_wrong_or_misplaced_aggregation_is_refused() -> None:
    with pytest.raises(InputError) as told:
        STRATEGIES["margin"](top_share=0, boundary_weight=-1)  # type: ignore[call-arg]
    assert {"top_share", "boundary_weight"} <= set(str(told.value).replace(":", " ").split())
    with pytest.raises(InputError, match="not both"):
        Aggregation(0.5, 1.0)
    with pytest.raises(InputError, match="the task is classification"):
        TASKS["classification"].adapt_or_refuse(STRATEGIES["margin"](top_share=0.5), "margin")  # type: ignore[call-arg]


def test_equal_is_the_jensen_shannon_divergence_of_the_two_maps() -> None:
    equal = STRATEGIES["equal"]()
    one, other = certain([[0, 1], [2, 2]]), certain([[0, 0], [1, 2]])
    score = equal.score_maps(torch.cat([one, other], 1))  # type: ignore[attr-defined]
    assert score.item() == pytest.approx(math.log(2) / 2)  # two of four pixels disagree altogether
    assert equal.score_maps(torch.cat([one, one], 1)).item() == 0  # type: ignore[attr-defined]


def test_the_mirrored_map_is_mirrored_back() -> None:
    protocol = load_preset("digit-scenes-plain")
    images, _ = load(protocol.data, None)
    task, rows = TASKS["segmentation"], np.arange(3)
    resident = Resident.of(images, torch.device("cpu"))
    learner = task.learner(task.build(protocol.model, images, 0), resident, resident.scaling(rows), "float32")
    for module in (
        learner.net.modules()
    ):  # without padding and with kernels that have no left and right, mirroring changes nothing
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = (module.weight.data + module.weight.data.flip(3)) / 2
    (samples,) = list(_with_mirrored(cast(MapLearner, learner), rows))
    assert samples.shape == (3, 2, 4, 24, 24)
    torch.testing.assert_close(samples[:, 0], samples[:, 1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(samples[:, 0], samples[:, 1].flip(3), rtol=1e-4, atol=1e-5)


def test_images_are_drawn_by_their_share_of_foreground() -> None:
    strategy = STRATEGIES["random-foreground"]()
    maps = torch.cat([certain([[0, 0], [0, 0]]), certain([[0, 1], [2, 2]]), certain([[0, 0], [0, 2]])])
    shares = strategy.score_maps(maps)  # type: ignore[attr-defined]
    assert shares.tolist() == [0, 0.75, 0.25]
    view = View(np.arange(3), np.array([9]), np.zeros((1, 2, 2), np.uint8), 3, 0, {"map_scores": shares})
    rng = np.random.default_rng(0)
    firsts = np.bincount([strategy.select(view, 1, rng)[0] for _ in range(2000)], minlength=3)
    assert firsts[0] == 0
    assert abs(firsts[1] / 2000 - 0.75) < 5 * math.sqrt(0.75 * 0.25 / 2000)
    assert strategy.select(view, 3, rng)[2] == 0
    with pytest.raises(InputError, match="background"):
        STRATEGIES["random-foreground"](background=3).score_maps(maps)  # type: ignore[call-arg, attr-defined]


def priced_view(scores: list[float], costs: list[float], division: Division | None) -> View:
    features: dict[Any, Any] = {"map_scores": torch.tensor(scores), "expected_costs": torch.tensor(costs)}
    return View(np.array([0, 1, 4, 5]), np.array([2]), np.zeros((1, 3), np.int64), 3, 0, features, division)


def test_worth_is_the_sum_over_pixels_for_one_unit_of_the_budget() -> None:
    division = tiled(2, 6, 7, (4, 5))  # of each image tiles of 20, 8, 10 and 4 pixels
    view = priced_view([0.5, 0.9, 0.2, 0.4], [8.0, 2.0, 1.0, 5.0], division)
    weighing = TASKS["segmentation"].adapt_or_refuse(STRATEGIES["entropy"](per_cost=True), "entropy")  # type: ignore[call-arg]
    assert weighing.needs == ("map_scores", "expected_costs")
    by_hand = [0.5 * 20 / 8, 0.9 * 8 / 2, 0.2 * 20 / 1, 0.4 * 8 / 5]
    assert selection_values(weighing, view, view.map_scores).tolist() == pytest.approx(by_hand)
    assert weighing.select(view, 4, np.random.default_rng(0)).tolist() == [4, 1, 0, 5]
    plain = TASKS["segmentation"].adapt_or_refuse(STRATEGIES["entropy"](), "entropy")
    assert plain.needs == ("map_scores",)
    assert plain.select(view, 4, np.random.default_rng(0)).tolist() == [1, 0, 5, 4]
    by_pixel = priced_view([0.5, 0.9, 0.2, 0.4], [20.0, 8.0, 20.0, 8.0], division)  # a price of a pixel each: the mean
    assert weighing.select(by_pixel, 4, np.random.default_rng(0)).tolist() == [1, 0, 5, 4]
    images = priced_view([0.5, 0.9, 0.2, 0.4], [8.0, 12.0, 1.0, 4.0], None)  # of one size, so no pixels are counted
    assert selection_values(weighing, images, images.map_scores).tolist() == pytest.approx([0.0625, 0.075, 0.2, 0.1])


def test_a_margin_is_worth_what_it_is_above_certainty() -> None:
    view = priced_view([-0.5, -0.9, -1.0, -0.1], [2.0, 1.0, 1.0, 30.0], None)
    margin = TASKS["segmentation"].adapt_or_refuse(STRATEGIES["margin"](per_cost=True), "margin")  # type: ignore[call-arg]
    assert selection_values(margin, view, view.map_scores).tolist() == pytest.approx([0.25, 0.1, 0.0, 0.03])
    assert margin.select(view, 4, np.random.default_rng(0)).tolist() == [0, 1, 5, 4]


def test_equal_weighs_costs_as_well_and_classification_does_not() -> None:
    equal = TASKS["segmentation"].adapt_or_refuse(STRATEGIES["equal"](per_cost=True), "equal")  # type: ignore[call-arg]
    assert equal.needs == ("flip_map_scores", "expected_costs")
    features: dict[Any, Any] = {"flip_map_scores": torch.tensor([0.3, 0.2]), "expected_costs": torch.tensor([9.0, 2.0])}
    view = View(np.array([3, 7]), np.array([2]), np.zeros((1, 3), np.int64), 3, 0, features)
    assert equal.select(view, 1, np.random.default_rng(0)).tolist() == [7]
    assert TASKS["segmentation"].adapt_or_refuse(STRATEGIES["equal"](), "equal").needs == ("flip_map_scores",)
    with pytest.raises(InputError, match="per_cost = True"):
        TASKS["classification"].adapt_or_refuse(STRATEGIES["margin"](per_cost=True), "margin")  # type: ignore[call-arg]

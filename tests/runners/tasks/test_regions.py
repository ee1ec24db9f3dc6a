"""Regions of images through the same loop: bought, trained on, scored, resumed, replayed and checked."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from analysis.figures import FIGURES, FigureInputs, StudyFigure
from analysis.loading.records import load_study
from analysis.verdict.decide import compare
from protocol.draws.splits import make_split
from protocol.errors import InputError
from protocol.metrics import VOID
from protocol.oracle.oracle import Oracle
from protocol.record.chain import essence, read
from protocol.record.events import LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from protocol.spec.units import Division, tiled
from runners.data import load
from runners.datasets.regions import clicks, divide, price_units
from runners.features.regions import Places, Regions, region_means
from runners.features.segmentation import gradients, image_mixtures
from runners.loop import rounds
from runners.models.dense import Maps
from runners.progress.job import Stopped
from runners.purchases.load import load_purchases
from runners.regimes import Resident, fit
from runners.run.perform import perform
from runners.run.replay import replay_run
from runners.session import Session
from runners.strategies import STRATEGIES
from runners.strategies.support.aggregation import Aggregation, boundaries
from runners.strategies.support.mixtures import class_mixtures
from runners.tasks import TASKS
from runners.tasks.segmentation import MapLearner
from runners.verbs.running.plan import cost_of
from tests.support.made_jobs import made
from tests.support.toy_strategies import TOY

TILES = {"unit": "tile", "tile": [8, 10]}  # of 24x24 scenes: rows of 80, 80 and 32 pixels
KINDS: dict[str, dict[str, Any]] = {
    "tiles": {"budgets": [9, 12, 16], "labelling": TILES},
    "tiles-pixels": {"budgets": [700, 1000, 1400], "labelling": TILES | {"cost": "pixel"}},
    "superpixels-clicks": {
        "budgets": [60, 90, 120],
        "labelling": {"unit": "superpixel", "superpixels": 9, "cost": "click"},
    },
    "images-clicks": {"budgets": [60, 100, 160], "labelling": {"cost": "click"}},
}

MOST = {"tiles-pixels": 80, "superpixels-clicks": 40, "images-clicks": 150}
"""What one unit costs at most, about."""


def table(name: str, **changes: Any) -> dict[str, Any]:
    regime = {"name": "plain", "steps": 2, "batch_size": 4, "optimizer": {"name": "adam", "lr": 0.01}}
    return {
        "name": name,
        "task": "segmentation",
        "metric": "mean_iou",
        "data": {"name": "digit-scenes"},
        "model": {"name": "unet-small", "width": 2},
        "regime": regime | {"augmentation": {"flip": True, "zoom": [0.8, 1.25]}},
    } | (KINDS[name] | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage", reason="superpixels and clicks need the extra: uv sync --extra regions")
    strategies = [{"name": "random"}, {"name": "entropy", "tuning": 0}]
    protocols = [table(name) for name in KINDS]
    study = parse(
        Study,
        {"name": "toy", "protocols": protocols, "strategies": strategies, "seeds": [0, 1], "plan": {"test": "t"}},
        "toy",
    )
    path = tmp_path_factory.mktemp("regions") / "study"
    assert [perform(job).state for job in made(path, study)] == ["done"] * 16
    return path


def test_a_study_obeys_every_rule_that_its_records_can_show(finished: Path) -> None:
    result = check_study(finished)
    here = [r for r in result.results if not r.rule.id.startswith("ENV")]
    assert {r.rule.id: r.answer for r in here if r.answer != "obeyed"} == {
        "BUD-07": "unverifiable"
    }  # what clicks come to, masks say
    assert {f.run.split("/")[0] for f in result.findings if f.rule == "BUD-07" and f.run} == {
        "superpixels-clicks",
        "images-clicks",
    }


@pytest.mark.parametrize("protocol", KINDS)
def test_queries_can_be_chosen_again(finished: Path, protocol: str) -> None:
    for strategy in ("random", "entropy"):
        again = list(replay_run(StudyFolder(finished).run(RunId(protocol, strategy, 1)), None, None, None))
        assert [a.answer for a in again] == ["equal", "equal", "equal"]


@pytest.mark.parametrize("protocol", KINDS)
def test_budgets_are_spent_as_far_as_they_reach(finished: Path, protocol: str) -> None:
    record = read(StudyFolder(finished).run(RunId(protocol, "entropy", 1)).events)
    sold = record.of(LabelsEvent)
    assert record.run is not None
    budgets = record.run.protocol.budgets
    assert len(sold) == len(budgets)
    for sale, budget, round_ in zip(sold, budgets, record.rounds, strict=True):
        assert sale.after <= budget
        assert round_.training_labels == sum(len(s.indices) for s in sold if s.after <= sale.after)
        if not record.run.protocol.metered:
            assert sale.after == budget
            assert sale.costs == ()
        elif sale.purpose == "query":
            asked = record.rounds[round_.round - 1].query
            assert sale.indices == asked[: len(sale.indices)]
            assert len(sale.indices) == len(asked) or sum(sale.costs) + MOST[protocol] > budget - sale.before


@pytest.mark.parametrize(
    ("protocol", "isolate"), [("tiles-pixels", False), ("superpixels-clicks", False), ("superpixels-clicks", True)]
)
def test_interrupted_or_with_the_oracle_apart_the_record_is_the_same(
    finished: Path, tmp_path: Path, protocol: str, isolate: bool
) -> None:
    jobs_ = made(tmp_path / "again", StudyFolder(finished).read_plan(), isolate=isolate)
    job = next(j for j in jobs_ if (j.strategy.id, j.protocol.name, j.seed) == ("entropy", protocol, 0))

    def stop(done: int, _: int) -> None:
        if done == 1:
            raise Stopped

    assert perform(job, stop).state == "stopped"
    assert perform(job).state == "done"
    again, before = (
        read(StudyFolder(p).run(RunId(protocol, "entropy", 0)).events) for p in (tmp_path / "again", finished)
    )
    assert essence(again) == essence(before)


def test_pictures_show_the_regions_that_were_bought_and_axes_what_is_paid(finished: Path) -> None:
    folder = StudyFolder(finished)
    bought = load_purchases(folder.path)
    images, labels = load(folder.read_plan().protocols[0].data, None)
    [sheet] = [s for s in bought.sheets if (s.protocol, s.strategy) == ("tiles", "entropy")]
    query, unit = sheet.queries[0], sheet.queries[0].indices[0]
    image, row, column = unit // 9, 8 * (unit % 9 // 3), 10 * (unit % 3)  # three rows of tiles, three in each
    inside = np.zeros((24, 24), bool)
    inside[row : row + 8, column : column + 10] = True
    assert sheet.regions
    assert query.masks is not None
    np.testing.assert_array_equal(query.pixels[0][inside], images.pixels[image][inside])
    assert query.pixels[0][~inside].min() >= 192
    np.testing.assert_array_equal(query.masks[0], np.where(inside, labels.for_oracle()[image], VOID))
    assert not next(s for s in bought.sheets if s.protocol == "images-clicks").regions
    curves = load_study(finished)
    assert curves.currency("tiles") == "regions"
    assert curves.currency() == "regions or pixels or clicks"
    study_figure = FIGURES["learning-curves"](FigureInputs(curves, compare(curves), bought))
    assert isinstance(study_figure, StudyFigure)
    assert [ax.get_xlabel() for ax in study_figure.figure.axes] == [
        "regions paid for",
        "pixels paid for",
        "clicks paid for",
        "clicks paid for",
    ]


def test_training_sees_the_paid_pixels_alone(finished: Path) -> None:
    """Masks of what was not bought are poisoned: the weights are the same."""
    protocol = parse(Protocol, table("tiles"), "p")
    images, hidden = load(protocol.data, None)
    labels = hidden.for_oracle().copy()
    resident, division = Resident.of(images, torch.device("cpu")), divide(protocol, images, None)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    ends = []
    for poisoned in (False, True):
        oracle = Oracle(
            protocol,
            0,
            split,
            labels,
            lambda *_: None,
            classes=len(images.classes),
            units=price_units(protocol, division, labels),
        )
        oracle.start()
        fitted = fit(protocol, Session(protocol, "x", 0, images, split, oracle, resident).inputs(0), 0, 0, resident)
        ends.append({k: v.clone() for k, v in fitted.learner.net.state_dict().items()})
        if not poisoned:
            assert division.maps is not None
            own = np.isin(division.maps(split.pool), oracle.labelled)
            labels[split.pool] = np.where(own, labels[split.pool], (labels[split.pool] + 1) % len(images.classes))
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])
    owned = set(oracle.labelled.tolist())
    labels[split.pool] = (labels[split.pool] + 1) % len(images.classes)  # now what is owned, too: the test can fail
    oracle = Oracle(
        protocol,
        0,
        split,
        labels,
        lambda *_: None,
        classes=len(images.classes),
        units=price_units(protocol, division, labels),
    )
    oracle.start()
    assert set(oracle.labelled.tolist()) == owned
    other = fit(
        protocol, Session(protocol, "x", 0, images, split, oracle, resident).inputs(0), 0, 0, resident
    ).learner.net.state_dict()
    assert not all(torch.equal(ends[0][k], other[k]) for k in other)


def test_every_strategy_works_on_regions_or_is_refused_with_what_is_missing() -> None:
    protocol = parse(Protocol, table("tiles", budgets=[9, 14]), "p")
    images, hidden = load(protocol.data, None)
    labels, division = hidden.for_oracle(), divide(protocol, images, None)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    split = dataclasses.replace(split, pool=split.pool[:30], test=split.test[:5])
    resident, works = Resident.of(images, torch.device("cpu")), []
    for name, kind in STRATEGIES.items():
        accepted = inspect.signature(kind).parameters
        few = TOY.get(name, {}) | {key: value for key, value in (("samples", 3), ("members", 2)) if key in accepted}
        oracle = Oracle(
            protocol,
            0,
            split,
            labels,
            lambda *_: None,
            classes=len(images.classes),
            units=price_units(protocol, division, labels),
        )
        oracle.start()
        run = rounds(Session(protocol, name, 0, images, split, oracle, resident, division), kind(**few), 0)
        suited = TASKS["segmentation"].adapt(kind(**few))
        if suited is None or {"images", "labelled_images"} & set(suited.needs):
            with pytest.raises(InputError, match="a strategy for segmentation of regions"):
                next(run)
            continue
        outcome = next(run)
        assert len(set(outcome.query.tolist())) == 5
        assert np.isin(outcome.query, oracle.unlabelled).all()
        works.append(name)
    assert {
        "random",
        "entropy",
        "margin",
        "bald",
        "ensemble-entropy",
        "core-set",
        "typiclust",
        "badge",
        "cdal",
        "equal",
    } <= set(works)


def some_regions(height: int = 6, width: int = 7) -> tuple[Regions, torch.Tensor]:
    division = tiled(4, height, width, (4, 3))
    regions = Regions(np.array([1, 2, 8, 17]), np.array([19, 0]), division)
    assert division.maps is not None
    return regions, torch.from_numpy(division.maps(np.array([0, 1, 2, 3])))


@pytest.mark.parametrize("how", [Aggregation(), Aggregation(top_share=0.3), Aggregation(boundary_weight=2.0)])
def test_a_regions_score_is_that_of_its_pixels_alone(how: Aggregation) -> None:
    generator = torch.Generator().manual_seed(0)
    scores, samples = (
        torch.rand(2, 6, 7, generator=generator),
        torch.rand(2, 3, 4, 6, 7, generator=generator).softmax(2),
    )
    places = torch.from_numpy(np.stack([np.arange(42).reshape(6, 7) // 5, 9 + np.arange(42).reshape(6, 7) % 4]))
    found = how.by_region(scores, samples, places, 13)
    edges = boundaries(samples.mean(1).argmax(1))
    for region in range(13):
        values, edge = scores[places == region], edges[places == region]
        if how.boundary_weight:
            expected = (values * (1 + 2 * edge)).sum() / (1 + 2 * edge).sum()
        else:
            expected = values.sort(descending=True).values[: int(np.ceil(how.top_share * len(values)))].mean()
        torch.testing.assert_close(found[region], expected)


def test_a_region_that_is_the_whole_image_scores_as_the_image() -> None:
    scores, samples = torch.rand(3, 5, 4), torch.rand(3, 2, 3, 5, 4).softmax(2)
    places = torch.arange(3)[:, None, None].expand(3, 5, 4)
    for how in (Aggregation(), Aggregation(top_share=0.4), Aggregation(boundary_weight=1.5)):
        torch.testing.assert_close(how.by_region(scores, samples, places, 3), how(scores, samples))


def test_features_of_a_region_are_means_over_its_pixels_at_whatever_resolution_they_are() -> None:
    _, maps = some_regions()
    places = Places(maps, int(maps.max()) + 1)
    fine = torch.rand(4, 5, 6, 7)
    found = region_means(fine, places)
    for region in range(places.count):
        image = int((maps == region).nonzero()[0, 0])
        torch.testing.assert_close(found[region], fine[image][:, maps[image] == region].mean(1))
    coarse = torch.rand(4, 5, 3, 2)
    enlarged = torch.nn.functional.interpolate(coarse, (6, 7), mode="nearest")
    torch.testing.assert_close(region_means(coarse, places), region_means(enlarged, places))


class Said:
    """A learner that has said what it says of four images, two at a time."""

    def __init__(self, height: int, width: int) -> None:
        self.logits, self.features = torch.randn(4, 3, height, width), torch.randn(4, 5, height, width)
        self.device, self.net = torch.device("cpu"), SimpleNamespace(head=SimpleNamespace(out_channels=3))

    def passes(self, indices: np.ndarray) -> Any:
        for start in range(0, len(indices), 2):
            at = torch.from_numpy(indices[start : start + 2])
            yield start, Maps(self.logits[at], self.features[at], torch.zeros(len(at), 1))


def test_gradients_of_regions_add_up_to_the_images() -> None:
    regions, _ = some_regions()
    every = regions.units.of(np.arange(4))
    regions = Regions(every, every[:0], regions.division)
    said: Any = Said(6, 7)
    of_regions = regions.gradients(said).embeddings
    weights = torch.from_numpy(regions.units.pixels).float()[:, None]
    summed = (of_regions * weights).view(4, -1, 15).sum(1) / 42
    torch.testing.assert_close(summed, gradients(said, np.arange(4)).embeddings)
    torch.testing.assert_close(
        Regions(every[[1, 7]], every[:0], regions.division).gradients(said).embeddings, of_regions[[1, 7]]
    )


def test_mixtures_of_regions_and_images_are_of_their_own_pixels() -> None:
    regions, maps = some_regions()
    said: Any = Said(6, 7)
    p = said.logits.softmax(1)
    for which in (regions.unlabelled, regions.labelled):  # the owned are in no order of images
        found = regions.mixtures(said, which)
        for row, unit in zip(found, which.tolist(), strict=True):
            pixels = p.permute(0, 2, 3, 1)[maps == unit]
            torch.testing.assert_close(
                row, class_mixtures(pixels.T[None, :, None], torch.zeros(1, 1, len(pixels), dtype=torch.int64), 1)[0]
            )
    whole = image_mixtures(said, np.array([3, 0, 2]))
    torch.testing.assert_close(whole[1], class_mixtures(p[:1], torch.zeros(1, 6, 7, dtype=torch.int64), 1)[0])
    assert (
        image_mixtures(said, np.empty(0, np.int64)).shape
        == regions.mixtures(said, np.empty(0, np.int64)).shape
        == (0, 3, 3)
    )


@pytest.mark.parametrize("kind", ["tiles", "tiles-pixels", "superpixels-clicks", "images-clicks"])
def test_weighed_by_cost_the_query_is_in_the_order_of_worth(kind: str) -> None:
    pytest.importorskip("skimage", reason="superpixels and clicks need the extra: uv sync --extra regions")
    regime = table(kind)["regime"] | {
        "steps": 20 if kind == "images-clicks" else 2
    }  # until predicted maps have more than one class
    protocol = parse(Protocol, table(kind, regime=regime), "p")
    images, hidden = load(protocol.data, None)
    labels, division = hidden.for_oracle(), divide(protocol, images, None)
    split = make_split(protocol, 0, images.train_size, images.test_size)
    split = dataclasses.replace(split, pool=split.pool[:25], test=split.test[:3])
    oracle = Oracle(
        protocol,
        0,
        split,
        labels,
        lambda *_: None,
        classes=len(images.classes),
        units=price_units(protocol, division, labels),
    )
    oracle.start()
    strategy, resident = STRATEGIES["entropy"](per_cost=True), Resident.of(images, torch.device("cpu"))  # type: ignore[call-arg]
    outcome = next(rounds(Session(protocol, "entropy", 0, images, split, oracle, resident, division), strategy, 0))
    there, learner = oracle.unlabelled, outcome.fit.learner
    assert isinstance(learner, MapLearner)
    some = np.unique(division.units.image_of(there))
    p = torch.cat([maps.logits.float().softmax(1) for _, maps in learner.passes(some)])
    uncertain = torch.special.entr(p).sum(1).double().numpy()
    predicted, worths, prices = p.argmax(1).numpy(), [], set()
    for unit in there.tolist():
        at = int(np.searchsorted(some, division.units.image_of(np.array([unit]))[0]))
        inside = np.ones((24, 24), bool) if division.maps is None else division.maps(some[[at]])[0] == unit
        box = tuple(slice(a.min(), a.max() + 1) for a in inside.nonzero())
        assert protocol.labelling is not None
        price = {"label": 1, "pixel": int(inside.sum()), "click": clicks(predicted[at][box], inside[box])}[
            protocol.labelling.cost
        ]
        prices.add(price)
        worths.append(uncertain[at][inside].sum() / price)
    found = np.array(worths)[np.searchsorted(there, outcome.query)]
    np.testing.assert_allclose(found, np.sort(worths)[::-1][: len(found)], rtol=1e-4)
    assert len(found) >= 3
    assert (len(prices) > 1) == (kind != "tiles")


def test_owned_pixels_are_counted_by_class() -> None:
    regions, maps = some_regions()
    masks = np.random.default_rng(0).integers(0, 3, (4, 6, 7)).astype(np.uint8)
    masks[0, 0, 0] = VOID
    images = np.array([3, 0])
    owned = np.isin(maps.numpy()[images], regions.labelled)
    counts = regions.counts(images, np.where(owned, masks[images], VOID), 3)
    for row, unit in zip(counts, regions.labelled.tolist(), strict=True):
        inside = masks[maps.numpy() == unit]
        assert row.tolist() == [int((inside == k).sum()) for k in range(3)]


def test_clicks_count_segments_and_corners() -> None:
    pytest.importorskip("skimage", reason="clicks need the extra: uv sync --extra regions")
    mask = np.zeros((12, 14), np.uint8)
    whole = np.ones(mask.shape, bool)
    assert clicks(mask, whole) == 1  # its class
    mask[:, 7:] = 1
    assert clicks(mask, whole) == 2 + 2  # two classes, and a line from edge to edge
    mask[:, 7:] = 0
    mask[3:9, 4:10] = 2
    assert clicks(mask, whole) == 2 + 4  # a square and what is around it
    mask[3:9, 4] = VOID
    assert clicks(mask, whole) == 2 + 4  # void is nobody's to outline
    left = whole.copy()
    left[:, 4:] = False
    assert clicks(mask, left) == 1  # of a region, only what is inside
    assert clicks(np.full((3, 3), VOID, np.uint8), np.ones((3, 3), bool)) == 1


def test_superpixels_are_kept_and_fill_images_without_gaps(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="superpixels need the extra: uv sync --extra regions")
    protocol = parse(Protocol, table("superpixels-clicks"), "p")
    images, _ = load(protocol.data, None)
    few = dataclasses.replace(images, pixels=images.pixels[:30], train_size=20)
    study = StudyFolder(tmp_path)
    first = divide(protocol, few, study)
    [kept] = (tmp_path / "regions").iterdir()
    stamp = kept.stat().st_mtime_ns
    again, without = divide(protocol, few, study), divide(protocol, few, None)
    assert kept.stat().st_mtime_ns == stamp
    assert first.units.digest == again.units.digest == without.units.digest
    for division in (first, again, without):
        check_division(division, 20, (24, 24))


def check_division(division: Division, n: int, shape: tuple[int, int]) -> None:
    assert division.maps is not None
    maps = division.maps(np.arange(n))
    assert maps.shape == (n, *shape)
    assert np.bincount(maps.ravel()).tolist() == division.units.pixels.tolist()
    assert (division.units.image_of(maps.reshape(n, -1)) == np.arange(n)[:, None]).all()


def test_what_a_plan_costs_is_measured() -> None:
    assert cost_of(parse(Protocol, table("tiles-pixels"), "p"), None, "cpu", 1).run > 0

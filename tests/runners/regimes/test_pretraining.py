"""Pretraining sees the pool's images and nothing else, is done once, and leaves no trace of who did it."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.errors import InputError
from protocol.record.chain import essence, read
from protocol.record.events import RoundEvent
from protocol.record.layout import StudyFolder
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from protocol.spec.recipe import Views
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets import Images
from runners.models import build, weights_digest
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.regimes import FitInputs, Resident, fit, prepare
from runners.regimes.augment.two_views import random_view
from runners.regimes.pretraining import bodies
from runners.regimes.pretraining.self_supervised import learn_body, negative_cosine, nt_xent
from runners.run.perform import perform

POOL = np.arange(0, 900, 3)
NONE = np.empty(0, np.int64)


def table(then: str = "linear-probe", method: str = "simclr", **changes: Any) -> dict[str, Any]:
    learning = {
        "method": method,
        "epochs": 2,
        "batch_size": 64,
        "optimizer": {"name": "adam", "lr": 0.002},
        "hidden": 16,
        "projection": 8,
    }
    learning |= ({"temperature": 0.5} if method == "simclr" else {}) | changes
    regime = {"name": "pre", "steps": 6, "batch_size": 16, "optimizer": {"name": "sgd", "lr": 0.05}}
    return {
        "name": "pre",
        "data": {"name": "digits"},
        "splits": {"test_size": 200},
        "budgets": [20, 30],
        "model": {"name": "small-cnn", "width": 4, "dropout": 0.1},
        "regime": regime | {"pretraining": {"then": then, "self_supervised": learning}},
    }


def protocol(*args: Any, **changes: Any) -> Protocol:
    return parse(Protocol, table(*args, **changes), "t")


@pytest.fixture(scope="module")
def digits() -> tuple[Images, np.ndarray]:
    images, labels = load(Data(name="digits"), None)
    return images, labels.for_oracle()


def made(
    p: Protocol, images: Images, study: StudyFolder | None = None, pool: np.ndarray = POOL
) -> tuple[Images, Resident]:
    return prepare(p, images, Resident.of(images, torch.device("cpu")), pool, study)


def digest(p: Protocol, images: Images, pool: np.ndarray = POOL) -> str:
    start = made(p, images, None, pool)[1].start
    assert start is not None
    return start.digest


def test_nt_xent_is_the_papers_sum() -> None:
    a, b = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind()
    views = [v / v.norm() for pair in zip(a, b, strict=True) for v in pair]  # 2k and 2k+1 are partners
    total = 0.0
    for i, z in enumerate(views):
        others = [math.exp(float(z @ y) / 0.3) for j, y in enumerate(views) if j != i]
        total -= math.log(math.exp(float(z @ views[i ^ 1]) / 0.3) / sum(others))
    assert nt_xent(a, b, 0.3).item() == pytest.approx(total / 10, rel=1e-5)


def test_simsiam_stops_the_gradient_of_its_target() -> None:
    p, z = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([[2.0, 1.0]], requires_grad=True)
    loss = negative_cosine(p, z)
    assert loss.item() == pytest.approx(-4 / 5)
    loss.backward()
    assert z.grad is None
    assert p.grad is not None
    assert p.grad.abs().sum() > 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("views", "least"),
    [
        (Views(flip=True, least_area=1.0, jitter=0.0, grey=0.0), 2),
        (Views(least_area=0.3, jitter=0.0, grey=0.0), 60),
        (Views(least_area=1.0, jitter=0.5, grey=0.0), 40),  # a fifth of the images has none
        (Views(flip=True, least_area=0.3, jitter=1.0, grey=0.2), 60),
    ],
)
def test_64_equal_images_become_many(views: Views, least: int, channels: int) -> None:
    picture = (
        torch.randint(0, 256, (1, channels, 12, 12), generator=torch.Generator().manual_seed(1))
        .float()
        .expand(64, -1, -1, -1)
    )
    out = random_view(picture, views, torch.Generator().manual_seed(2))
    assert out.shape == picture.shape
    assert len({image.numpy().tobytes() for image in out}) >= least
    assert out.min() >= 0
    assert out.max() <= 255
    assert torch.equal(out, random_view(picture, views, torch.Generator().manual_seed(2)))


def test_views_by_hand() -> None:
    picture = (
        torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(1)).float().expand(64, -1, -1, -1)
    )
    nothing = Views(least_area=1.0, jitter=0.0, grey=0.0)
    assert torch.equal(random_view(picture, nothing, torch.Generator()), picture)
    flipped = random_view(picture, nothing.model_copy(update={"flip": True}), torch.Generator().manual_seed(0))
    mirrored = [bool((image - picture[0].flip(2)).abs().max() < 1e-3) for image in flipped]
    assert 20 < sum(mirrored) < 44
    torch.testing.assert_close(flipped[mirrored.index(False)], picture[0], atol=1e-3, rtol=0)
    grey = random_view(picture, nothing.model_copy(update={"grey": 1.0}), torch.Generator().manual_seed(0))
    assert torch.equal(grey[:, 0], grey[:, 1])
    torch.testing.assert_close(grey[0, 0], 0.299 * picture[0, 0] + 0.587 * picture[0, 1] + 0.114 * picture[0, 2])


@pytest.mark.parametrize("method", ["simclr", "simsiam"])
def test_neither_labels_nor_images_outside_the_pool_matter(digits, method: str) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    p = protocol(method=method)
    poisoned = images.pixels.copy()
    outside = np.setdiff1d(np.arange(images.n), POOL)
    poisoned[outside] = np.random.default_rng(0).integers(0, 256, poisoned[outside].shape)
    # other labels are another digest of the data set, and no more of them ever gets here
    assert digest(p, images) == digest(p, replace(images, pixels=poisoned, digest="of other labels"))
    poisoned = images.pixels.copy()
    poisoned[POOL[:50]] = 0
    assert digest(p, images) != digest(p, replace(images, pixels=poisoned))


def test_what_a_body_depends_on_has_its_own_name(digits) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    p = protocol()
    keys = [
        bodies.key_of(q, i, pool)
        for q, i, pool in (
            (p, images, POOL),
            (protocol(epochs=3), images, POOL),
            (protocol(method="simsiam"), images, POOL),
            (p.model_copy(update={"root_seed": 1}), images, POOL),
            (p, replace(images, digest="other"), POOL),
            (p, images, POOL[1:]),
            (p.model_copy(update={"model": p.model.model_copy(update={"width": 5})}), images, POOL),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert bodies.key_of(protocol("fine-tune"), images, POOL[::-1]) == keys[0]


def test_it_is_done_once_and_found_again(digits, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    study, p, calls = StudyFolder(tmp_path), protocol(), []
    learn = learn_body
    monkeypatch.setattr(bodies, "learn_body", lambda *a: calls.append(1) or learn(*a))
    with ThreadPoolExecutor(3) as together:
        results = list(together.map(lambda _: made(p, images, study)[1], range(3)))
    assert len(calls) == 1
    assert len({r.start.digest for r in results if r.start}) == 1
    assert all(torch.equal(r.pixels, results[0].pixels) for r in results)
    tuned = made(protocol("fine-tune"), images, study)[1]
    assert len(calls) == 1  # the same body
    assert tuned.pixels.dtype == torch.uint8
    alone = made(p, images)[1]
    assert torch.equal(alone.pixels, results[0].pixels)
    assert len(calls) == 2
    prepare(
        protocol(epochs=1),
        images,
        Resident.of(images, torch.device("cpu")),
        POOL,
        StudyFolder(tmp_path / "none"),
        keep=False,
    )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["weights.npz", "features.npy"])
def test_damage_is_told_and_mended(digits, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    made(protocol(epochs=1), images, StudyFolder(tmp_path))
    path = next(tmp_path.glob(f"pretrained/*/{name}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    prepare(
        protocol(epochs=1), images, Resident.of(images, torch.device("cpu")), POOL, StudyFolder(tmp_path), keep=False
    )
    assert len(path.read_bytes()) == len(whole) - 200  # who only reads leaves it as it is
    assert f"{name} is damaged" in capsys.readouterr().err
    made(protocol(epochs=1), images, StudyFolder(tmp_path))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("then", ["linear-probe", "fine-tune"])
def test_rounds_start_from_the_body(digits, then: str) -> None:  # type: ignore[no-untyped-def]
    images, labels = digits
    p = protocol(then)
    seen, resident = made(p, images)

    def round_(n: int, seed: int, k: int) -> Any:
        return fit(p, FitInputs(seen, POOL[:n], labels[POOL[:n]], NONE, NONE, POOL[n:]), seed, k, resident)

    first, second, other = round_(20, 0, 0), round_(30, 0, 1), round_(20, 1, 0)
    assert resident.start is not None
    assert first.pretrained == second.pretrained == other.pretrained == resident.start.digest
    assert first.initial_weights == second.initial_weights != other.initial_weights
    another = made(protocol(then, epochs=3), images)[1]
    changed = fit(p, FitInputs(seen, POOL[:20], labels[POOL[:20]], NONE, NONE, POOL[20:]), 0, 0, another)
    assert changed.initial_weights != first.initial_weights
    body = first.learner.net.body
    assert (sum(t.numel() for t in body.parameters()) == 0) == (then == "linear-probe")
    if then == "fine-tune":
        assert weights_digest(body) != resident.start.digest  # it moved
    assert first.learner.predict(NONE).embeddings.shape == (0, first.learner.net.embedding_size)


def test_embeddings_of_a_probe_are_those_of_the_body(digits) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    p = protocol()
    seen, resident = made(p, images)
    net = bodies.with_body(build(p.model, images, 5), resident.start.state).eval()  # type: ignore[union-attr]
    scaling = Resident.of(images, torch.device("cpu")).scaling(POOL)
    x = torch.from_numpy(images.pixels[7:20].copy()).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(
        torch.from_numpy(seen.pixels[7:20, 0, 0]), net.features(scaling(x)).detach(), atol=1e-4, rtol=1e-4
    )
    assert seen.digest == images.digest


def test_pretraining_brings_views_together(digits) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits

    def alignment(p: Protocol) -> float:
        """How much more two views of one image look alike than views of two images."""
        resident = made(p, images)[1]
        net = bodies.with_body(build(p.model, images, 0), resident.start.state).eval()  # type: ignore[union-attr]
        raw = Resident.of(images, torch.device("cpu"))
        x = raw.pixels[1000:1200].permute(0, 3, 1, 2).float()
        draws = torch.Generator().manual_seed(0)
        a, b = (
            F.normalize(net.features(raw.scaling(POOL)(random_view(x, Views(), draws))).detach(), dim=1)
            for _ in range(2)
        )
        return float((a * b).sum(1).mean() - (a @ b.T).mean())

    assert alignment(protocol(epochs=25)) > 1.1 * alignment(protocol(epochs=1))


def test_first_and_later_runs_leave_the_same_records(tmp_path: Path) -> None:
    study = parse(
        Study,
        {"name": "s", "protocols": [table()], "strategies": [{"name": "random"}, {"name": "margin"}], "seeds": [0]},
        "s",
    )
    for path, order in ((tmp_path / "a", 1), (tmp_path / "b", -1)):
        folder = StudyFolder(path)
        adopt(folder, study, path)
        for job in jobs(folder, study, None, "cpu", 1, list(planned_runs(study)))[::order]:
            assert perform(job).state == "done"
    for strategy in ("random", "margin"):
        one, two = (read(StudyFolder(tmp_path / x).run(RunId("pre", strategy, 0)).events) for x in "ab")
        assert essence(one) == essence(two)
        assert {len(e.pretrained) for e in one.of(RoundEvent)} == {64}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"augmentation": {"flip": True}}, "no augmentation"),
        ({"pretraining": {"then": "fine-tune"}}, "self_supervised"),
        ({"pretraining": table(method="simsiam", temperature=1.0)["regime"]["pretraining"]}, "not used by simsiam"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], says: str) -> None:
    given = table()
    given["regime"] |= change
    with pytest.raises(InputError, match=says):
        parse(Protocol, given, "t")
    with pytest.raises(InputError, match="temperature"):
        protocol(temperature=None)


def test_networks_without_a_body_and_features_are_refused(digits) -> None:  # type: ignore[no-untyped-def]
    images, _ = digits
    p = protocol()
    with pytest.raises(InputError, match="body to train"):
        made(p.model_copy(update={"model": p.model.model_copy(update={"name": "linear", "width": None})}), images)
    with pytest.raises(InputError, match="frozen already"):
        made(p, replace(images, pixels=np.ones((images.n, 1, 1, 5), np.float32)))

"""Predictions of solved heads: the same bytes whatever was asked before, and those of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.spec.protocol import Model
from runners.datasets.images import Images
from runners.models import build, resident
from runners.models.resident import Resident
from runners.models.solved import BLOCK, SolvedLearner

N = 2 * BLOCK + 300


@pytest.fixture(scope="module")
def images() -> Images:
    pixels = np.random.default_rng(2).normal(3.0, 2.0, size=(N, 1, 1, 384)).astype(np.float32)
    return Images("made", pixels, N - 400, 400, ("a", "b", "c"), "0" * 64)


def learner(images: Images) -> SolvedLearner:
    on = Resident.of(images, torch.device("cpu"))
    net = build(Model(name="linear"), images, 5)
    return SolvedLearner(net, on, on.scaling(np.arange(N - 400)))


def test_it_predicts_what_its_network_gives(images: Images) -> None:
    made = learner(images)
    asked = np.asarray([N - 1, 4, BLOCK, 4, BLOCK - 1])
    x = images.pixels.reshape(N, -1).astype(np.float64)
    x = (x - x[: N - 400].mean(0)) / x[: N - 400].std(0)
    logits = torch.from_numpy(x) @ made.net.head.weight.detach().double().T + made.net.head.bias.detach().double()
    found = made.predict(asked)
    np.testing.assert_allclose(found.probabilities.numpy(), logits.softmax(1)[asked].numpy(), atol=1e-5)
    np.testing.assert_allclose(found.embeddings.numpy(), x[asked], atol=1e-5)
    assert made.labels(asked).tolist() == logits.argmax(1)[asked].tolist()
    predicted, table = made.classes_and_log_probabilities(asked)
    assert table is not None
    assert predicted.tolist() == made.labels(asked).tolist()
    np.testing.assert_allclose(table.astype(float), logits.log_softmax(1)[asked].numpy(), atol=4e-3)


def test_bytes_do_not_depend_on_what_was_asked_before(images: Images) -> None:
    everything = learner(images).predict(np.arange(N)).probabilities
    made = learner(images)
    for asked in (np.arange(N - 400, N), np.arange(0, N, 7), np.asarray([5])):
        assert torch.equal(made.predict(asked).probabilities, everything[asked])


def test_features_too_large_to_keep_give_the_same_bytes(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = learner(images).predict(np.arange(N)).probabilities
    monkeypatch.setattr(resident, "_MOST_SCALED", 4 * N * 384 - 1)
    assert torch.equal(learner(images).predict(np.arange(N)).probabilities, kept)


def test_a_table_that_is_too_large_is_not_kept(images: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("runners.models.solved.LARGEST_TABLE", 299)
    assert learner(images).classes_and_log_probabilities(np.arange(100))[1] is None
    assert learner(images).classes_and_log_probabilities(np.arange(99))[1] is not None

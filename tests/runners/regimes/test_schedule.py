from __future__ import annotations

import pytest
import torch
from torch import nn

from protocol.spec.recipe import Optimizer, Regime
from runners.regimes.schedule import balanced_batches, batches, class_weights, learning_rate, optimizer

SGD = Optimizer(name="sgd", lr=0.2, momentum=0.9, schedule="cosine", warmup_steps=3)


@pytest.mark.parametrize(("n", "size", "steps"), [(10, 4, 25), (7, 7, 5), (5, 32, 6), (33, 32, 33), (1, 8, 3)])
def test_batches_have_one_size_and_use_every_image_equally(n: int, size: int, steps: int) -> None:
    out = list(batches(n, size, steps, torch.Generator().manual_seed(1)))
    assert [len(batch) for batch in out] == [min(n, size)] * steps
    counts = torch.bincount(torch.cat(out), minlength=n)
    assert counts.max() - counts.min() <= 1
    if n > 1:
        assert not torch.equal(out[0], out[0].sort().values) or not torch.equal(out[1], out[1].sort().values)
    again = list(batches(n, size, steps, torch.Generator().manual_seed(1)))
    assert all(torch.equal(a, b) for a, b in zip(out, again, strict=True))


def test_an_epoch_covers_the_labelled_set_once() -> None:
    regime = Regime(name="r", epochs=3, batch_size=32, optimizer=SGD)
    assert [regime.max_steps(n) for n in (1, 32, 33, 100)] == [3, 3, 6, 12]
    assert Regime(name="r", steps=11, batch_size=32, optimizer=SGD).max_steps(100) == 11


def test_an_epoch_may_have_a_floor() -> None:
    regime = Regime(name="r", epochs=3, batch_size=32, optimizer=SGD, epoch_at_least=70)
    assert [regime.max_steps(n) for n in (1, 70, 100)] == [9, 9, 12]
    with pytest.raises(ValueError, match="needs epochs"):
        Regime(name="r", steps=3, batch_size=32, optimizer=SGD, epoch_at_least=70)


def test_balanced_batches_show_every_class_equally_often() -> None:
    targets = torch.tensor([4] * 50 + [1] * 7 + [2])
    out = list(balanced_batches(targets, 12, 30, torch.Generator().manual_seed(1)))
    assert [len(batch) for batch in out] == [12] * 30
    seen = torch.cat(out)
    classes = torch.bincount(targets[seen], minlength=5)
    assert classes[[1, 2, 4]].max() - classes[[1, 2, 4]].min() <= 1
    assert all(torch.bincount(targets[batch], minlength=5)[[1, 2, 4]].min() >= 3 for batch in out)
    within = torch.bincount(seen, minlength=58)
    assert within[:50].max() - within[:50].min() <= 1
    assert within[50:57].max() - within[50:57].min() <= 3  # a pass of the largest class ends within a pass of this one
    again = list(balanced_batches(targets, 12, 30, torch.Generator().manual_seed(1)))
    assert all(torch.equal(a, b) for a, b in zip(out, again, strict=True))
    assert not torch.equal(out[0], next(balanced_batches(targets, 12, 30, torch.Generator().manual_seed(2))))


def test_a_labelled_set_smaller_than_the_batch_is_one_batch_when_balanced_too() -> None:
    assert [len(b) for b in balanced_batches(torch.tensor([0, 0, 0, 1]), 32, 3, torch.Generator().manual_seed(1))] == [
        4,
        4,
        4,
    ]


def test_class_weights_are_inverse_to_the_labels_and_one_on_the_average_image() -> None:
    targets = torch.tensor([0, 0, 0, 2])
    assert class_weights(targets, 4).tolist() == pytest.approx([4 / 6, 0.0, 2.0, 0.0])
    assert class_weights(targets, 4)[targets].mean() == pytest.approx(1.0)


def test_the_rate_warms_up_and_falls_to_nought() -> None:
    rates = [learning_rate(SGD, step, 11) for step in range(12)]
    assert rates[:4] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert rates[7] == pytest.approx(0.1)
    assert rates[11] == pytest.approx(0.0)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    constant = SGD.model_copy(update={"schedule": "constant"})
    assert learning_rate(constant, 10, 11) == 0.2


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("nadam", torch.optim.NAdam)],
)
def test_the_optimizer_is_the_one_asked_for(name: str, kind: type) -> None:
    spec = Optimizer(name=name, lr=0.3, weight_decay=0.01, momentum=0.9 if name == "sgd" else 0.0)  # type: ignore[arg-type]
    made = optimizer(spec, [nn.Parameter(torch.ones(2))], torch.device("cpu"))
    assert type(made) is kind
    assert made.param_groups[0]["weight_decay"] == 0.01
    assert made.param_groups[0]["lr"] == 0.3
    assert made.param_groups[0].get("momentum", 0.9) == 0.9


def test_a_power_takes_the_rate_down_to_nothing() -> None:
    spec = Optimizer(name="sgd", lr=0.2, schedule="poly", warmup_steps=2)
    got = [learning_rate(spec, t, 12) for t in (0, 1, 2, 7, 12)]
    assert got == pytest.approx([0.2 / 3, 0.4 / 3, 0.2, 0.2 * 0.5**0.9, 0.0])

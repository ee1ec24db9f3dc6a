from __future__ import annotations

import pytest
import torch
from torch import nn

from protocol.spec import Optimizer, Regime
from runners.regimes.schedule import batches, learning_rate, optimizer, steps_of

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
    assert [steps_of(regime, n) for n in (1, 32, 33, 100)] == [3, 3, 6, 12]
    assert steps_of(Regime(name="r", steps=11, batch_size=32, optimizer=SGD), 100) == 11


def test_the_rate_warms_up_and_falls_to_nought() -> None:
    rates = [learning_rate(SGD, step, 11) for step in range(12)]
    assert rates[:4] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert rates[7] == pytest.approx(0.1)
    assert rates[11] == pytest.approx(0.0)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    constant = SGD.model_copy(update={"schedule": "constant"})
    assert learning_rate(constant, 10, 11) == 0.2


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_is_the_one_asked_for(name: str, kind: type) -> None:
    spec = Optimizer(name=name, lr=0.3, weight_decay=0.01, momentum=0.9 if name == "sgd" else 0.0)  # type: ignore[arg-type]
    made = optimizer(spec, [nn.Parameter(torch.ones(2))], torch.device("cpu"))
    assert type(made) is kind
    assert made.param_groups[0]["weight_decay"] == 0.01
    assert made.param_groups[0]["lr"] == 0.3
    assert made.param_groups[0].get("momentum", 0.9) == 0.9

"""Averages of weights by hand, and where in a round they are taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.spec.data import Data
from protocol.spec.protocol import Model
from protocol.spec.recipe import Regime
from protocol.spec.toml_files import parse
from runners.data import load
from runners.models import Net, build
from runners.regimes.averaging import Ema, LateMean
from runners.regimes.schedule import learning_rate
from runners.regimes.training import _rate_and_averaging


@pytest.fixture
def net() -> Net:
    return build(Model(name="small-cnn", width=4), load(Data(name="digits"), None)[0], 1)


def put(net: Net, value: float) -> None:
    """The same number into every weight and buffer."""
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.fill_(value)


def test_a_moving_average_by_hand_with_its_statistics(net: Net) -> None:
    put(net, 7.0)
    average = Ema(net, 0.75)
    expected = 7.0
    for step, value in enumerate([1.0, 5.0, 2.0, 4.0, -3.0], start=1):
        put(net, value)
        average.update()
        keep = min(0.75, 1 - 1 / (step + 1))  # 1/2, 2/3, 3/4, 3/4, 3/4
        expected = keep * expected + (1 - keep) * value
        for name, tensor in average.net.state_dict().items():
            torch.testing.assert_close(tensor, torch.full_like(tensor, value if "num_batches" in name else expected))
    assert not any(p.requires_grad for p in average.net.parameters())
    assert all(p.requires_grad for p in net.parameters())


def test_late_weights_are_averaged_equally_and_statistics_made_anew(net: Net) -> None:
    late = LateMean(net)
    for value in (1.0, 2.0, 6.0):
        put(net, value)
        late.update(net)
    put(net, 9.0)
    x = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    late.load_into(net, iter([x[:20], x[20:]]))
    for parameter in net.parameters():
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 3.0))
    first = next(m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    seen = [
        torch.nn.functional.conv2d(part, torch.full((4, 1, 3, 3), 3.0), padding=1).mean((0, 2, 3))
        for part in (x[:20], x[20:])
    ]
    torch.testing.assert_close(first.running_mean, (seen[0] + seen[1]) / 2)


def test_the_rate_and_averaging_of_stochastic_weight_averaging() -> None:
    optimizer = {"name": "sgd", "lr": 0.4, "schedule": "cosine"}
    swa = {"start": 0.45, "lr": 0.01, "every": 2}
    regime = parse(Regime, {"name": "r", "steps": 10, "batch_size": 4, "optimizer": optimizer, "swa": swa}, "r")
    paces = [_rate_and_averaging(regime, step, 10) for step in range(10)]
    rates = [rate for rate, _ in paces]
    # 4.5 rounded up
    np.testing.assert_allclose(rates[:5], [learning_rate(regime.step_optimizer, s, 5) for s in range(5)])
    assert rates[5:] == [0.01] * 5
    assert [taken for _, taken in paces] == [False] * 6 + [True, False, True, True]

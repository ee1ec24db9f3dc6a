"""`plan` answers at once, however long a round is."""

from __future__ import annotations

import time

from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import load_preset
from runners.verbs.running.plan import cost_of


def of_steps(steps: int) -> Protocol:
    protocol = load_preset("digits-plain")
    return protocol.model_copy(update={"regime": protocol.regime.model_copy(update={"steps": steps, "epochs": None})})


def test_a_round_of_a_hundred_million_steps_is_extrapolated() -> None:
    start = time.process_time()
    long = cost_of(of_steps(10**8), None, "cpu", 1)
    short = cost_of(of_steps(400), None, "cpu", 1)
    assert time.process_time() - start < 60
    assert 10**4 < long.run / short.run < 10**7

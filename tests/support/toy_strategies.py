"""Arguments that make strategies with a trained part fast; the tests do not depend on them."""

from __future__ import annotations

TOY: dict[str, dict[str, int]] = {
    "learning-loss": {"steps": 2, "batch": 4, "width": 4},
    "vaal": {"steps": 1, "batch": 4, "latent": 2, "width": 2},
    "uncertain-gcn": {"hidden": 4, "epochs": 3},
    "oracle": {"trials": 2, "judged": 12},
    "core-gcn": {"hidden": 4, "epochs": 3},
}

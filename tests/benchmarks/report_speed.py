"""Time and size of the report of a large study: 20 strategies, 4 regimes, 10 seeds.

No peer writes such a page; the bounds are the project's own: 20 s and 8 MB, on one core that is otherwise idle.
Reading and checking the records comes on top (`check_scale.py`).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from analysis.report import Subject, page
from tests.support.figure_inputs import make_inputs


def main() -> None:
    """Print seconds and megabytes."""
    subject = Subject(make_inputs(20, regimes=("plain", "augmented", "semi-supervised", "pretrained"), seeds=10))
    began, busy = time.perf_counter(), time.process_time()
    made = page(subject)
    print(
        f"{time.perf_counter() - began:.1f} s ({time.process_time() - busy:.1f} s of processor), "
        f"{len(made.encode()) / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()

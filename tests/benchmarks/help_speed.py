"""Time of `beatrandom --help` relative to importing the two libraries that draw it, typer and rich.

    uv run python tests/benchmarks/help_speed.py [--repeats 15]

Prints both medians in seconds and their ratio. Processes of both kinds alternate, so that other load affects both.
Aim: 2.5.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

LIBRARIES = "import typer, rich"
HELP = "import sys; sys.argv = ['beatrandom', '--help']; from runners.cli import main; main()"


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    for code in (LIBRARIES, HELP):
        seconds(code)  # fills the caches of files and bytecode
    pairs = [(seconds(LIBRARIES), seconds(HELP)) for _ in range(repeats)]
    libraries, shown = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"typer and rich {libraries:.3f} s, --help {shown:.3f} s, ratio {shown / libraries:.2f}")


if __name__ == "__main__":
    main()

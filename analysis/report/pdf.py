"""The report as PDF: printed by a browser that is installed, without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from protocol.errors import BeatRandomError, Fault, InputError
from protocol.record.layout import write_atomically

BROWSER_VARIABLE: Final = "BEATRANDOM_BROWSER"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SECONDS: Final = 180


def browser() -> str | None:
    """The browser named by BEATRANDOM_BROWSER, else the first of the Chromium family on the path."""
    named = os.environ.get(BROWSER_VARIABLE)
    return shutil.which(named) if named else next((found for name in BROWSERS if (found := shutil.which(name))), None)


def command(program: str) -> list[str]:
    """How it is started without a window and without asking the network for anything."""
    quiet = [
        "--headless",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ]
    alone = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # Chromium's sandbox refuses root
    return [program, *quiet, *alone]


def write_pdf(report: Path, out: Path) -> Path:
    """Print a report's HTML file; returns `out`.

    Raises:
        InputError: no browser is installed.
        BeatRandomError: it failed; the message is its last line.
    """
    program = browser()
    if program is None:
        named = os.environ.get(BROWSER_VARIABLE)
        found = (
            f"{BROWSER_VARIABLE}={named}, which is no program here"
            if named
            else f"none of {', '.join(BROWSERS)} on the path"
        )
        fix = f"install Chromium or set {BROWSER_VARIABLE}, or open {report} in any browser and print it"
        raise InputError(Fault("--pdf", "an installed Chromium, Chrome or Edge, which prints the page", found, fix))
    with tempfile.TemporaryDirectory() as scratch:
        printed = Path(scratch) / "report.pdf"
        words = [
            f"--user-data-dir={scratch}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={printed}",
            report.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(
                [*command(program), *words], capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BeatRandomError(
                Fault("--pdf", f"{program} to print the page within {SECONDS} s", str(error))
            ) from None
        if not printed.exists() or not printed.stat().st_size:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise BeatRandomError(Fault("--pdf", f"a page printed by {program}", said[-1], f"print {report} by hand"))
        write_atomically(out, printed.read_bytes())
    return out

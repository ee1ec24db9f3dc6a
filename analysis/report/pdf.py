"""The report as PDF, printed by an installed browser without a window."""

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
QUIET: Final = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


def browser() -> str | None:
    """Return the browser named by BEATRANDOM_BROWSER, else the first of the Chromium family on the path."""
    named = os.environ.get(BROWSER_VARIABLE)
    return shutil.which(named) if named else next((path for name in BROWSERS if (path := shutil.which(name))), None)


def command(program: str) -> list[str]:
    """Return the command that starts the browser without a window and without network requests of its own."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [program, *QUIET, *(["--no-sandbox"] if is_root else [])]  # Chromium's sandbox refuses root


def write_pdf(report: Path, out: Path) -> Path:
    """Print a report's HTML file to `out` and return `out`.

    Raises:
        InputError: no browser is installed.
        BeatRandomError: the browser failed; the message holds its last line.
    """
    program = browser()
    if program is None:
        named = os.environ.get(BROWSER_VARIABLE)
        missing = f"{BROWSER_VARIABLE}={named}, which is not a program on this machine"
        found = missing if named else f"none of {', '.join(BROWSERS)} on the path"
        fix = f"install Chromium or set {BROWSER_VARIABLE}, or open {report} in any browser and print it"
        raise InputError(Fault("--pdf", "an installed Chromium, Chrome or Edge, which prints the page", found, fix))
    with tempfile.TemporaryDirectory() as scratch:
        printed = Path(scratch) / "report.pdf"
        options = [f"--user-data-dir={scratch}/profile", "--no-pdf-header-footer", f"--print-to-pdf={printed}"]
        call = [*command(program), *options, report.resolve().as_uri()]
        try:
            result = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            fault = Fault("--pdf", f"{program} to print the page within {SECONDS} s", str(error))
            raise BeatRandomError(fault) from None
        if not printed.exists() or not printed.stat().st_size:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            fix = f"open {report} in any browser and print it"
            raise BeatRandomError(Fault("--pdf", f"a page printed by {program}", lines[-1], fix))
        write_atomically(out, printed.read_bytes())
    return out

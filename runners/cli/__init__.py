"""The `beatrandom` command. Verbs are imported when they are called, so `--help` needs no torch."""

from __future__ import annotations

import io
import os
import sys
import warnings

import typer

from runners.cli import encoding, looking, proving, reading, running
from runners.cli.overview import show_overview
from runners.cli.verbs import TRAINING

app = typer.Typer(
    name="beatrandom",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Does this active-learning strategy beat random?

Fix the protocol, run strategies under it, and test with honest statistics which of them beat random.

Start with **beatrandom quickstart**. Then: **protocols** → write a study (TOML) → **plan** → **run** → **check** →
**compare** → **report**.

Exit codes: 0 fine, 1 violations found, 2 wrong usage or input, 3 not decidable, 130 interrupted (the same command
continues).""",
)
for _verbs in (looking, encoding, running, proving, reading):
    app.add_typer(_verbs.app)


def main() -> None:
    """Run the command line. Every expected error becomes a message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal cannot show becomes "?"
    warnings.formatwarning = _format_warning
    words = sys.argv[1:]
    try:
        if words == ["--version"]:
            from importlib.metadata import version

            print(f"beatrandom {version('beatrandom')}")
            return
        if words in ([], ["--help"], ["-h"]):
            show_overview(app)
            sys.exit(0 if words else 2)
        app()
    except KeyboardInterrupt:
        _print_error("interrupted; what was measured is kept, the same command continues")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _print_error(
            f"{error.filename or 'disk'}\n  expected: to read or write\n  found:    {error.strerror or error}\n"
            "  to do:    check path, space and permissions"
        )
        sys.exit(2)
    except Exception as error:
        sys.exit(_report(error, words))


def _report(error: Exception, words: list[str]) -> int:
    """Print what went wrong and return the exit code. Raises what is not expected."""
    from protocol.errors import BeatRandomError, NotDecidable  # after an error, time no longer matters

    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TRAINING:
        verb = next((word for word in words if not word.startswith("-")), "this")
        fix = "leave out --no-group and --no-default-groups, or run `uv sync`"
        _print_error(f"{verb} needs {error.name}, which is not installed here: {fix}")
        return 2
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "CUDA out of memory" in str(error):
        _print_error(
            f"memory\n  expected: enough for this work\n  found:    {str(error).splitlines()[0] or 'too little'}\n"
            "  to do:    use smaller batches, images or networks, or a machine with more memory"
        )
        return 2
    if not isinstance(error, BeatRandomError):
        raise error
    _print_error(str(error))
    return 3 if isinstance(error, NotDecidable) else 2


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Format this project's notices as one line, and all other warnings as Python does."""
    if category.__name__ == "Notice":  # compared by name: its module is not loaded for --help
        from protocol.plain_text import visible

        return f"beatrandom: {visible(str(message))}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n{f'  {line}' if line else ''}"


def _print_error(text: str) -> None:
    from protocol.plain_text import visible

    print(f"beatrandom: {visible(text)}", file=sys.stderr)

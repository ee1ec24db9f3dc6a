"""One self-contained HTML report of a study: executes notebooks/report.ipynb and exports it, code hidden, nothing fetched."""

from __future__ import annotations

import html
import os
import sys
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from protocol.errors import BeatRandomError, Fault, InputError
from protocol.folders import StudyFolder, write_atomically

if TYPE_CHECKING:
    import nbformat

STUDY_VARIABLE: Final = "BEATRANDOM_STUDY"
TOY_VARIABLE: Final = "BEATRANDOM_TOY"
SECONDS: Final = 600
"""No cell may take longer."""


def notebook_path() -> Path:
    """notebooks/report.ipynb of the clone this package runs from. Raises InputError if it is not there."""
    path = Path(__file__).resolve().parent.parent / "notebooks" / "report.ipynb"
    if not path.is_file():
        raise InputError(
            Fault(
                str(path), "the report's notebook", "no such file", "run the project from a clone of its repository (uv run beatrandom …)"
            )
        )
    return path


def write_report(study_folder: Path, out_html: Path, toy: bool = False) -> Path:
    """Write the report of a study folder as one HTML file that needs no network; returns its path.

    Args:
        toy: mark the report as a rehearsal whose verdicts mean little.

    Raises:
        InputError: not a study folder, or not run from a clone.
        BeatRandomError: the notebook failed; the message is its last error.
    """
    folder = StudyFolder(Path(study_folder))
    title = f"Which strategies beat random? {folder.read_plan().name}"
    notebook = _execute(notebook_path(), folder.path.resolve(), toy=toy)
    write_atomically(Path(out_html), _export(notebook, title).encode())
    return Path(out_html)


def _execute(path: Path, study: Path, *, toy: bool) -> nbformat.NotebookNode:
    """Run the notebook in a kernel of this very interpreter, whatever kernels are registered on the machine."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class OwnInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=40"]
            return KernelSpec(argv=argv, display_name=kernel_name, language="python")

    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # it has no annotations
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=OwnInterpreter())
    client = NotebookClient(notebook, km=manager, timeout=SECONDS, resources={"metadata": {"path": str(path.parent.parent)}})
    environment = os.environ | {STUDY_VARIABLE: str(study), TOY_VARIABLE: "1" if toy else ""}
    try:
        client.execute(env=environment, cleanup_kc=True)  # the kernel is ours: stop it, whatever happens
    except CellExecutionError as error:
        raise BeatRandomError(Fault(str(path), "a notebook that runs", f"{error.ename}: {error.evalue}")) from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise BeatRandomError(Fault(str(path), "a notebook that runs", str(error).strip().splitlines()[0])) from None
    return notebook


def _export(notebook: nbformat.NotebookNode, title: str) -> str:
    """The cells' outputs by nbconvert's bare template (its full ones load scripts from the network) in a page of our own."""
    from nbconvert.exporters.html import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]  # it has no annotations
        template_name="basic", exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    body, _ = exporter.from_notebook_node(notebook)
    return _PAGE.substitute(title=html.escape(title), style=_STYLE, body=body)


_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #fff; color: #1a1a1a; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h1 small { font-weight: normal; font-size: 1rem; color: #555; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.headline { font-size: 1.15rem; font-weight: 600; margin: .5rem 0; }
.warning { border-left: .25rem solid #b35900; padding-left: .75rem; }
.wide { overflow-x: auto; }
table.data { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; }
table.data caption { text-align: left; padding: .3rem 0; color: #444; }
table.data th, table.data td { padding: .25rem .6rem; text-align: left; white-space: nowrap; border-bottom: 1px solid #ddd; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; background: #fff; }
figcaption { font-size: .85rem; color: #444; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e8e8e8; }
  h1 small, figcaption, table.data caption { color: #b8b8b8; }
  table.data th, table.data td { border-color: #444; }
  a { color: #8ab4f8; }
}
@media print { main { max-width: none; padding: 0; } figure, tr { break-inside: avoid; } }
"""

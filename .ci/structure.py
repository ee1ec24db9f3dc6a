"""Measure the shape of the code: file and function lengths, import rings, docstrings.

    uv run python .ci/structure.py [FOLDER]          # a checkout; this one by default

Every import counts: of type checkers, inside functions and at module level. Exit code 1 if there is a ring.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = ("protocol", "analysis", "runners")
FIRST_LINE = 100
"""Most characters of the first line of a docstring, without its indentation and quotes."""
VERBS = frozenset({
    "add", "adjust", "answer", "append", "apply", "assert", "assign", "augment", "break", "browse", "build", "buy",
    "call", "change", "check", "claim", "classify", "close", "cluster", "collect", "combine", "compare", "compose",
    "compute", "concatenate", "construct", "convert", "copy", "count", "decode", "deny", "describe", "disconnect",
    "divide", "do", "draw", "drive", "encode", "end", "enlarge", "equalise", "escape", "estimate", "evaluate",
    "explain", "fill", "find", "fit", "fix", "flip", "format", "give", "group", "hold", "import", "invert", "join",
    "judge", "keep", "label", "let", "list", "load", "lock", "make", "map", "mark", "merge", "multiply", "name",
    "negate", "open", "pack", "paint", "pair", "parse", "perform", "pool", "predict", "prepare", "print", "raise",
    "rank", "read", "receive", "record", "release", "remove", "render", "replace", "replay", "request", "reset",
    "resize", "restore", "return", "run", "sample", "scale", "see", "seed", "select", "send", "serve", "set", "show",
    "sign", "simulate", "sort", "start", "store", "stretch", "submit", "sum", "summarise", "take", "time", "train",
    "try", "turn", "update", "validate", "verify", "warp", "write", "yield",
})  # fmt: skip
"""Verbs that begin the docstrings of public functions here, in the imperative; a new one has to be added."""


def modules_of(root: Path) -> dict[str, Path]:
    """Return dotted name -> file for every module of the three packages."""
    found = {}
    for file in sorted(f for package in PACKAGES for f in (root / package).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(tree: ast.Module, modules: Mapping[str, Path]) -> set[str]:
    """Return the project's modules that a module imports anywhere in its text."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {n if (n := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names}
    return names & set(modules)


def rings(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of two or more nodes (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph.get(node, set()):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            at = stack.index(node)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def folder_rings(graph: Mapping[str, set[str]], modules: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield (folder, ring) for files and folders that lie in one folder and import one another in a circle."""
    packages = [name for name, file in modules.items() if file.name == "__init__.py"]
    for package in ["", *packages]:
        depth = len(package.split(".")) if package else 0
        within: dict[str, set[str]] = {}
        for source, targets in graph.items():
            if package and not source.startswith(f"{package}."):
                continue
            here = source.split(".")[depth]
            there = {t.split(".")[depth] for t in targets if not package or t.startswith(f"{package}.")}
            within.setdefault(here, set()).update(there - {here})
        yield from ((package or ".", ring) for ring in rings(within))


def functions_of(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function and method of a module."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_imperative(first_line: str) -> bool:
    """Return whether a first line begins with one of the `VERBS`."""
    return first_line.split()[0].strip("`.,:;'\"").lower() in VERBS


def public_docstrings(trees: Mapping[str, ast.Module]) -> Iterator[tuple[ast.AST, str]]:
    """Yield (node, first line) of the docstring of every module, and of every public function and class."""
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.startswith("_"):
                continue
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                yield node, text.splitlines()[0]


def quantile(values: list[int], share: float) -> int:
    """Return the value that `share` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main(root: Path) -> int:
    """Print the measures of a checkout; return 1 if there is a ring."""
    modules = modules_of(root)
    trees = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in modules.items()}
    for package in (*PACKAGES, "all"):
        names = [n for n in modules if package in ("all", n.split(".")[0])]
        lines = [len(modules[n].read_text(encoding="utf-8").splitlines()) for n in names]
        sizes = [(f.end_lineno or f.lineno) - f.lineno + 1 for n in names for f in functions_of(trees[n])]
        docs = list(public_docstrings({n: trees[n] for n in names}))
        verbs = [is_imperative(first) for node, first in docs if isinstance(node, ast.FunctionDef)]
        long = sum(len(first) > FIRST_LINE for _, first in docs)
        print(
            f"{package:9} {len(names):4} files, {sum(lines):6} lines, "
            f"median {statistics.median(lines):g}, longest {max(lines)}; "
            f"functions {len(sizes)}: median {quantile(sizes, 0.5)}, p90 {quantile(sizes, 0.9)}, longest {max(sizes)}; "
            f"docstrings {len(docs)}: first line over {FIRST_LINE} characters {long / len(docs):.1%}, "
            f"functions verb first {sum(verbs) / len(verbs):.0%}"
        )
    graph = {name: imports_of(tree, modules) - {name} for name, tree in trees.items()}
    circles = [("module", ring) for ring in rings(graph)]
    circles += [(f"in {folder}", ring) for folder, ring in folder_rings(graph, modules)]
    for place, ring in circles:
        print(f"ring {place}: {', '.join(ring)}")
    print(f"{len(circles)} rings")
    return bool(circles)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]))

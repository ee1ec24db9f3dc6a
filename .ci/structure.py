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
"""Most columns of the first line of a docstring, indentation included."""
NOUNS = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "as",
        "at",
        "beside",
        "both",
        "by",
        "each",
        "either",
        "every",
        "for",
        "from",
        "how",
        "i",
        "if",
        "in",
        "its",
        "it",
        "labels",
        "most",
        "no",
        "none",
        "not",
        "of",
        "on",
        "one",
        "only",
        "or",
        "the",
        "this",
        "those",
        "to",
        "two",
        "what",
        "when",
        "where",
        "which",
        "whatever",
        "whether",
        "who",
        "why",
        "with",
        "without",
        "images",
        "indices",
        "metrics",
        "seconds",
        "names",
        "numbers",
        "text",
        "rows",
        "columns",
    ]
)
"""First words that are no verb in the imperative, beside participles, plurals in -ions and adverbs."""


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
    """Return whether a first line begins with a word that can be a verb in the imperative."""
    word = first_line.split()[0].strip("`.,:;'\"").lower() if first_line.split() else ""
    return word.isalpha() and word not in NOUNS and not word.endswith(("ing", "ions", "ly", "ed", "ments"))


def documented(trees: Mapping[str, ast.Module]) -> Iterator[tuple[ast.AST, str, int]]:
    """Yield (node, first line, columns) of every public docstring."""
    for tree in trees.values():
        for node in [tree, *ast.walk(tree)]:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if (public or node is tree) and (text := ast.get_docstring(node)):  # type: ignore[arg-type]
                first = text.splitlines()[0]
                indent = node.body[0].col_offset if isinstance(node, ast.FunctionDef | ast.ClassDef) else 0
                yield node, first, indent + 3 + len(first)


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
        docs = list(documented({n: trees[n] for n in names}))
        verbs = [is_imperative(first) for node, first, _ in docs if isinstance(node, ast.FunctionDef)]
        long = sum(columns > FIRST_LINE for _, _, columns in docs)
        print(
            f"{package:9} {len(names):4} files, {sum(lines):6} lines, median {statistics.median(lines):g}, longest {max(lines)};"
            f" functions {len(sizes)}: median {quantile(sizes, 0.5)}, p90 {quantile(sizes, 0.9)}, longest {max(sizes)};"
            f" docstrings {len(docs)}: first line over {FIRST_LINE} columns {long / len(docs):.1%}, functions verb first {sum(verbs) / len(verbs):.0%}"
        )
    graph = {name: imports_of(tree, modules) - {name} for name, tree in trees.items()}
    found = [("module", ring) for ring in rings(graph)] + [
        (f"in {place}", ring) for place, ring in folder_rings(graph, modules)
    ]
    for place, ring in found:
        print(f"ring {place}: {', '.join(ring)}")
    print(f"{len(found)} rings")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]))

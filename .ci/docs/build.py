"""Build the documentation: pages and notebooks from their places next to the code, the API from docstrings.

    uv run --group docs python .ci/docs/build.py          # then open .docs/site/index.html

Files keep their relative places, so links between them hold. A link to a file that is not a page becomes the file's
name. A broken link or an unreadable docstring fails the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / ".docs" / "pages"
PACKAGES = {
    "protocol": "Budgets, splits, oracle, records and rules. Needs NumPy and pydantic only.",
    "analysis": "Verdicts, tables, figures and the report. Never imports torch.",
    "runners": "Learning curves under a protocol: strategies, regimes, executors, the command line.",
}
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def tracked() -> list[Path]:
    """Return the files of the repository, relative to its root, including new ones."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def gather(files: list[Path]) -> None:
    """Copy pages, notebooks and pictures, keeping their relative places."""
    shown = {f for f in files if f.suffix in (".md", ".ipynb", ".png", ".svg") and f.parts[0] not in (".ci", "tests")}
    for file in shown:
        target = PAGES / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            target.write_text(relinked((ROOT / file).read_text(encoding="utf-8"), file, shown), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / file, target)


def relinked(text: str, file: Path, shown: set[Path]) -> str:
    """Replace links to files that are not pages by the names of the files."""

    def replace(match: re.Match[str]) -> str:
        words, link = match[1], match[2]
        target = (ROOT / file.parent / link).resolve()
        if "://" in link or not target.exists() or target.relative_to(ROOT) in shown:
            return match[0]  # an external link, a broken link that mkdocs reports, or a page
        return f"{words} (`{target.relative_to(ROOT)}`)"

    return LINK.sub(replace, text)


def api(files: list[Path]) -> None:
    """Write one page per package, with a section per room and a subsection per module of it."""
    (PAGES / "api").mkdir(parents=True, exist_ok=True)
    for package, about in PACKAGES.items():
        modules = sorted(
            ".".join(f.with_suffix("").parts).removesuffix(".__init__")
            for f in files
            if f.suffix == ".py" and f.parts[0] == package and f.name not in ("__main__.py",) and "verbs" not in f.parts
        )
        sections = "\n\n".join(map(section, modules))
        (PAGES / "api" / f"{package}.md").write_text(f"# {package}\n\n{about}\n\n{sections}\n", encoding="utf-8")


def section(module: str) -> str:
    """Return the directive for one module. Modules directly in a package, and rooms, have headings of level 2."""
    level = min(module.count("."), 2) + 1
    return f"::: {module}\n    options:\n      heading_level: {max(level, 2)}"


def without_hosts(site: Path) -> None:
    """Remove the script for diagrams from notebook pages.

    It loads a library from another host, and no page needs it.
    """
    script = re.compile(r'<script type="module">(?:(?!</script>).)*?mermaid(?:(?!</script>).)*</script>', re.DOTALL)
    for page in site.glob("notebooks/**/*.html"):
        page.write_text(script.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Build the documentation, and exit with the status of mkdocs."""
    shutil.rmtree(PAGES.parent, ignore_errors=True)
    files = tracked()
    gather(files)
    api(files)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(Path(__file__).with_name("mkdocs.yml"))]
    status = subprocess.run(command, check=False).returncode
    without_hosts(PAGES.parent / "site")
    sys.exit(status)


if __name__ == "__main__":
    main()

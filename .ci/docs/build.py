"""Build the documentation: pages and notebooks from beside the code, the API from docstrings.

    uv run --group docs python .ci/docs/build.py          # then open .docs/site/index.html

Files keep their places, so links between them hold; a link to a file that is no page becomes its name. A link to
nothing, or a docstring that cannot be read, fails the build.
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
    """Files of the repository, relative to its top, new ones too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def gather(files: list[Path]) -> None:
    """Copy pages, notebooks and pictures to where they lie in the repository."""
    shown = {f for f in files if f.suffix in (".md", ".ipynb", ".png", ".svg") and f.parts[0] not in (".ci", "tests")}
    for file in shown:
        target = PAGES / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            target.write_text(relinked((ROOT / file).read_text(encoding="utf-8"), file, shown), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / file, target)


def relinked(text: str, file: Path, shown: set[Path]) -> str:
    """Links to files of the repository that are no pages become their names."""

    def replace(match: re.Match[str]) -> str:
        words, link = match[1], match[2]
        there = (ROOT / file.parent / link).resolve()
        if "://" in link or not there.exists() or there.relative_to(ROOT) in shown:
            return match[0]  # of another site, for mkdocs to complain of, or a page
        return f"{words} (`{there.relative_to(ROOT)}`)"

    return LINK.sub(replace, text)


def api(files: list[Path]) -> None:
    """Write one page per package, with one section per module that has something public."""
    (PAGES / "api").mkdir(parents=True, exist_ok=True)
    for package, about in PACKAGES.items():
        modules = sorted(
            ".".join(f.with_suffix("").parts).removesuffix(".__init__")
            for f in files
            if f.suffix == ".py" and f.parts[0] == package and f.name not in ("__main__.py",) and "verbs" not in f.parts
        )
        sections = "\n\n".join(f"::: {module}" for module in modules)
        (PAGES / "api" / f"{package}.md").write_text(f"# {package}\n\n{about}\n\n{sections}\n", encoding="utf-8")


def without_hosts(site: Path) -> None:
    """Notebook pages would fetch a library for diagrams, of which they have none."""
    script = re.compile(r'<script type="module">(?:(?!</script>).)*?mermaid(?:(?!</script>).)*</script>', re.DOTALL)
    for page in site.glob("notebooks/**/*.html"):
        page.write_text(script.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Gather, build, and end with mkdocs' exit status."""
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

"""The page: the answer on the first screen, then everything it rests on."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from analysis.report import interactive, sections
from analysis.report.html import text
from analysis.report.subject import Subject
from protocol.record.layout import write_atomically

POLICY: Final = (
    f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{interactive.SCRIPT_HASH}'; "
    "base-uri 'none'; form-action 'none'"
)
"""Content security policy: the browser refuses any request, and any script but the one of the curves."""
SECTIONS: Final = (
    ("verdicts", "Verdicts", sections.verdicts),
    ("curves", "Curves", sections.curves),
    ("protocol", "Protocol and compliance", sections.protocol),
    ("levers", "Effect of each factor", sections.levers),
    ("over-all", "Across data sets and regimes", sections.over_all),
    ("details", "Regime by regime", sections.details),
    ("bought", "What was bought", sections.bought),
    ("costs", "Cost of queries", sections.costs),
    ("environment", "Environment", sections.environment),
    ("runs", "Runs", sections.runs),
)


def page(subject: Subject) -> str:
    """Return the HTML document. It needs no network and no script; the script adds the interactive curves."""
    parts = [(name, title, body) for name, title, section in SECTIONS if (body := section(subject))]
    links = "".join(f'<li><a href="#{name}">{text(title)}</a></li>' for name, title, _ in parts)
    body = "".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{text(title)}</h2>{body}</section>'
        for name, title, body in parts
    )
    baseline, study = text(subject.inputs.curves.baseline), text(subject.inputs.curves.study)
    style = files("analysis.report").joinpath("page.css").read_text(encoding="utf-8")
    written = f"Written by beatrandom {text(version('beatrandom'))}. Everything is in this file; nothing is fetched."
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which strategies beat {baseline}? {study}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">To the answer</a>
<header><h1>Which strategies beat {baseline}? <small>{study}</small></h1></header>
<main id="main">
{sections.answer(subject)}
<nav aria-label="Contents"><ul>{links}</ul></nav>
{body}
</main>
<footer><p>{written}</p></footer>
</body>
</html>
"""


def write_report(subject: Subject, out: Path) -> Path:
    """Write the page and return its path."""
    write_atomically(Path(out), page(subject).encode())
    return Path(out)

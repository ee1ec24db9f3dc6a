"""Pieces of HTML: text, tables, figures with their data behind a link."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Sequence
from urllib.parse import quote

import pandas as pd

from analysis.figures import StudyFigure
from analysis.figures.style import render


def text(value: object) -> str:
    """Escaped, fit for attributes, too."""
    return html.escape(str(value), quote=True)


def paragraph(value: str, kind: str = "") -> str:
    """One paragraph of plain text."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{text(value)}</p>"


def items(lines: Sequence[str]) -> str:
    """A list of plain text; nothing if it is empty."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>" if lines else ""


def table(
    frame: pd.DataFrame, caption: str, prose: Collection[str] = (), data: tuple[str, pd.DataFrame] | None = None
) -> str:
    """Text cells as a table that scrolls by itself; the first column heads its rows, columns of `prose` may be broken.

    `data`: a file's name and the unrounded rows behind the table, offered as CSV.
    """
    head = "".join(f'<th scope="col">{text(c)}</th>' for c in frame.columns)
    rows = []
    for row in frame.to_numpy().tolist():
        first = f'<th scope="row">{text(row[0])}</th>'
        kinds = [' class="prose"' if c in prose else "" for c in frame.columns[1:]]
        cells = "".join(f"<td{kind}>{text(cell)}</td>" for cell, kind in zip(row[1:], kinds, strict=True))
        rows.append(f"<tr>{first}{cells}</tr>")
    link = csv_link(*data) if data else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}"><table class="data"><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{f'<p>{link}</p>' if link else ''}"
    )


def folded(summary: str, body: str) -> str:
    """What is there for those who ask."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def csv_link(name: str, frame: pd.DataFrame) -> str:
    """A frame as a file inside the page."""
    content = frame.to_csv(index=False)
    data = quote(content, safe=" ,.-_+:/()")
    size = f"{max(1, round(len(content.encode()) / 1000))} kB"
    return f'<a class="data-link" download="{text(name)}.csv" href="data:text/csv;charset=utf-8,{data}">Data of {text(name)} (CSV, {size})</a>'


def figure(study_figure: StudyFigure) -> str:
    """The figure as SVG inside a data URI: text stays sharp and nothing is fetched."""
    data = base64.b64encode(render(study_figure.figure, "svg")).decode()
    width, height = (round(inches * 118) for inches in study_figure.figure.get_size_inches())
    image = (
        f'<img src="data:image/svg+xml;base64,{data}" width="{width}" height="{height}" alt="{text(study_figure.alt)}">'
    )
    return f"<figure>{image}<figcaption>{text(study_figure.caption)} {csv_link(study_figure.name, study_figure.frame)}</figcaption></figure>"


def picture(kind: str, content: bytes, alt: str, caption: str) -> str:
    """A picture that lies beside the study, as it is."""
    data = base64.b64encode(content).decode()
    return f'<figure><img src="data:image/{kind};base64,{data}" alt="{text(alt)}"><figcaption>{text(caption)}</figcaption></figure>'

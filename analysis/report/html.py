"""Pieces of HTML: text, tables, figures with links to their data."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Sequence
from urllib.parse import quote

import pandas as pd

from analysis.figures import StudyFigure
from analysis.figures.style import render
from analysis.formatting.tables import csv_text
from protocol.plain_text import visible


def text(value: object) -> str:
    """Escape text for element content and attributes."""
    return html.escape(visible(str(value)), quote=True)


def paragraph(value: str, kind: str = "") -> str:
    """Return a paragraph of plain text, with a CSS class if `kind` names one."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{text(value)}</p>"


def items(lines: Sequence[str]) -> str:
    """Return a list of plain text, or nothing if there are no lines."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>" if lines else ""


def table(
    frame: pd.DataFrame, caption: str, prose: Collection[str] = (), data: tuple[str, pd.DataFrame] | None = None
) -> str:
    """Return a table that scrolls by itself.

    Args:
        frame: text cells; the first column heads the rows.
        prose: columns whose lines may be broken.
        data: name and unrounded rows of a CSV file that is linked below the table.
    """
    head = "".join(f'<th scope="col">{text(c)}</th>' for c in frame.columns)
    rows = []
    for row in frame.to_numpy().tolist():
        first = f'<th scope="row">{text(row[0])}</th>'
        kinds = [' class="prose"' if c in prose else "" for c in frame.columns[1:]]
        cells = "".join(f"<td{kind}>{text(cell)}</td>" for cell, kind in zip(row[1:], kinds, strict=True))
        rows.append(f"<tr>{first}{cells}</tr>")
    link = f"<p>{csv_link(*data)}</p>" if data else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table class="data"><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{link}"
    )


def collapsed(summary: str, body: str) -> str:
    """Return a body that is hidden until the reader opens it."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def csv_link(name: str, frame: pd.DataFrame) -> str:
    """Return a link to the frame as a CSV file inside the page."""
    content = csv_text(frame)
    size = f"{max(1, round(len(content.encode()) / 1000))} kB"
    target = f"data:text/csv;charset=utf-8,{quote(content, safe=' ,.-_+:/()')}"
    label = f"Data of {text(name)} (CSV, {size})"
    return f'<a class="data-link" download="{text(name)}.csv" href="{target}">{label}</a>'


def figure(study_figure: StudyFigure) -> str:
    """Return the figure as SVG in a data URI: text stays sharp, and nothing is fetched."""
    data = base64.b64encode(render(study_figure.figure, "svg")).decode()
    width, height = (round(inches * 118) for inches in study_figure.figure.get_size_inches())
    source, alt = f"data:image/svg+xml;base64,{data}", text(study_figure.alt)
    caption = f"{text(study_figure.caption)} {csv_link(study_figure.name, study_figure.frame)}"
    image = f'<img src="{source}" width="{width}" height="{height}" alt="{alt}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def picture(kind: str, content: bytes, alt: str, caption: str) -> str:
    """Return an image file of the study folder, unchanged; `kind` is its MIME subtype."""
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return f'<figure><img src="{source}" alt="{text(alt)}"><figcaption>{text(caption)}</figcaption></figure>'

"""Write the tables of a comparison to a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.formatting.tables import csv_text
from analysis.verdict.comparison import Comparison
from analysis.verdict.score_table import Scores
from analysis.verdict.sentences import summary
from analysis.verdict.verdict_table import to_latex, to_markdown
from protocol.plain_text import one_line, visible
from protocol.record.layout import write_atomically


def write_tables(comparison: Comparison, folder: Path, scores: Scores | None = None) -> list[Path]:
    """Write the verdicts, the summary and, if given, the scores.

    Args:
        comparison: Written as verdicts.csv (unrounded), .md, .tex and .json, and summary.txt.
        folder: Created if needed.
        scores: Written as scores.csv (unrounded), .md and .tex.

    Returns:
        The paths of the files.
    """
    contents = {
        "verdicts.csv": csv_text(_with_directions(comparison)),
        "verdicts.md": to_markdown(comparison) + "".join(f"\n{visible(line)}\n" for line in comparison.read_first),
        "verdicts.tex": to_latex(comparison) + "".join(f"% {one_line(line)}\n" for line in comparison.read_first),
        "verdicts.json": comparison.to_json() + "\n",
        "summary.txt": visible(summary(comparison)) + "\n",
    }
    if scores is not None:
        contents |= {
            "scores.csv": csv_text(scores.to_frame()),
            "scores.md": scores.to_markdown() + "".join(f"\n{visible(line)}\n" for line in comparison.read_first),
            "scores.tex": scores.to_latex() + "".join(f"% {one_line(line)}\n" for line in comparison.read_first),
        }
    for name, text in contents.items():
        write_atomically(Path(folder) / name, text.encode())
    return [Path(folder) / name for name in contents]


def _with_directions(comparison: Comparison) -> pd.DataFrame:
    """Return one row per verdict, with the metric and its direction last."""
    frame = comparison.to_frame()
    used = [comparison.directions.get(protocol) for protocol in frame["protocol"]]
    return frame.assign(
        metric=[d.metric if d else "" for d in used], metric_better=[d.better if d else "" for d in used]
    )

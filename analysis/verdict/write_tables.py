"""Write the tables of a comparison to a folder."""

from __future__ import annotations

from pathlib import Path

from analysis.verdict.comparison import Comparison
from analysis.verdict.score_table import Scores
from analysis.verdict.sentences import summary
from analysis.verdict.verdict_table import to_latex, to_markdown
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
        "verdicts.csv": comparison.to_frame().to_csv(index=False),
        "verdicts.md": to_markdown(comparison),
        "verdicts.tex": to_latex(comparison),
        "verdicts.json": comparison.to_json() + "\n",
        "summary.txt": summary(comparison) + "\n",
    }
    if scores is not None:
        contents |= {
            "scores.csv": scores.to_frame().to_csv(index=False),
            "scores.md": scores.to_markdown(),
            "scores.tex": scores.to_latex(),
        }
    for name, text in contents.items():
        write_atomically(Path(folder) / name, text.encode())
    return [Path(folder) / name for name in contents]

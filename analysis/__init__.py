"""Answer one question about learning curves: does an active-learning strategy beat random?

Load the records of a study, or any table of curves, and compare every strategy with the baseline:

    from pathlib import Path
    from analysis import compare, load_study, summary

    curves = load_study(Path("results/my_study"))   # or load_table(Path("curves.csv"))
    comparison = compare(curves)                    # the test, margin and correction that the plan fixed
    print(summary(comparison))                      # the verdicts in sentences
    comparison.to_frame()                           # one row per verdict, unrounded

Each verdict is one of four answers: better, worse, equivalent (within the planned margin) or undecided.

A worked example: six seeds, two strategies, one value per run.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from analysis import compare, headline, load_table
    >>> random = [0.80, 0.82, 0.81, 0.79, 0.83, 0.80]
    >>> gains = [0.03, 0.02, 0.04, 0.03, 0.05, 0.01]
    >>> rows = ["strategy,seed,value"]
    >>> for seed, (value, gain) in enumerate(zip(random, gains)):
    ...     rows += [f"random,{seed},{value}", f"entropy,{seed},{value + gain:.2f}"]
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "curves.csv"
    ...     _ = path.write_text("\\n".join(rows))
    ...     curves = load_table(path)
    >>> comparison = compare(curves)
    >>> headline(comparison)
    'entropy beats random.'
    >>> verdict = comparison.verdicts[0]
    >>> round(verdict.difference, 4), verdict.p  # the mean gain; 2 of the 2^6 sign patterns are as extreme
    (0.03, 0.03125)

This package needs pandas and SciPy. What loads more is imported by name:

    analysis.statistics    the tests, intervals and power formulas by themselves, on plain arrays
    analysis.across        several data sets and regimes together (mixed models load statsmodels)
    analysis.figures       figures for papers and notebooks (loads matplotlib)
    analysis.claims        published claims, checked against a study
    analysis.report        the HTML report

The methods are explained in STATISTICS.md; their simulated error rates are in CALIBRATION.md.
"""

from analysis.loading.combine import combine, relabel
from analysis.loading.curves import Curves
from analysis.loading.records import load_study
from analysis.loading.table import load_table
from analysis.secondary import robustness
from analysis.secondary.details import details
from analysis.secondary.effort import ENERGY, effort
from analysis.verdict.comparison import Comparison, Verdict
from analysis.verdict.decide import compare
from analysis.verdict.pilot import seeds_from_pilot
from analysis.verdict.plan import plan_summary
from analysis.verdict.sentences import headline, summary
from analysis.verdict.verdict_table import to_latex, to_markdown

__all__ = [
    "ENERGY",
    "Comparison",
    "Curves",
    "Verdict",
    "combine",
    "compare",
    "details",
    "effort",
    "headline",
    "load_study",
    "load_table",
    "plan_summary",
    "relabel",
    "robustness",
    "seeds_from_pilot",
    "summary",
    "to_latex",
    "to_markdown",
]

"""The front door: every `beatrandom` verb. Verbs are imported when called, so `--help` needs no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="beatrandom",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""Does this active-learning strategy beat random?

Fix the protocol, run strategies under it, and say with honest statistics who beats random.

Start with **beatrandom quickstart**. Then: **protocols** → write a study (TOML) → **plan** → **run** → **check** → **compare** → **report**.

Exit codes: 0 fine, 1 violations found, 2 wrong usage or input, 3 not decidable, 130 interrupted (the same command continues).""",
)

StudyFile = Annotated[Path, typer.Argument(help="Study as TOML, or the folder of a study that was started.", show_default=False)]
Folder = Annotated[Path, typer.Argument(help="Study folder, as written by `run` or `quickstart`.", show_default=False)]
DataRoot = Annotated[Path | None, typer.Option("--data-root", envvar="BEATRANDOM_DATA", help="Where data sets lie on disk.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./beatrandom-NAME")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Runs side by side.", show_default="one a core, or 1 on a GPU")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 … or auto.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads a run; equal bytes need equal threads.")]
ExtraStrategies = Annotated[
    list[str] | None, typer.Option("--strategy", "-s", help="Add a strategy: a name, or your own `file.py:Name`. Repeatable.")
]
PresetName = Annotated[str | None, typer.Argument(help="`show`, then a name.", show_default=False)]
ShowName = Annotated[str | None, typer.Argument(show_default=False)]


@app.command()
def quickstart(
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./beatrandom-quickstart")] = None,
    task: Annotated[str, typer.Option("--task", help="classification (digits) or segmentation (scenes of digits).")] = "classification",
    fast: Annotated[bool, typer.Option("--fast", help="Fewer strategies and seeds: under a minute.")] = False,
    jobs: Jobs = None,
) -> None:
    """Which strategies beat random on real images, with and without augmentation? Needs no data, a few minutes."""
    from runners.executors.server import warm_up

    warm_up()
    from runners.verbs import quickstart as verb

    default = Path("beatrandom-quickstart" if task == "classification" else f"beatrandom-quickstart-{task}")
    verb.quickstart(out or default, fast, jobs, task)


@app.command()
def protocols(action: PresetName = None, name: ShowName = None, json: AsJson = False) -> None:
    """List the protocols that ship with the project, or `show NAME`: every value, published or our choice."""
    from runners.verbs import catalogue as verb

    verb.protocols(action, name, json)


@app.command()
def strategies(action: PresetName = None, name: ShowName = None, json: AsJson = False) -> None:
    """List the query strategies, or `show NAME`: its page."""
    from runners.verbs import catalogue as verb

    verb.strategies(action, name, json)


@app.command()
def regimes(json: AsJson = False) -> None:
    """List the training regimes used by the presets, with their recipes."""
    from runners.verbs import catalogue as verb

    verb.regimes(json)


@app.command()
def datasets(data_root: DataRoot = None, json: AsJson = False) -> None:
    """List the data sets, whether they are found, and where they are looked for."""
    from runners.verbs import catalogue as verb

    verb.datasets(data_root, json)


@app.command()
def plan(
    study: StudyFile,
    strategy: ExtraStrategies = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    jobs: Jobs = None,
    threads: Threads = 1,
    pilot: Annotated[
        Path | None,
        typer.Option("--pilot", help="Folder of a smaller study that was run: how many seeds its spread asks for.", show_default=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Before anything is trained: runs, labels, expected time, smallest reachable p, detectable effect; with a pilot, seeds needed."""
    from runners.verbs import plan as verb

    verb.plan(study, strategy or [], data_root, device, jobs, threads, json, pilot)


@app.command()
def run(
    study: StudyFile,
    strategy: ExtraStrategies = None,
    out: Out = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    jobs: Jobs = None,
    threads: Threads = 1,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            envvar="BEATRANDOM_EXECUTOR",
            help="local (a process a run), inline (this process), ray or slurm.",
            show_default="(the configuration's, or local)",
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Ray cluster, e.g. auto.", show_default="(RAY_ADDRESS, or one started here)")
    ] = None,
    isolate: Annotated[bool, typer.Option("--isolate", help="Keep all labels in a process of their own, with its own ledger.")] = False,
    predictions_only: Annotated[
        bool, typer.Option("--predictions-only", help="Keep no probabilities: small enough to publish; no calibration metrics.")
    ] = False,
    only: Annotated[str | None, typer.Option("--only", help="Only these runs: 'strategy=entropy|margin,protocol=cifar*,seed<4'.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be run, in order; write nothing.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also try runs that failed 3 times in a row.")] = False,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", min=0, help="Then finish the rounds under way and exit with 130.")
    ] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, help="Minutes one run may take (not inline).")] = None,
    memory: Annotated[float | None, typer.Option("--memory", min=0, help="GiB one run may take (not inline).")] = None,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Further attempts when the machine fails (not inline).")] = 2,
) -> None:
    """Run what is missing of a study. Interrupted or failed? The same command continues; nothing is bought twice.

    Ctrl-C, SIGTERM (20 s) and SIGUSR1 (no limit) let the rounds under way finish; a second signal stops at once.
    """
    from runners.executors.server import warm_up

    if executor in (None, "local") and not dry_run:
        warm_up(threads)
    from runners.executors.base import Limits
    from runners.verbs import run as verb

    limits = Limits(timeout and timeout * 60, memory and memory * 1024, retries)
    options = verb.Options(executor, address, only, retry_failed, dry_run, isolate, not predictions_only, max_hours, limits)
    verb.run(study, strategy or [], out, data_root, device, jobs, threads, options)


@app.command()
def status(
    folder: Folder,
    json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 2 s until all runs are done.")] = False,
) -> None:
    """How far a study is: done, running, partial, failed, missing; its expected end and its size on disk."""
    from runners.verbs import status as verb

    verb.show(folder, json, watch)


@app.command()
def merge(
    folder: Folder,
    sources: Annotated[list[Path], typer.Argument(help="Folders of the same study, made elsewhere.", show_default=False)],
) -> None:
    """Put together a study that was run in several places. Conflicting runs are told and left as they are (exit code 1)."""
    from runners.verbs import storage as verb

    verb.merge(folder, sources)


@app.command()
def gc(
    folder: Folder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json: AsJson = False,
) -> None:
    """Remove what is left of killed processes and finished warm starts: no evidence, and nothing of a run that is being written."""
    from protocol.folders import StudyFolder
    from runners.verbs import gc as verb

    verb.gc(StudyFolder(folder), dry_run, json)


@app.command()
def check(
    path: Annotated[
        Path | None,
        typer.Argument(help="Study folder or packed study, one record (.jsonl), or a table of curves (CSV).", show_default=False),
    ] = None,
    indices: Annotated[
        Path | None, typer.Option("--indices", help="Folder of another project's labelled indices.", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Preset or TOML to check a table or indices against.", show_default=False)
    ] = None,
    json: AsJson = False,
    format: Annotated[str, typer.Option("--format", help="table, json, sarif, junit or github.")] = "table",
    badge: Annotated[bool, typer.Option("--badge", help="One line for an appendix.")] = False,
    checklist: Annotated[
        str | None, typer.Option("--checklist", help="markdown or latex: a filled evaluation checklist.", show_default=False)
    ] = None,
    explain: Annotated[str | None, typer.Option("--explain", help="The page of one rule, e.g. BUD-01.", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="JSON Schema of --format json.")] = False,
) -> None:
    """Was the protocol obeyed? Rule by rule: obeyed, broken, or cannot be verified. Exit code 0, 1, 3."""
    from runners.verbs import check as verb

    if explain is not None:
        verb.explain(explain)
    elif schema:
        verb.schema()
    else:
        verb.check(path, indices, protocol, "json" if json and format == "table" else format, badge, checklist)


@app.command()
def amend(
    folder: Folder,
    study: Annotated[Path, typer.Argument(help="The new plan, as TOML.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown with the results.", show_default=False)],
) -> None:
    """Change the plan of a started study, openly: more seeds, say. The earlier plan is kept and every check shows the change."""
    from runners.verbs import amend as verb

    verb.amend(folder, study, reason)


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="A run's folder (or its events.jsonl), or a study folder.", show_default=False)],
    round_: Annotated[int | None, typer.Option("--round", min=0, help="Only this round.", show_default="all that queried")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run of the study.")] = False,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many runs of the study, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the sample.")] = 0,
    data_root: DataRoot = None,
    device: Annotated[str, typer.Option("--device", help="Where to train again; `recorded` is where it was trained.")] = "recorded",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the outcome in the study for `check` (rule QRY-06).")] = False,
    json: AsJson = False,
) -> None:
    """Choose again: retrain from the recorded seeds and compare the queries. Exit 1: another query; 3: not decidable."""
    from runners.verbs import replay as verb

    verb.replay(path, round_, every, sample, seed, data_root, device, keep, json)


@app.command()
def seal(
    folder: Folder,
    sign: Annotated[
        Path | None, typer.Option("--sign", help="Sign the manifest with this SSH key (ssh-keygen -Y).", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Fix all evidence of a study by one number: a manifest of every record's head and every file's digest."""
    from runners.verbs import seal as verb

    verb.seal(folder, sign, json)


@app.command()
def verify(
    folder: Folder,
    signers: Annotated[
        Path | None, typer.Option("--signers", help="Allowed signers, as ssh-keygen reads them.", show_default=False)
    ] = None,
    identity: Annotated[str | None, typer.Option("--identity", help="Who must have signed.", show_default=False)] = None,
    json: AsJson = False,
) -> None:
    """Is a sealed study unchanged, and who signed it? Exit 1: changed or badly signed; 3: not signed."""
    from runners.verbs import seal as verb

    verb.verify(folder, signers, identity, json)


@app.command()
def pack(
    folder: Folder, out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="FOLDER.tar.xz")] = None
) -> None:
    """Put a sealed study into one small file to publish; `check` reads it as it is, `unpack` restores the folder."""
    from runners.verbs import pack as verb

    verb.pack(folder, out)


@app.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="As written by `pack`.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="the archive's name, here")] = None,
) -> None:
    """Restore a packed study, and see that it is what its manifest says."""
    from runners.verbs import pack as verb

    verb.unpack(archive, out)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Study folder or packed study.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./NAME-tables")] = None,
    format: Annotated[str, typer.Option("--format", help="Of the tables: parquet or csv.")] = "parquet",
    to: Annotated[
        str, typer.Option("--to", help="tables, or the curves for tensorboard, mlflow (a local store) or wandb (offline).")
    ] = "tables",
) -> None:
    """Write a study for pandas, DuckDB, R or an experiment tracker: curves, runs and the ledger of every purchase, rebuilt from its records.

    **curves**: complete runs. **runs**: every planned run with its state, attempts, labels, seconds, digest of its environment.
    **ledger**: a row per label bought: round, purpose, index, labels paid for before and after the lot. Labels themselves are not recorded.
    """
    from runners.verbs import export as verb

    verb.export(source, out, format, to)


@app.command()
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Study folders, packed studies or tables of curves (CSV, Parquet); one answer each.", show_default=False),
    ],
    baseline: Annotated[str, typer.Option("--baseline", help="The strategy that the others are compared with.")] = "random",
    metric: Annotated[str | None, typer.Option("--metric", help="Which metric, if there are several.", show_default=False)] = None,
    test: Annotated[str | None, typer.Option("--test", help="sign-flip, t or wilcoxon.", show_default="the plan's, or sign-flip")] = None,
    delta: Annotated[
        float | None,
        typer.Option("--delta", help="Differences below this are equivalent; in the metric's units.", show_default="the plan's, or 0.01"),
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="Error rate of the family.", show_default="the plan's, or 0.05")] = None,
    correction: Annotated[
        str | None,
        typer.Option(
            "--correction",
            help="holm, hochberg, hommel (family-wise error); bh, by (false discovery rate).",
            show_default="the plan's, or holm",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", help="Correct the tests together within each protocol, dataset or regime.", show_default="the plan's family"
        ),
    ] = None,
    at: Annotated[
        list[int] | None, typer.Option("--at", help="Also compare the metric at this budget. Repeatable.", show_default=False)
    ] = None,
    rho: Annotated[
        float,
        typer.Option("--rho", help="Correlation of differences in the correlated t posterior: 0 for independent seeds, 1/k for k folds."),
    ] = 0.0,
    mismatch: Annotated[
        str,
        typer.Option(
            "--mismatch",
            help="Gaps in a table. **list**: leave out and list runs with empty cells or no partner, refuse unequal budgets. **refuse**: refuse all. "
            "**crop**: cut to the budgets all runs share. **unpaired**: use every seed of either side, Welch's test.",
        ),
    ] = "list",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", help="OURS=THEIRS: what a column is called in the table, e.g. `strategy=method`. Repeatable.", show_default=False
        ),
    ] = None,
    wide: Annotated[
        str | None,
        typer.Option(
            "--wide", help="Columns without another meaning are values of: budget, strategy, seed, dataset or metric.", show_default=False
        ),
    ] = None,
    details: Annotated[
        bool,
        typer.Option(
            "--details", help="Also secondary endpoints, whole curves, effect sizes, posteriors, cost of queries (always in --json)."
        ),
    ] = False,
    json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX (booktabs) table.")] = False,
) -> None:
    """Who is better than random, worse, equivalent, undecided; with intervals and corrected tests.

    A table has a row per measurement: **strategy, value** (higher is better), **seed**, **budget**; optional **dataset, regime, metric, protocol**.
    Pairs are seeds; without a seed column, data sets. Without a budget column, the value itself is compared.

    Examples: `compare curves.csv --baseline Random` · `compare wide.csv --wide budget --column strategy=method` ·
    `compare published.csv --wide strategy --baseline C4.5` · `compare mine theirs.tar.xz`, one after the other, each corrected by
    itself. Mean curves are drawn on one scale within a protocol, a block a budget. What a study did not plan is marked exploratory.
    """
    from runners.verbs import compare as verb

    asked = verb.Asked(baseline, metric, test, delta, alpha, correction, group, tuple(at or ()), rho, mismatch, tuple(column or ()), wide)
    verb.compare(sources, asked, details, json, markdown, latex)


@app.command()
def figures(
    source: Annotated[Path, typer.Argument(help="Study folder, packed study, or a table of curves (CSV, Parquet).", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="FOLDER/analysis, or ./beatrandom-NAME for a table")
    ] = None,
    style: Annotated[
        str, typer.Option("--style", help="Widths and face of a venue: plain, neurips, icml, iclr, tmlr, jmlr, cvpr, ieee, acm.")
    ] = "plain",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this figure, e.g. `learning-curves`. Repeatable.", show_default="all")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="pdf, svg, png; several with commas.")] = "pdf,svg,png",
    baseline: Annotated[str, typer.Option("--baseline", help="The strategy that the others are compared with.")] = "random",
    metric: Annotated[str | None, typer.Option("--metric", help="Which metric, if there are several.", show_default=False)] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="OURS=THEIRS: what a column is called in the table. Repeatable.", show_default=False),
    ] = None,
    wide: Annotated[str | None, typer.Option("--wide", help="As in `compare`.", show_default=False)] = None,
    mismatch: Annotated[str, typer.Option("--mismatch", help="As in `compare`.")] = "list",
    data_root: DataRoot = None,
) -> None:
    """Write the figures, each with its data (CSV) and a caption that states n, band and test, and the tables of verdicts.

    Figures: verdicts, learning-curves, difference-to-random, mean-ranks, penalty-matrix, performance-profile,
    probability-of-improvement, labels-saved, levers, interaction, ranking-stability, power, query-cost, class-balance, overlap,
    calibration, reliability, class-iou, contact-sheet. What a study has no data for is named with the reason.

    Examples: `figures my-study --style neurips --format pdf` · `figures curves.csv --baseline Random --only learning-curves`.
    """
    from runners.verbs import figures as verb

    asked = verb.Asked(baseline=baseline, metric=metric, mismatch=mismatch, column=tuple(column or ()), wide=wide)
    formats = tuple(part.strip() for part in format.split(","))
    verb.figures(source, asked, verb.Look(style, tuple(only or ()), formats), out, data_root)


@app.command()
def card(
    source: Annotated[Path, typer.Argument(help="Study folder or packed study.", show_default=False)],
    protocol: Annotated[str | None, typer.Option("--protocol", help="Only this one.", show_default="all, a page each")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="FOLDER/analysis")] = None,
    format: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
) -> None:
    """Write a result card a protocol: one page with curves, verdicts in words, what was fixed, and fingerprints to cite."""
    from runners.verbs import card as verb

    verb.cards(source, protocol, out, format)


@app.command()
def report(
    source: Annotated[Path, typer.Argument(help="Study folder, packed study, or a table of curves (CSV, Parquet).", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="HTML file.", show_default="FOLDER/report.html, or ./beatrandom-NAME.html for a table")
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also print it as PDF beside the page, by an installed Chromium, Chrome or Edge.")
    ] = False,
    baseline: Annotated[str, typer.Option("--baseline", help="The strategy that the others are compared with.")] = "random",
    metric: Annotated[str | None, typer.Option("--metric", help="Which metric, if there are several.", show_default=False)] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="OURS=THEIRS: what a column is called in the table. Repeatable.", show_default=False),
    ] = None,
    wide: Annotated[str | None, typer.Option("--wide", help="As in `compare`.", show_default=False)] = None,
    mismatch: Annotated[str, typer.Option("--mismatch", help="As in `compare`.")] = "list",
    data_root: DataRoot = None,
) -> None:
    """Write one self-contained HTML page: the answer first, then verdicts, curves, compliance, levers, purchases, costs.

    It needs no network, prints, and holds the data of every figure. Pictures under FOLDER/pictures/PROTOCOL/STRATEGY.png (with a
    caption in a .txt beside each) are shown with what was bought.
    """
    from runners.verbs import report as verb

    asked = verb.Asked(baseline=baseline, metric=metric, mismatch=mismatch, column=tuple(column or ()), wide=wide)
    verb.report(source, asked, out, pdf, data_root)


@app.command()
def serve(
    folders: Annotated[list[Path] | None, typer.Argument(help="Study folders.", show_default="those in the current folder")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of 127.0.0.1; 0: any free one.")] = 8765,
) -> None:
    """Browse studies while they run, in a browser on this machine only: progress, interim curves, failed runs and their errors.

    Nothing is written and nobody else can look: the page is bound to 127.0.0.1. Ctrl-C ends it; runs are not touched.
    """
    from runners.verbs import serve as verb

    verb.serve(folders or [], port)


def main() -> None:
    """Run the command line; every expected error becomes a message and an exit code, never a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        _say("interrupted; what was measured is kept, the same command continues")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _say(
            f"{error.filename or 'disk'}\n  expected: to read or write\n  found:    {error.strerror or error}\n  to do:    check path, space and permissions"
        )
        sys.exit(2)
    except Exception as error:
        from protocol.errors import BeatRandomError

        if not isinstance(error, BeatRandomError):
            raise
        _say(str(error))
        sys.exit(2)


def _say(text: str) -> None:
    print(f"beatrandom: {text}", file=sys.stderr)

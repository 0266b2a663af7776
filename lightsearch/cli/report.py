"""`lightsearch report`."""

from __future__ import annotations

import click

from lightsearch.checks import check_free, check_path
from lightsearch.cli.design_argument import choose_study, find_row
from lightsearch.cli.options import force_option
from lightsearch.cli.output import without_collection


@click.command(short_help="Write a study's report: one HTML page, or Markdown.")
@click.argument("study", required=False, type=click.Path())
@click.option(
    "--markdown",
    is_flag=True,
    help="Markdown with PNGs instead of an HTML page, as for an --out that ends in .md.",
)
@click.option(
    "--trial",
    "--design",
    "trial",
    type=int,
    metavar="NUMBER",
    help=(
        "The design of a trial in full as Markdown, ready for a README: target, results, "
        "analysis, summary, receptive fields, log and code. A training script and a notebook are "
        "written beside it. `--design` is the older name of this option."
    ),
)
@click.option(
    "--row",
    type=int,
    metavar="RANK",
    help="The same for the design of a row of the leaderboard: its rank, from 1.",
)
@click.option(
    "--steps",
    is_flag=True,
    help=(
        "A first, a better and the best design as Markdown, each with target, results and "
        "analysis; scripts and notebooks are written beside it."
    ),
)
@click.option(
    "--tensorboard",
    type=click.Path(),
    metavar="FOLDER",
    help=(
        "TensorBoard event files, a run for each trial; needs lightsearch[tensorboard]. May be "
        "written again while the search runs."
    ),
)
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help=(
        "The file to write.  [default: report.html, report.md, design-TRIAL.md or steps.md in the "
        "study's folder]"
    ),
)
@force_option
@without_collection()
def report(
    study: str | None,
    markdown: bool,
    trial: int | None,
    row: int | None,
    steps: bool,
    tensorboard: str | None,
    out: str | None,
    force: bool,
) -> None:
    """Write a study's report, also while it runs.

    STUDY is its folder; without it, the latest study here is taken. The page is one file that
    needs no network: what was asked, what was drawn, rejected, pruned and hit, the leaderboard,
    pictures, how to run a row again, and how the numbers came about.

    \b
    lightsearch report
    lightsearch report small
    lightsearch report small --markdown --out docs/small.md
    lightsearch report small --row 1 --out design.md
    lightsearch report small --trial 2
    lightsearch report small --steps
    lightsearch report small --tensorboard runs
    """
    one_design = (trial is not None) + (row is not None)
    if (markdown + one_design + steps + (tensorboard is not None)) > 1:
        raise click.UsageError(
            "only one of --markdown, --row, --trial, --steps and --tensorboard can be given"
        )
    if tensorboard is not None and out is not None:
        raise click.UsageError("--out must not be given with --tensorboard FOLDER")
    from lightsearch.result import load_result

    path = None if out is None else check_path("out", out)
    if path is not None:
        check_free("out", path, force=force)
    result = load_result(study or choose_study())
    if row is not None:
        trial = int(find_row(result.leaderboard, row, result.folder)["trial"])
    if tensorboard is not None:
        from lightsearch.formatting import plural
        from lightsearch.report.tensorboard import write_events

        folder = check_path("tensorboard", tensorboard)
        runs = write_events(result.records, folder)
        click.echo(f"{plural(runs, 'run')} in {folder}: tensorboard --logdir {folder}")
        return
    from lightsearch.report import write_design, write_html, write_markdown, write_steps

    name = "report.md" if markdown else "report.html" if trial is None else f"design-{trial}.md"
    name = "steps.md" if steps else name
    path = path or result.folder / name
    if trial is not None:
        write_design(result, trial, path, force=force)
    elif steps:
        write_steps(result, path, force=force)
    elif markdown or path.suffix.lower() == ".md":
        write_markdown(result, path, force=force)
    else:
        write_html(result, path, force=force)
    click.echo(str(path))

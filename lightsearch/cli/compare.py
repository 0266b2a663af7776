"""`lightsearch compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from lightsearch.checks import check_free, check_path
from lightsearch.cli.options import force_option, json_option
from lightsearch.cli.output import print_json, print_table, records
from lightsearch.formatting import SURROGATE_NOTE, percent, plural

if TYPE_CHECKING:
    from lightsearch.comparing import Comparison


@click.command(short_help="Compare studies with one thing different, over seeds.")
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help=(
        "An argument of the search that is meant to differ, such as sampler; may be given several "
        "times.  [default: what differs, if it is one thing]"
    ),
)
@click.option(
    "--measure",
    type=click.Choice(["best", "test", "true"]),
    default="best",
    show_default=True,
    help=(
        "What is compared: best, the best accuracy so far on the images that select; test, the "
        "test accuracy of the design picked on held-out images; true, on the surrogate, that "
        "design's mean over all seeds."
    ),
)
@click.option(
    "--epochs",
    type=int,
    help="After how many epochs of all trials together.  [default: what the shortest study has]",
)
@click.option(
    "--picture",
    type=click.Path(),
    metavar="FILE",
    help="Draw the curves by epochs and by seconds into a PNG, SVG or PDF.",
)
@click.option(
    "--curves",
    type=click.Path(),
    metavar="FILE",
    help="Write the curves as CSV: the mean and its interval, by epochs and by seconds.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV.")
@click.option("--each", is_flag=True, help="A row for each study, in place of one for each group.")
@json_option
@force_option
def compare(
    studies: tuple[str, ...],
    by: tuple[str, ...],
    measure: str,
    epochs: int | None,
    picture: str | None,
    curves: str | None,
    as_csv: bool,
    each: bool,
    as_json: bool,
    force: bool,
) -> None:
    """Compare studies that differ in one thing and in their seeds.

    STUDY... are their folders; the group of the first one is what the others are compared with.
    What differs is found from what the studies were asked. Differences are taken between studies
    with the same seed, and have a 95% interval by Student's t.

    \b
    lightsearch compare model-* near-cap-*
    lightsearch compare model-* near-cap-* --picture comparison.png --curves curves.csv
    lightsearch compare model-* tpe-none-* --by sampler --by pruner --csv
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json must not be given together")
    from lightsearch.comparing import compare as compare_studies
    from lightsearch.comparing.steps import Measure
    from lightsearch.study.csv_file import quote_cells

    files = {"picture": picture, "curves": curves}
    paths = {name: check_path(name, file) for name, file in files.items() if file is not None}
    for name, path in paths.items():
        check_free(name, path, force=force)
    found = compare_studies(
        studies, by=by or None, measure=cast("Measure", measure), epochs=epochs
    )
    if "picture" in paths:
        found.save(paths["picture"])
    if "curves" in paths:
        quote_cells(found.curves).to_csv(paths["curves"], index=False)
    frame = found.studies.set_index("group") if each else found.table
    if as_csv:
        click.echo(quote_cells(frame).to_csv(), nl=False)
    elif as_json:
        print_json(records(frame))
    else:
        _print(found, each=each)
        for path in paths.values():
            click.echo(f"written: {path}")


def _print(found: Comparison, *, each: bool) -> None:
    """Print the table of groups, or of studies, with what it is of."""
    if not found.is_timed:
        click.echo(SURROGATE_NOTE)
    what = " and ".join(found.differs) or "group"
    if each:
        rows = [
            [
                one["group"],
                one["seed"],
                percent(one["value"], 3),
                one["hits"],
                one["trials"],
                f"{one['epochs']:,}",
                one["folder"],
            ]
            for one in found.studies.to_dict("records")
        ]
        heads = [what, "seed", "value", "hits", "trials", "epochs", "study"]
        print_table(heads, rows, left=(what, "study"))
    else:
        frame = found.table
        heads = [what, "seeds", "mean", "95% interval", "difference", "95% interval", "pairs"]
        rows = [[label, *_figures(row)] for label, row in frame.iterrows()]
        print_table([*heads, "p"], rows, left=(what,))
    click.echo(f"{found.title}, after {plural(found.epochs, 'epoch')} of all trials together")
    if not each and len(found.groups) > 1:
        click.echo(
            f"differences from {found.groups[0].label} in points, paired by seed; p below its "
            "level by Holm's correction is marked *"
        )
    for note in found.notes:
        click.echo(note)


def _figures(row: Any) -> list[str]:
    """The figures of a group's row as text."""
    mark = "*" if row["different"] else ""
    return [
        str(row["seeds"]),
        percent(row["mean"], 3),
        _interval(row["low"], row["high"], lambda share: percent(share, 3)),
        _points(row["difference"]),
        _interval(row["difference_low"], row["difference_high"], _points),
        str(row["pairs"] or "-"),
        "-" if row["p_value"] != row["p_value"] else f"{row['p_value']:.3f}{mark}",
    ]


def _points(share: float) -> str:
    return "-" if share != share else f"{100 * share:+.3f}"


def _interval(low: float, high: float, form: Any) -> str:
    return "-" if low != low else f"{form(low)} to {form(high)}"

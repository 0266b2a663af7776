"""`lightsearch confirm`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.design_argument import choose_study, design_options, pick
from lightsearch.cli.images import (
    check_dataset,
    check_sizes,
    dataset_option,
    open_images,
    size_options,
)
from lightsearch.cli.options import (
    NO_HIT,
    data_option,
    json_option,
    notation,
    option,
)
from lightsearch.cli.output import print_json, records
from lightsearch.cli.teaching import find_teachers, teacher_option
from lightsearch.data.catalogue import IMAGES, find_name
from lightsearch.data.image_size import Size
from lightsearch.searching.settings import DEFAULTS

if TYPE_CHECKING:
    import pandas as pd


@click.command(short_help="Train designs again with fresh seeds: does their accuracy hold?")
@design_options
@click.option(
    "--study",
    metavar="FOLDER",
    type=click.Path(),
    help=(
        "The study whose best hits are confirmed; with DESIGN or --row, the folder that keeps the "
        "runs.  [default: the latest study here; with --row, the row's]"
    ),
)
@click.option(
    "--top",
    type=int,
    metavar="COUNT",
    help=(
        f"How many hits of --study, by the search's own order.  [default: {DEFAULTS.confirm_top}]"
    ),
)
@click.option("--seeds", type=int, default=10, show_default=True, help="Fresh seeds a design.")
@click.option(
    "--halving",
    is_flag=True,
    help="All designs get a few of the seeds, the better half more, and so on; two get all.",
)
@click.option(
    "--on",
    metavar="NAME",
    help=(
        "Data set on whose test images the last epoch is judged, such as qmnist-test50k for "
        "designs found on mnist.  [default: the design's own test images]"
    ),
)
@option(
    "target",
    "Accuracy that the mean is to be at, from 0 to 1.",
    otherwise=f"the study's, else {DEFAULTS.target}",
)
@option("recipe", "How DESIGN is trained: notation, or @FILE.", callback=notation)
@option("epochs", "Epochs of DESIGN.")
@dataset_option
@size_options
@data_option
@option("workers", "Runs at once.", otherwise="as many as a search trains here")
@option("device", otherwise="the row's, else auto")
@option("engine", "What trains: native, torch or auto.", otherwise="the row's, else auto")
@teacher_option
@json_option
@click.pass_context
def confirm(
    context: click.Context,
    /,
    design: str | None,
    row: int | None,
    leaderboard: str | None,
    study: str | None,
    top: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train designs again with fresh seeds, unpruned: is the mean of the last epoch at the target?

    Either the best hits of a --study (by default the latest here), a row of a --leaderboard, or a
    DESIGN (notation, @FILE, or a name of the zoo). Confirmed means that the one-sided lower 95% t
    bound of the mean is at or above the target after all seeds; several designs of one study are
    corrected for their number (Holm). A design whose upper bound is below the target is given up
    early. Interrupted, the same line continues.

    \b
    lightsearch confirm
    lightsearch confirm --study small
    lightsearch confirm --study small --top 9 --halving
    lightsearch confirm --study small --top 1 --seeds 20 --on qmnist-test50k
    lightsearch confirm --row 2 --leaderboard small/leaderboard.csv
    lightsearch confirm s1-final --seeds 5 --study s1

    Exit codes: 0 if a design is confirmed, 3 if none is, 1 if something failed, 2 for wrong
    arguments.
    """
    if design is None and row is None:
        if leaderboard is not None:
            raise click.UsageError("--leaderboard must be given with --row RANK")
        study = study or str(choose_study())
        designs: Any = _hits(study, DEFAULTS.confirm_top if top is None else top)
    else:
        if top is not None:
            raise click.UsageError("--top must be given with --study alone")
        if row is not None and study is not None and leaderboard is None:
            leaderboard = _table_of(study)
        picked = pick(design, row, leaderboard)
        designs = picked.design if picked.row is None else picked.row
    from lightsearch.confirming.confirm import confirm as confirm_designs

    teacher = find_teachers(options.pop("teacher"), options["data"])
    arguments = {name: value for name, value in _open_own(**options).items() if value is not None}
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        table = confirm_designs(designs, study=study, teacher=teacher, **arguments)
    if as_json:
        print_json(records(table))
    context.exit(0 if table["confirmed"].any() else NO_HIT)


def _open_own(
    *, dataset: str | None, on: str | None, size: Size | None, gray: bool, **others: Any
) -> dict[str, Any]:
    """Return the arguments of confirming, with images that are resized as a data set."""
    check_sizes(dataset, size, gray)
    for name in (dataset, on):
        if name is not None:
            check_dataset(name)
    opened: dict[str, Any] = {"dataset": dataset, "on": on}
    if dataset is not None and (size is not None or gray):
        opened["dataset"] = open_images(dataset, others["data"], size, gray)
        if on is not None and find_name(on) not in IMAGES:  # those have a size of their own
            opened["on"] = open_images(on, others["data"], size, gray)
    return {**others, **opened}


def _table_of(study: str) -> str | None:
    """Return the study whose runs are kept, if --row must be of its leaderboard."""
    return study if (Path(study) / "leaderboard.csv").is_file() else None


def _hits(study: str, top: int) -> pd.DataFrame:
    """Return the first hits of a study, in the order of the search."""
    from lightsearch.checks import check_integer
    from lightsearch.result import load_result
    from lightsearch.study.leaderboard import leaderboard

    check_integer("top", top, 1, 1000)
    result = load_result(Path(study))
    frame = leaderboard(result.records, result.identity).head(top)
    if not len(frame):
        click.echo("no design has reached the target yet: there is nothing to confirm", err=True)
    return frame

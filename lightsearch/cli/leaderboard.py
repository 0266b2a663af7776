"""`lightsearch leaderboard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.design_argument import choose_study
from lightsearch.cli.options import json_option
from lightsearch.cli.output import print_json, print_table, records, without_collection
from lightsearch.formatting import MEAN_HEADS, SURROGATE_NOTE, mean_figures, name_split, plural
from lightsearch.study.figures import (
    SIZES,
    describe_images,
    describe_selection,
    format_figure,
    list_columns,
    name_column,
)
from lightsearch.study.orders import ORDERS
from lightsearch.study.warm_start import explain_label

if TYPE_CHECKING:
    import pandas as pd

MINOR = (
    "last_accuracy",
    "confirmed_n",
    "best_epoch",
    "first_hit_epoch",
    "macs",
    "receptive_field",
    "activation_bytes",
    "activation_bytes_int8",
)  # not shown in a narrow terminal, the last ones first
_CONFIRMED = ("confirmation", "confirmed_n", "confirmed_mean", "confirmed_bound")


@click.command(short_help="Show what a study has found, also while it runs.")
@click.argument("folder", metavar="[STUDY]", required=False, type=click.Path())
@click.option("--study", type=click.Path(), metavar="FOLDER", help="The same as STUDY.")
@click.option(
    "--by",
    type=click.Choice(list(ORDERS)),
    help=(
        "Order: "
        + "; ".join(f"{name}, {one.text} ({one.column})" for name, one in ORDERS.items())
        + ".  "
        "[default: accuracy]"
    ),
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help=("All trials, by number unless --by says otherwise, with how each ended."),
)
@click.option(
    "--means",
    is_flag=True,
    help=(
        "Each design's mean over all its runs, the fresh seeds of `lightsearch confirm` included, "
        "by shrunken mean."
    ),
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@without_collection()
def leaderboard(
    folder: str | None,
    study: str | None,
    by: str | None,
    everything: bool,
    means: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show what a study has found, also while it runs.

    STUDY is its folder; without it, the latest study here is taken. A row's design, recipe and
    seed are all that it takes to train it again: see `lightsearch train --help`.

    \b
    lightsearch leaderboard
    lightsearch leaderboard small
    lightsearch leaderboard small --by params
    lightsearch leaderboard small --means
    lightsearch leaderboard small --all --csv > trials.csv
    """
    if folder is not None and study is not None:
        raise click.UsageError("the study's folder must be given once, as STUDY or as --study")
    if as_csv and as_json:
        raise click.UsageError("--csv and --json must not be given together")
    if means and (by is not None or everything):
        raise click.UsageError(
            "--means must be given without --by and --all: it has its own order"
        )
    place = folder or study or choose_study()
    if means:
        _print_means(place, as_csv=as_csv, as_json=as_json)
        return
    rows = _read_rows(place, by, everything=everything)
    if not (as_csv or as_json):
        print_board(rows, by, all_trials=everything)
        return
    from lightsearch.study import leaderboard as tables  # here, since it loads pandas

    frame = tables.frame_trials(rows) if everything else tables.frame_hits(rows)
    _print_frame(frame, as_json=as_json)


def _print_means(place: str | Path, *, as_csv: bool, as_json: bool) -> None:
    from lightsearch.result import load_result

    frame = load_result(place).means()
    if as_csv or as_json:
        _print_frame(frame, as_json=as_json)
    else:
        print_means(frame)


def _print_frame(frame: pd.DataFrame, *, as_json: bool) -> None:
    """Print a table whole: as JSON or as CSV."""
    from lightsearch.study.csv_file import quote_cells

    if as_json:
        print_json(records(frame))
    else:
        click.echo(quote_cells(frame).to_csv(), nl=False)


def _read_rows(place: str | Path, by: str | None, *, everything: bool) -> list[dict[str, Any]]:
    """Return the rows of a study's leaderboard, or of all its trials, in their order."""
    from lightsearch.study.board import list_trials, rank_hits
    from lightsearch.study.journal import read_trials
    from lightsearch.study.ledger import read_confirmations
    from lightsearch.study.listing import read_question

    folder, identity = read_question(place)
    trials, confirmed = read_trials(folder), read_confirmations(folder)
    if not everything:
        return rank_hits(trials, identity, by=by or "accuracy", confirmed=confirmed)
    return list_trials(trials, identity, confirmed, by=by)


def print_board(
    rows: Sequence[Mapping[str, Any]], by: str | None = None, *, all_trials: bool = False
) -> None:
    """Print a leaderboard, or the table of all trials, with the column that it is ordered by."""
    if not rows:
        click.echo(
            "no trial yet"
            if all_trials
            else "no design has reached the target yet; --all shows all trials"
        )
        return
    if any(row["engine"] == "surrogate" for row in rows):
        click.echo(SURROGATE_NOTE)
    selected_on = str(rows[0]["selected_on"])  # the same in all rows of a study
    labels = {on for row in rows if isinstance(on := row["confirmed_on"], str)}  # else NaN
    order = None if all_trials and by is None else ORDERS[by or "accuracy"].column
    _print_rows(rows, order, selected_on, all_trials=all_trials, rerun=bool(labels))
    ordered = "" if order is None else f" by {name_column(order)}"
    if ordered and labels and not all_trials:
        ordered = f", confirmed ones first, then{ordered}"
    click.echo(
        f"{plural(len(rows), 'trial' if all_trials else 'design')}{ordered}; one run each, "
        f"accuracies {describe_selection(selected_on)}"
        + "".join(f"; fresh seeds on {describe_images(label)}" for label in sorted(labels))
    )
    for label in sorted({row["warm_start"] for row in rows} - {""}):
        click.echo(explain_label(label, name_split(selected_on)))


def _print_rows(
    found: Sequence[Mapping[str, Any]],
    order: str | None,
    selected_on: str,
    *,
    all_trials: bool,
    rerun: bool,
) -> None:
    columns = [
        *list_columns(selected_on),
        *(_CONFIRMED if rerun or order in _CONFIRMED else ()),
        *SIZES,
    ]
    if order is not None and order not in columns:
        columns.append(order)
    columns += ["outcome" if all_trials else "trial", "design"]
    rows = (
        [row["trial"] if all_trials else rank, *(format_figure(one, row[one]) for one in columns)]
        for rank, row in enumerate(found, 1)
    )
    heads = ["trial" if all_trials else "rank", *map(name_column, columns)]
    minor = [name_column(one) for one in MINOR if one != order and one in columns]
    print_table(heads, rows, left=("design", "outcome", "confirmation"), minor=minor)


def print_means(frame: pd.DataFrame) -> None:
    """Print the table of means, with its protocol."""
    if not len(frame):
        click.echo("no design has a whole run on all training images yet")
        return
    rows = (
        [rank, *mean_figures(row), row["trial"], row["design"]] for rank, row in frame.iterrows()
    )
    print_table(["rank", *MEAN_HEADS, "trial", "design"], rows, left=("design",))
    click.echo(
        f"{plural(len(frame), 'design')}, last epoch, {frame.attrs['images']} images; "
        f"{frame.attrs['protocol']}"
    )

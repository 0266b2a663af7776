"""`lightsearch leaderboard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.design_argument import choose_study
from lightsearch.cli.options import json_option
from lightsearch.cli.output import print_json, print_table, records, without_collection
from lightsearch.formatting import MEAN_HEADS, SURROGATE_NOTE, mean_figures, percent, plural
from lightsearch.study.orders import ORDERS
from lightsearch.study.warm_start import explain_label

if TYPE_CHECKING:
    import pandas as pd


_BESIDE: dict[str, tuple[str, Any]] = {  # shown only in their own order
    "last3": ("last 3", percent),
}


@click.command(short_help="Show what a study has found, also while it runs.")
@click.argument("folder", metavar="[STUDY]", required=False, type=click.Path())
@click.option("--study", type=click.Path(), metavar="FOLDER", help="The same as STUDY.")
@click.option(
    "--by",
    type=click.Choice(list(ORDERS)),
    help=(
        f"Order: {'; '.join(f'{name}, {order.text}' for name, order in ORDERS.items())}.  "
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
    images = " and ".join(sorted({row["selected_on"] for row in rows}))
    short = "val" if "val" in images else "test"
    rerun = {row["confirmed_on"] for row in rows if not _is_missing(row["confirmation"])}
    _print_rows(rows, by, short, all_trials=all_trials, rerun=bool(rerun))
    click.echo(
        f"{plural(len(rows), 'trial' if all_trials else 'design')}, selected on {images}, "
        "one run each" + (f"; confirmed on {' and '.join(sorted(rerun))}" if rerun else "")
    )
    for label in sorted({row["warm_start"] for row in rows} - {""}):
        click.echo(explain_label(label, short))


def _print_rows(
    found: Sequence[Mapping[str, Any]],
    by: str | None,
    short: str,
    *,
    all_trials: bool,
    rerun: bool,
) -> None:
    beside = _BESIDE.get(by or "")
    heads = [
        "trial" if all_trials else "rank",
        f"{short} acc",
        "epoch",
        "last",
        *(["test last"] if short == "val" else []),
        "first hit",
        *(["confirmed", "n", "mean", "bound"] if rerun else []),
        "params",
        "MACs",
        "act bytes",
        "in int8",
        "field",
        *([beside[0]] if beside else []),
        *(["outcome"] if all_trials else ["trial"]),
        "design",
    ]
    rows = (
        [
            row["trial"] if all_trials else rank,
            *_accuracies(row, short == "val"),
            *(_confirmation(row) if rerun else []),
            f"{row['params']:,}",
            f"{row['macs']:,}",
            *(f"{row[name]:,}" for name in ("activation_bytes", "activation_bytes_int8")),
            str(row["receptive_field"]),
            *([_cell(row, ORDERS[str(by)].column, beside[1])] if beside else []),
            row["outcome"] if all_trials else row["trial"],
            row["design"],
        ]
        for rank, row in enumerate(found, 1)
    )
    print_table(heads, rows, left=("design", "outcome", "confirmed"))


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


def _accuracies(row: Mapping[str, Any], val: bool) -> list[str]:
    """Return best accuracy and its epoch, last accuracy, test accuracy if `val`, first hit."""
    tested = [_cell(row, "test_accuracy", percent)] if val else []
    return [
        _cell(row, "best_accuracy", percent),
        _count(row["best_epoch"]),
        _cell(row, "last_accuracy", percent),
        *tested,
        _count(row["first_hit_epoch"]),
    ]


def _confirmation(row: Mapping[str, Any]) -> list[str]:
    """Return the confirmation's outcome, its number of seeds, their mean and its lower bound."""
    return [
        _cell(row, "confirmation", str),
        _count(row["confirmed_n"]),
        *(
            _cell(row, f"confirmed_{name}", lambda share: percent(share, 3))
            for name in ("mean", "bound")
        ),
    ]


def _cell(row: Mapping[str, Any], name: str, form: Any) -> str:
    return "-" if _is_missing(row[name]) else str(form(row[name]))


def _count(value: Any) -> str:
    return "-" if _is_missing(value) else str(int(value))


def _is_missing(value: Any) -> bool:
    return value is None or value != value

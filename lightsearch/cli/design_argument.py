"""The design argument of a command: notation, a name of the zoo, or a leaderboard's row."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lightsearch.cli.completion import complete_names
from lightsearch.cli.options import notation
from lightsearch.design.parts import Design
from lightsearch.errors import ArgumentError
from lightsearch.notation.parser import parse
from lightsearch.notation.reading import ZOO_LIKE
from lightsearch.zoo.entries import ZooName
from lightsearch.zoo.networks import Entry, zoo

if TYPE_CHECKING:
    import pandas as pd

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_TABLE = "that of the latest study here, else leaderboard.csv here"


@dataclass(frozen=True, slots=True)
class Picked:
    """A design, and where it comes from."""

    design: Design
    entry: Entry | None = None
    row: pd.Series[Any] | None = None
    path: Path | None = None  # of the row's file


def design_options(function: F) -> F:
    """Add `DESIGN`, `--row` and `--leaderboard`."""
    function = click.option(
        "--leaderboard",
        metavar="CSV",
        type=click.Path(),
        help=f"The file of --row, or the folder of its study.  [default: {DEFAULT_TABLE}]",
    )(function)
    function = click.option(
        "--row",
        type=int,
        metavar="RANK",
        help=("Instead of DESIGN: the rank of a row of --leaderboard."),
    )(function)
    return click.argument(
        "design", required=False, callback=notation, shell_complete=complete_names(zoo)
    )(function)


def pick(design: str | None, row: int | None, leaderboard: str | None) -> Picked:
    """Return the design that these arguments name.

    Raises `ArgumentError` or `NotationError` if they name none.
    """
    if (design is None) == (row is None):
        raise click.UsageError(
            "a design must be given, or --row RANK of a --leaderboard, and not both"
        )
    if row is not None:
        found, path = pick_row(row, leaderboard)
        return Picked(parse(str(found["design"])), row=found, path=path)
    if leaderboard is not None:
        raise click.UsageError("--leaderboard must be given with --row")
    assert design is not None
    if design in zoo or ZOO_LIKE.fullmatch(design):
        entry = zoo[cast("ZooName", design)]  # which refuses others, and says what it has
        return Picked(entry.design, entry=entry)
    return Picked(parse(design))


def choose_study() -> Path:
    """Return the folder of the latest study here, and say which it is.

    Raises `ArgumentError` if there is none.
    """
    from lightsearch.study.listing import find_latest

    folder = find_latest(Path())
    name = folder if folder.name else folder.absolute()  # "." says nothing
    click.echo(f"the latest study here: {name}", err=True)
    return folder


def _find_table() -> Path:
    """Return the leaderboard that is meant if none is given, and say which it is."""
    table = Path("leaderboard.csv")
    try:
        return choose_study()
    except ArgumentError:  # there is none
        if not table.is_file():
            raise
    click.echo(f"the leaderboard here: {table}", err=True)
    return table


def pick_row(rank: int, leaderboard: str | None) -> tuple[pd.Series[Any], Path]:
    """Return the row of a leaderboard, and the file. Raises `ArgumentError` if there is none."""
    from lightsearch.study.leaderboard import read

    path = _find_table() if leaderboard is None else Path(leaderboard)
    path = path / "leaderboard.csv" if path.is_dir() else path
    return find_row(read(path), rank, path), path


def find_row(frame: pd.DataFrame, rank: int, place: Path) -> pd.Series[Any]:
    """Return the row of a rank. Raises `ArgumentError`, with the table's place, if none has it."""
    if not len(frame):
        study = place if place.is_dir() else place.parent
        line = f"lightsearch leaderboard {shlex.quote(str(study))} --all"
        shows = f": `{line}` shows all trials" if (study / "study.json").is_file() else ""
        raise ArgumentError(
            f"`row` must be a rank in {place}, but no design has reached the target yet{shows}"
        )
    if rank not in frame.index:
        raise ArgumentError(
            f"`row` must be a rank in {place}, from 1 to {len(frame)}, but got row={rank}"
        )
    row: pd.Series[Any] = frame.iloc[list(frame.index).index(rank)]
    return row

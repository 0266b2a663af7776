"""The design argument of a command: notation, a name of the zoo, or a leaderboard's row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lightsearch.cli.completion import complete_names
from lightsearch.cli.options import notation
from lightsearch.design.parts import Design
from lightsearch.errors import ArgumentError
from lightsearch.notation.parser import parse
from lightsearch.zoo.networks import Entry, zoo

if TYPE_CHECKING:
    import pandas as pd

F = TypeVar("F", bound=Callable[..., Any])

_ZOO_LIKE = re.compile(r"s\d+-[\w-]*")  # no notation looks like this


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
        help=("The file of --row, or the folder of its study.  [default: leaderboard.csv]"),
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
        return _from_row(row, Path(leaderboard or "leaderboard.csv"))
    if leaderboard is not None:
        raise click.UsageError("--leaderboard must be given with --row")
    assert design is not None
    if design in zoo or _ZOO_LIKE.fullmatch(design):
        return Picked(zoo[design].design, entry=zoo[design])
    return Picked(parse(design))


def _from_row(rank: int, path: Path) -> Picked:
    from lightsearch.study.leaderboard import read

    path = path / "leaderboard.csv" if path.is_dir() else path
    frame = read(path)
    if rank not in frame.index:
        rows = f"from 1 to {len(frame)}" if len(frame) else "of a row, and it has none"
        raise ArgumentError(f"`row` must be a rank in {path}, {rows}, but got row={rank}")
    row: pd.Series[Any] = frame.iloc[list(frame.index).index(rank)]
    return Picked(parse(str(row["design"])), row=row, path=path)

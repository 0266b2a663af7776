"""Print tables and JSON."""

from __future__ import annotations

import atexit
import contextlib
import csv
import gc
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from lightsearch.checks import escape_controls
from lightsearch.data.catalogue import FORMULAS

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Pause the garbage collector in a command that only reads and prints.

    What it has read stays in use, so looking for garbage is in vain (docs/benchmarks/speed.md).
    When Python ends it would look once more: all objects are frozen before, and left out.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def print_table(table: Table) -> None:
    """Print a table: fitted to a terminal, at its full width elsewhere."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 10_000)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def table_of(
    heads: Iterable[str],
    rows: Iterable[Iterable[object]],
    left: Iterable[str] = (),
    title: str | None = None,
) -> Table:
    """Make a table of text without lines. The columns `left` are left-aligned and may wrap."""
    from rich.table import Table
    from rich.text import Text

    names = list(heads)
    table = Table(
        box=None, padding=(0, 2, 0, 0), title=title, title_justify="left", header_style="bold"
    )
    for name in names:
        table.add_column(
            Text(name),
            justify="left" if name in left else "right",
            no_wrap=name not in left,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(escape_controls(str(cell))) for cell in row))
    return table


def print_json(value: Any) -> None:
    """Print indented JSON. Raises `ValueError` for NaN, which JSON does not have."""
    click.echo(json.dumps(value, indent=1, default=_plain, allow_nan=False))


def print_csv(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table as CSV. Text is escaped, so that a row is a line and no cell a formula."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(heads)
    for row in rows:
        writer.writerow([cell if isinstance(cell, int | float) else _cell(cell) for cell in row])


def _cell(value: object) -> str:
    r"""Return a text as a cell: `'=1` for `=1`, which a spreadsheet would compute.

    >>> print(_cell("=1"), _cell("a\nb"))
    '=1 a\nb
    """
    text = escape_controls(str(value)).replace("\n", "\\n").replace("\t", "\\t")
    return f"'{text}" if text[:1] in FORMULAS and text else text


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table with their index, for JSON. Missing values are None."""
    whole = frame.reset_index().astype(object)
    return [
        {str(name): value for name, value in row.items()}
        for row in whole.where(whole.notna(), None).to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)

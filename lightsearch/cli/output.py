"""Print tables and JSON."""

from __future__ import annotations

import atexit
import contextlib
import csv
import gc
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from lightsearch.data.catalogue import FORMULAS
from lightsearch.errors import escape_controls

if TYPE_CHECKING:
    import pandas as pd

ROOM = 28  # columns of a terminal that a wrapped text should have
LEAST_ROOM = 12  # that it has at least


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


def print_table(
    heads: Iterable[str],
    rows: Iterable[Iterable[object]],
    left: Iterable[str] = (),
    minor: Sequence[str] = (),
) -> None:
    """Print a table without lines: fitted to a terminal that has room, else at its full width.

    The columns `left` are left-aligned, and wrap in a terminal. One that has no room for all
    columns has those of `minor` left out that must be, from the last on, and a line that says so.
    """
    names = list(heads)
    cells = [[escape_controls(str(cell)) for cell in row] for row in rows]
    hidden: list[str] = []
    if sys.stdout.isatty():
        hidden = _choose_hidden(names, cells, left, minor)
        shown = [index for index, name in enumerate(names) if name not in hidden]
        names = [names[index] for index in shown]
        cells = [[row[index] for index in shown] for row in cells]
        lines = _fit(names, cells, [name in left for name in names])
    else:
        lines = _align(names, cells, [name in left for name in names])
    for line in lines:
        click.echo(line.rstrip())
    if hidden:
        click.echo(f"(no room here for {', '.join(hidden)}: a wider terminal or --csv)")


def _choose_hidden(
    heads: list[str], rows: list[list[str]], left: Iterable[str], minor: Sequence[str]
) -> list[str]:
    """Return the columns to leave out so that the others have room in the terminal."""
    from rich.console import Console

    width = Console().width
    needed = dict(zip(heads, _measure(heads, rows, [name in left for name in heads]), strict=True))
    hidden: list[str] = []
    while len(hidden) < len(minor) and sum(needed.values()) + 2 * len(needed) > width:
        hidden.insert(0, minor[-1 - len(hidden)])
        del needed[hidden[0]]
    return hidden


def _measure(
    heads: list[str], rows: list[list[str]], left: list[bool], room: int = ROOM
) -> Iterator[int]:
    """Yield the columns of a terminal that each column needs, with its head on several lines."""
    from rich.cells import cell_len

    widths = _measure_cells(heads, rows)
    for head, width, at_left in zip(_stack(heads, widths), widths, left, strict=True):
        whole = max(width, *map(cell_len, head.split("\n")))
        yield min(whole, room) if at_left else whole


def _measure_cells(heads: list[str], rows: list[list[str]]) -> list[int]:
    """Return the width of each column's widest cell, without its head."""
    from rich.cells import cell_len

    if not rows:
        return [0] * len(heads)
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def _fit(heads: list[str], rows: list[list[str]], left: list[bool]) -> Iterable[str]:
    """Return the lines of a table that is as wide as the terminal, or wider if it must be."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    needed = sum(_measure(heads, rows, left, LEAST_ROOM)) + 2 * len(heads)
    if needed > console.width:  # rich would cut off figures
        return _align(heads, rows, left)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, is_left in zip(_stack(heads, _measure_cells(heads, rows)), left, strict=True):
        justify: Literal["left", "right"] = "left" if is_left else "right"
        table.add_column(Text(name), justify=justify, no_wrap=not is_left, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def _stack(heads: Iterable[str], widths: Iterable[int]) -> list[str]:
    """Return heads on several lines where that makes them as narrow as their columns.

    >>> _stack(["rank", "best accuracy"], [1, 6])
    ['\\nrank', 'best\\naccuracy']
    """
    lines = [
        textwrap.wrap(head, max(1, width, *map(len, head.split(" "))))
        for head, width in zip(heads, widths, strict=True)
    ]
    tall = max(map(len, lines))
    return ["\n".join([""] * (tall - len(one)) + one) for one in lines]


def _align(heads: list[str], rows: list[list[str]], left: list[bool]) -> Iterator[str]:
    """Yield the lines of a table as wide as it is. Rich takes ten times as long for it."""
    from rich.cells import cell_len

    whole = [heads, *([cell.replace("\n", "\\n") for cell in row] for row in rows)]
    sizes = [[cell_len(cell) for cell in row] for row in whole]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    for row, lengths in zip(whole, sizes, strict=True):
        gaps = [" " * (width - size) for width, size in zip(widths, lengths, strict=True)]
        cells = zip(row, gaps, left, strict=True)
        yield "  ".join(cell + gap if is_left else gap + cell for cell, gap, is_left in cells)


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

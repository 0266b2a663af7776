"""A row of a table in the one form that its readers take, and the study that it knows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from lightsearch.errors import ArgumentError, quote
from lightsearch.study.csv_file import quote_cells

Row: TypeAlias = "Mapping[str, Any] | pd.Series[Any]"


class Table(pd.DataFrame):
    """A table whose rows know the study that they come from, as `attrs["study"]`.

    Pandas hands `attrs` on to the rows of `loc`, `iloc` and `iterrows`, and not to the tuples of
    `itertuples`. Its CSV is `quote_cells`'s.
    """

    @property
    def _constructor(self) -> type[Table]:
        return Table

    def to_csv(self, *arguments: Any, **named: Any) -> Any:
        """Write CSV as pandas does, with a quote before texts that a spreadsheet would run."""
        return quote_cells(self).to_csv(*arguments, **named)

    def itertuples(self, index: bool = True, name: str | None = "Pandas") -> Iterator[Any]:
        """Yield the rows as named tuples, each with the table's `attrs`."""
        rows = iter(super().itertuples(index, name))
        for first in rows:
            if not hasattr(first, "_fields"):
                yield first
                yield from rows
                return
            known = type(type(first).__name__, (type(first),), {"attrs": dict(self.attrs)})
            yield from (known(*row) for row in itertools.chain([first], rows))


def with_study(frame: pd.DataFrame, folder: Path) -> Table:
    """Return a table that knows the folder of its study."""
    table = Table(frame)
    table.attrs = {**frame.attrs, "study": str(folder)}
    return table


def row_of(given: Any) -> Row:
    """Return a row of a leaderboard or of all trials, given as a row, a mapping, a table of one
    row or one of pandas' `itertuples`.

    Raises `ArgumentError` for anything else.
    """
    if isinstance(given, pd.DataFrame):
        if len(given) != 1:
            raise ArgumentError(
                f"a row must be one row, but got a table of {len(given)}: take one by "
                "table.loc[RANK]"
            )
        given = given.iloc[0]
    if isinstance(given, pd.Series):
        if "trial" not in given and "outcome" in given:  # of all trials, whose index is the trial
            named = pd.concat([given, pd.Series({"trial": given.name}, dtype=object)])
            named.attrs = dict(given.attrs)
            return named
        return given
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        fields: dict[str, Any] = given._asdict()
        row = pd.Series({"trial": fields.get("Index"), **fields}, dtype=object)
        row.attrs = dict(getattr(given, "attrs", {}))
        return row
    if isinstance(given, Mapping):
        return given
    if isinstance(given, str | os.PathLike):
        raise ArgumentError(
            "a row must be one of a table, such as read(PATH).loc[1], the first of a leaderboard, "
            f"but got {quote(given)}"
        )
    raise ArgumentError(
        "a row must have a whole design, recipe, epochs, seed and data set, but got "
        f"{type(given).__name__}"
    )


def study_of_row(row: Row) -> Path | None:
    """Return the folder of the study that a row comes from, if the row knows it."""
    study = row.attrs.get("study") if isinstance(row, pd.Series) else None
    folder = Path(str(study)) if study else None
    return folder if folder is not None and (folder / "study.json").exists() else None

"""A row of a table in the one form that its readers take, and the study that it knows."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import pandas as pd

from lightsearch.errors import ArgumentError, quote
from lightsearch.study.csv_file import quote_cells

Row: TypeAlias = "Mapping[str, Any] | pd.Series[Any]"


class RowDict(dict[Any, Any]):
    """A row as a dictionary that knows its study: `attrs`, and `name`, its index, as a row has."""

    attrs: Mapping[Any, Any] = MappingProxyType({})
    name: Any = None

    def copy(self) -> RowDict:
        return copy.copy(self)


class TableRow(pd.Series):
    """A row of a `Table`, whose dictionary knows the study too."""

    @property
    def _constructor(self) -> type[TableRow]:
        return TableRow

    def to_dict(self, *arguments: Any, **named: Any) -> Any:
        """Return what pandas does, as a `RowDict` unless `into` says another type."""
        return _told(super().to_dict(*arguments, **named), self.attrs, self.name)


def _told(row: Any, attrs: Mapping[Any, Any], name: Any) -> Any:
    if type(row) is not dict:
        return row
    known = RowDict(row)
    known.attrs, known.name = dict(attrs), name
    return known


class Table(pd.DataFrame):
    """A table whose rows know the study that they come from, as `attrs["study"]`.

    Pandas hands `attrs` on to the rows of `loc`, `iloc` and `iterrows`, and not to the tuples of
    `itertuples`, nor to dictionaries. Its CSV is `quote_cells`'s.
    """

    @property
    def _constructor(self) -> type[Table]:
        return Table

    @property
    def _constructor_sliced(self) -> Callable[..., pd.Series[Any]]:
        return self._make_row

    def _make_row(self, *arguments: Any, **named: Any) -> pd.Series[Any]:
        """Return a row or a column. A column stays pandas' own: it is no row, and is compared."""
        found: pd.Series[Any] = pd.Series(*arguments, **named)
        return TableRow(found) if found.index.is_(self.columns) else found

    def to_dict(self, orient: Any = "dict", *arguments: Any, **named: Any) -> Any:
        """Return what pandas does; rows of `"records"` and `"index"` know their study."""
        found = super().to_dict(orient, *arguments, **named)
        if orient == "records":
            pairs = zip(self.index, found, strict=True)
            return [_told(row, self.attrs, name) for name, row in pairs]
        if orient == "index":
            for name, row in found.items():
                found[name] = _told(row, self.attrs, name)
        return found

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
    """Return a row of a leaderboard or of all trials, given as a row, a mapping, a table or list
    of one row, or one of pandas' `itertuples`.

    Raises `ArgumentError` for anything else.
    """
    if isinstance(given, pd.DataFrame | list):
        if len(given) != 1:
            noun = "list" if isinstance(given, list) else "table"
            raise ArgumentError(
                f"a row must be one row, but got a {noun} of {len(given)}: take one by "
                "table.loc[RANK]"
            )
        given = given.iloc[0] if isinstance(given, pd.DataFrame) else given[0]
    if isinstance(given, RowDict):
        given = _series(given, given.attrs, given.name)
    if isinstance(given, pd.Series):
        if "trial" not in given and "outcome" in given:  # of all trials, whose index is the trial
            return _series({**given, "trial": given.name}, given.attrs, given.name)
        return given
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        fields: dict[str, Any] = given._asdict()
        index = fields.get("Index")
        return _series({"trial": index, **fields}, getattr(given, "attrs", {}), index)
    if isinstance(given, Mapping) and not isinstance(
        given.get("design"), Mapping | list | pd.Series
    ):
        return given
    raise ArgumentError(_refuse(given))


def _series(cells: Mapping[Any, Any], attrs: Mapping[Any, Any], name: Any) -> pd.Series[Any]:
    """Return cells as a row that knows what `attrs` say."""
    row = TableRow(cells, dtype=object, name=name)
    row.attrs = dict(attrs)
    return row


def _refuse(given: Any) -> str:
    """The message about what is no row."""
    if isinstance(given, str | os.PathLike):
        return (
            "a row must be one of a table, such as read(PATH).loc[1], the first of a leaderboard, "
            f"but got {quote(given)}"
        )
    if isinstance(given, Mapping):
        return (
            "a row must be one row, but got the columns of a table: take one by table.loc[RANK], "
            "or by table.to_dict('index')[RANK]"
        )
    if isinstance(given, tuple):
        return (
            f"a row must have the names of its columns, but got a tuple of {len(given)} without: "
            "itertuples() gives them, unless name=None"
        )
    return (
        "a row must have a whole design, recipe, epochs, seed and data set, but got "
        f"{type(given).__name__}"
    )


def study_of_row(row: Row) -> Path | None:
    """Return the folder of the study that a row comes from, if the row knows it."""
    study = row.attrs.get("study") if isinstance(row, pd.Series) else None
    folder = Path(str(study)) if study else None
    return folder if folder is not None and (folder / "study.json").exists() else None

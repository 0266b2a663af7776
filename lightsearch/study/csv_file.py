"""CSV files as this library writes them, and as spreadsheets save them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from lightsearch.checks import has_controls, read_text_file
from lightsearch.errors import quote

SEPARATORS = ",;\t"
_RULE = "commas, semicolons or tabs must be between its cells"
_GAPS = ("", "nan", "NaN", "NA", "N/A", "#N/A", "<NA>", "null")  # in columns of numbers


# A spreadsheet takes such a cell for a formula, and runs it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_TRUTH = re.compile(r"true|false|[01](\.0*)?", re.IGNORECASE)
_TOLD = re.compile(r'"?sep=(.)"?(\r\n|\r|\n)', re.IGNORECASE)  # Excel's own first line


class CellError(ValueError):
    """A cell of a column of numbers that is no number."""


def quote_cell(cell: Any) -> Any:
    """Return text that a spreadsheet would run with a quote before it, any other cell as it is.

    >>> [quote_cell(cell) for cell in ("=1+1", "-x", "-1.5", -1.5, "conv(8)", "'=1")]
    ["'=1+1", "'-x", '-1.5', -1.5, 'conv(8)', "''=1"]
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def unquote_cell(cell: Any) -> Any:
    """Return a cell as it was before `quote_cell`.

    >>> [unquote_cell(cell) for cell in ("'=1+1", "'-x", "-1.5", "''=1", "'quoted'")]
    ['=1+1', '-x', '-1.5', "'=1", "'quoted'"]
    """
    return cell[1:] if isinstance(cell, str) and _QUOTED.match(cell) else cell


def quote_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet runs, those of its index too. Numbers stay."""
    texts = [name for name in frame.columns if not is_numeric_dtype(frame[name])]
    quoted = pd.DataFrame(frame).assign(**{name: frame[name].map(quote_cell) for name in texts})
    if not is_numeric_dtype(quoted.index):
        quoted.index = quoted.index.map(quote_cell)
    return quoted


def find_table(path: Path) -> Path:
    """Return the leaderboard's file of a study's folder; another path as it is."""
    return path / "leaderboard.csv" if path.is_dir() else path


def read_table(path: Path) -> tuple[str, str]:
    """Return the text of a CSV file, in UTF-8 or UTF-16, and the separator of its cells.

    Excel's first line `sep=;` says the separator, and is left out. Raises `OSError` if the file
    cannot be read, and `ValueError` for another encoding or separator.
    """
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise ValueError("it is a workbook: save its sheet as CSV")
    text = read_text_file(path)
    if has_controls(text.replace("\r", "")):
        raise ValueError("it has control characters")
    told = _TOLD.match(text)
    if told is not None:
        if told[1] not in SEPARATORS:
            raise ValueError(f"{_RULE}, but its first line says {told[1]!r}")
        return text[told.end() :], told[1]
    head = _head(text)
    return text, max(SEPARATORS, key=lambda one: len(_cells(head, one)))


def _head(text: str) -> str:
    """The first line. Before 2001, lines on a Mac ended in a carriage return alone."""
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def parse_table(
    text: str, separator: str, texts: Collection[str], numbers: Collection[str]
) -> pd.DataFrame:
    """Return a table by its column `rank`. The columns `texts` are text, whatever they look like.

    `numbers` are numbers, or `confirmed`, which is True or False. Unknown columns are numbers if
    all their cells are, unless a cell is like 007 or 12e4. Blank rows are passed over.

    Raises `CellError` for a cell of `numbers` that is none, and what pandas raises on no table.
    """
    raw = _read_cells(text, separator)
    texts = {
        name
        for name in raw.columns
        if name in texts or (name not in numbers and raw[name].map(_is_name).any())
    }
    fractions = [
        name
        for name in raw.columns
        if name in numbers and (name.endswith("accuracy") or name == "target")
    ]
    has_commas = any(raw[name].str.contains(",", regex=False).any() for name in fractions)
    decimal = "," if has_commas else "."
    for name in raw.columns:
        if name in numbers:
            _check_numbers(raw, name, decimal)
            raw[name] = raw[name].str.strip()
    frame = pd.read_csv(
        io.StringIO(raw.to_csv(index=False, sep=separator)),
        sep=separator,
        decimal=decimal,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values={name: [""] if name in texts else list(_GAPS) for name in raw.columns},
    )
    if "seed" in frame and frame["seed"].dtype != "int64":  # a gap would round the others
        frame["seed"] = raw["seed"].str.replace(r"[.,]0*$", "", regex=True)
    if "confirmed" in frame:
        frame["confirmed"] = raw["confirmed"].map(_is_true)
    frame["rank"] = frame["rank"].astype(int)
    for name in texts & set(frame.columns):
        frame[name] = frame[name].map(unquote_cell)
    frame = frame.set_index("rank")
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        raise ValueError(f"the rank {twice[0]} is there twice")
    return frame


def _read_cells(text: str, separator: str) -> pd.DataFrame:
    """Return the cells of a table as text, without blank rows."""
    lines = csv.reader(io.StringIO(text, newline=None), delimiter=separator)
    head = next(lines, [])
    if "rank" not in head:
        first = quote(_head(text)[:80])
        raise ValueError(
            f"its first line names no column rank: {first}"
            if len(head) > 1
            else f"{_RULE}, but its first line is {first}"
        )
    head = [name or f"Unnamed: {index}" for index, name in enumerate(head)]  # as pandas does
    twice = [name for index, name in enumerate(head) if name in head[:index]]
    if twice:
        raise ValueError(f"its first line names {quote(twice[0])} twice")
    rows = []
    for cells in lines:
        if any(map(str.strip, cells[len(head) :])):
            raise ValueError(f"line {lines.line_num} has more cells than the first line")
        if any(map(str.strip, cells)):
            rows.append([*cells[: len(head)], *[""] * (len(head) - len(cells))])
    return pd.DataFrame(rows, columns=head, dtype=str)


def _is_true(cell: str) -> bool:
    return re.fullmatch(r"true|1(\.0*)?", cell, re.IGNORECASE) is not None


def _check_numbers(raw: pd.DataFrame, name: str, decimal: str) -> None:
    """Raise `CellError` for the first cell of a column that is not of the column's kind."""
    pattern, noun = _NUMBER, "a number"
    if name in ("rank", "seed"):
        pattern, noun = _WHOLE, "a whole number"
    elif name == "confirmed":
        pattern, noun = _TRUTH, "True or False"
    gaps = () if name == "rank" else _GAPS
    for index, whole in enumerate(raw[name]):
        cell = whole.strip()
        if cell in gaps or pattern.fullmatch(cell if decimal == "." else _to_point(cell)):
            continue
        place = f"row {index + 1}" if name == "rank" else f"the row of rank {raw['rank'][index]}"
        raise CellError(f"{place} has {name}={quote(whole)}, which is {_explain(cell, noun)}")


def _to_point(cell: str) -> str:
    """A cell with a decimal comma as one with a point; one with a point as no number."""
    return cell.translate(str.maketrans(",.", ".,"))


def _explain(cell: str, noun: str) -> str:
    """The end of a message about a cell: what a spreadsheet did to it."""
    if cell.endswith("%"):
        return (
            "shown in per cent: give the column a number format with all decimals, and save the "
            "sheet again"
        )
    if "e" in cell.lower() and _NUMBER.fullmatch(cell.replace(",", ".")):
        return (
            f"not {noun}: the spreadsheet has rounded it. Open the first file again, and give the "
            "column a number format without decimals"
        )
    return f"not {noun}"


def _is_name(cell: str) -> bool:
    """Whether a cell of digits would not be the same as a number."""
    return re.match(r"[+-]?(0\d|\d+[eE]\d)", cell) is not None

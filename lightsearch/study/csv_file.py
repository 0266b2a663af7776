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

SEPARATORS = ",;\t"
_GAPS = ("", "nan", "NaN", "NA", "N/A", "#N/A", "<NA>", "null")  # in columns of numbers


# A spreadsheet takes such a cell for a formula, and runs it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


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

    Raises `OSError` if it cannot be read, and `ValueError` for another encoding.
    """
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise ValueError("it is a workbook: save its sheet as CSV")
    text = read_text_file(path)
    if has_controls(text.replace("\r", "")):
        raise ValueError("it has control characters")
    head = text.partition("\n")[0]
    return text, max(SEPARATORS, key=lambda one: len(_cells(head, one)))


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def parse_table(
    text: str, separator: str, texts: Collection[str], numbers: Collection[str]
) -> pd.DataFrame:
    """Return a table by its column `rank`. The columns `texts` are text, whatever they look like.

    `numbers` are numbers if all their cells are. So are unknown columns, unless a cell is like 007
    or 12e4. Raises what pandas raises on what is no table.
    """
    raw = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    texts = {
        name
        for name in raw.columns
        if name in texts or (name not in numbers and raw[name].map(_is_name).any())
    }
    fractions = [name for name in raw.columns if name.endswith("accuracy") or name == "target"]
    has_commas = any(raw[name].str.contains(",", regex=False).any() for name in fractions)
    frame = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        decimal="," if has_commas else ".",
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values={name: [""] if name in texts else list(_GAPS) for name in raw.columns},
    )
    if "seed" in frame and frame["seed"].dtype != "int64":  # a gap would round the others
        frame["seed"] = raw["seed"]
    for name in texts & set(frame.columns):
        frame[name] = frame[name].map(unquote_cell)
    frame = frame.set_index("rank")
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        raise ValueError(f"the rank {twice[0]} is there twice")
    return frame


def _is_name(cell: str) -> bool:
    """Whether a cell of digits would not be the same as a number."""
    return re.match(r"[+-]?(0\d|\d+[eE]\d)", cell) is not None

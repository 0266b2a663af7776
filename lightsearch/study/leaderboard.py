"""Tables: the designs that reached the target, and all trials, as pandas data frames.

Every row carries what is needed to train it again: notation, recipe, seed, data set, epochs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightsearch.checks import check_path
from lightsearch.errors import ArgumentError
from lightsearch.study.board import COLUMNS, CONFIRMED, MAY_LACK, OF_TRIALS, list_trials, rank_hits
from lightsearch.study.confirmations import Confirmation, Key
from lightsearch.study.csv_file import (
    CellError,
    find_table,
    parse_table,
    quote_cells,
    read_table,
)
from lightsearch.study.disk import write_text
from lightsearch.study.identity import Identity, read_identity
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_confirmations
from lightsearch.study.rows import with_study
from lightsearch.study.trial import Trial

# of later versions than the first: an older leaderboard has them empty
_LATER = {
    "activation_bytes",
    "activation_bytes_int8",
    "test_accuracy",
    *CONFIRMED,
    "target",
    "consistent",
    "device_kind",
    "threads",
    "warm_start",
    "teacher",
}
TEXT = {
    "design",
    "recipe",
    "dataset",
    "checksum",
    "selected_on",
    "engine",
    "device",
    "device_kind",
    "warm_start",
    "teacher",
    "versions",
    "confirmation",
    "confirmed_on",
}  # the columns of text; all others have numbers, or True and False
_NEEDED = tuple(column for column in COLUMNS if column not in _LATER)


def leaderboard(
    trials: Iterable[Trial],
    identity: Identity,
    *,
    by: str = "accuracy",
    target: float | None = None,
    confirmed: Mapping[Key, Confirmation] | None = None,
) -> pd.DataFrame:
    """The trials that are hits, best first; the index is their rank.

    Those that are `confirmed` come before all others. `by` is one of `ORDERS`. Ties go on in the
    order accuracy, parameters, epoch of the hit, and at last by the trial's number.
    """
    return frame_hits(rank_hits(trials, identity, by=by, target=target, confirmed=confirmed))


def order_by(
    function: Callable[[Trial], float], frame: pd.DataFrame, trials: Sequence[Trial]
) -> pd.DataFrame:
    """Return a leaderboard in another order, the largest value of a function of a trial first.

    The values are the column `objective`.
    """
    values = [float(function(trials[trial])) for trial in frame["trial"]]
    ordered = frame.assign(objective=values).sort_values(
        "objective", ascending=False, kind="stable"
    )
    ordered.index = frame.index
    return ordered


def trials_table(
    trials: Iterable[Trial],
    identity: Identity,
    confirmed: Mapping[Key, Confirmation] | None = None,
) -> pd.DataFrame:
    """Every trial in the order of its number, with its outcome and reason."""
    return frame_trials(list_trials(trials, identity, confirmed))


def frame_hits(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of rows of hits, in their order; the index is their rank."""
    frame = _frame(rows, COLUMNS)
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    return frame


def frame_trials(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of rows of trials, in their order; the index is their number."""
    return _frame(rows, OF_TRIALS).set_index("trial")


def _frame(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return a table of rows. Whole numbers stay so where others are missing."""
    whole = [row | {name: pd.NA for name in MAY_LACK if row[name] is None} for row in rows]
    return pd.DataFrame(whole, columns=list(columns))


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, at once: a reader never sees a part of it."""
    text = io.StringIO()
    quote_cells(frame).to_csv(text)
    write_text(path, text.getvalue())


def read(path: str | Path) -> pd.DataFrame:
    """A leaderboard from its CSV, or from its study's folder, indexed by rank. Columns that an
    older version did not write are empty. What a spreadsheet saved is read too: semicolons or tabs
    between cells, decimal commas, UTF-16, blank rows, a first line `sep=;`.

    Raises `ArgumentError` for a file that is missing or is not a leaderboard, and for a number
    that a spreadsheet has made text of, or rounded.
    """
    path = find_table(check_path("path", path))
    try:
        frame = parse_table(*read_table(path), TEXT, {"rank", *COLUMNS} - TEXT)
    except CellError as error:
        raise ArgumentError(
            f"a leaderboard's numbers must be as they were written, but in {path} {error}"
        ) from None
    except Exception as error:  # pandas raises many kinds on what is no table
        raise ArgumentError(
            f"a leaderboard must be a CSV file with a column rank, but {path} is not: {error}"
        ) from None
    missing = [c for c in _NEEDED if c not in frame.columns]
    if missing:
        raise ArgumentError(
            f"a leaderboard must have the columns {', '.join(_NEEDED)}, but "
            f"{path} lacks {', '.join(missing)}"
        )
    older = {c: c != "confirmed" and math.nan for c in COLUMNS if c not in frame.columns}
    frame = pd.concat([frame, pd.DataFrame(older, index=frame.index)], axis=1)
    for column in ("warm_start", "teacher"):
        frame[column] = frame[column].astype(object).fillna("")  # as it was written
    known = path.with_name("study.json").exists()
    return with_study(frame, path.parent) if known else frame


def refresh(folder: Path) -> None:
    """Write the leaderboard of a study's folder anew; nothing where there is no study."""
    identity = read_identity(folder)
    if identity is not None:
        frame = leaderboard(read_trials(folder), identity, confirmed=read_confirmations(folder))
        write(frame, folder / "leaderboard.csv")

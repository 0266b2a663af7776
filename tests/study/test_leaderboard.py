"""The leaderboard's order, its file, and rebuilding from a row."""

from __future__ import annotations

import dataclasses
import os
import pickle
import random
import re
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from test_study import _candidate, _epoch, _identity

from lightsearch import parse, parse_recipe
from lightsearch.checks import read_text_file
from lightsearch.errors import ArgumentError, NotationError
from lightsearch.statistics import Sample
from lightsearch.study.board import COLUMNS, CONFIRMED
from lightsearch.study.confirmations import Confirmation
from lightsearch.study.leaderboard import (
    _NEEDED,
    leaderboard,
    read,
    trials_table,
    write,
)
from lightsearch.study.orders import ORDERS
from lightsearch.study.rebuild import rebuild
from lightsearch.study.rows import row_of, study_of_row, with_study
from lightsearch.study.trial import Trial


def _trial(number: int, params: int, *correct: int, outcome: str = "complete") -> Trial:
    epochs = tuple(_epoch(i, c) for i, c in enumerate(correct, 1))
    costs = {"params": params, "macs": 7 * params % 11, "activation_bytes": 5 * params % 23}
    return Trial(_candidate(number, **costs), epochs, outcome)  # type: ignore[arg-type]


TRIALS = [
    _trial(0, 500, 880, 910, 905),
    _trial(1, 300, 850, 860, 900),
    _trial(2, 400, 850, 890, 899),  # no hit
    _trial(3, 200, 901, 890, 910),
    _trial(4, 200, 700, outcome="pruned"),
]


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("accuracy", [3, 0, 1]),  # 910, 910 with more parameters, 900
        ("params", [3, 1, 0]),
        ("epochs", [3, 0, 1]),  # first hits at epochs 1, 2, 3
        ("last", [3, 0, 1]),  # 910, 905, 900
        ("last3", [3, 0, 1]),  # 900.3, 898.3, 870
        ("macs", [0, 3, 1]),  # 2, 3, 10
        ("activation_bytes", [1, 3, 0]),  # 5, 11, 16
        ("mean", [3, 0, 1]),  # none has fresh seeds: as by accuracy
    ],
)
def test_orders_and_ties(by: str, order: list[int]) -> None:
    assert list(leaderboard(TRIALS, _identity(), by=by)["trial"]) == order


def test_each_order_is_of_its_column_and_confirmed_designs_come_first() -> None:
    generator = random.Random(0)
    trials = [
        _trial(
            number, generator.randrange(90, 110), *(generator.randrange(880, 920) for _ in "abc")
        )
        for number in range(40)
    ]
    trials = [
        dataclasses.replace(t, candidate=dataclasses.replace(t.candidate, design=f"d{t.number}"))
        for t in trials
    ]
    known = {
        (f"d{n}", "recipe()"): Confirmation(
            f"d{n}", "recipe()", (1, 2), Sample((890 + n, 895 + n), 1000), Fraction(9, 10), "on",
            "confirmed" if n % 4 == 0 else "not confirmed",
        )
        for n in range(0, 40, 2)
    }  # fmt: skip
    for name, order in ORDERS.items():
        board = leaderboard(trials, _identity(), by=name, confirmed=known)
        assert 30 < len(board) <= 40
        for part in (board[board["confirmed"]], board[~board["confirmed"]]):
            assert len(part) > 5
            there = part[order.column].dropna()
            assert list(there) == sorted(there, reverse=order.largest)
            assert part[order.column].iloc[: len(there)].notna().all()
        assert list(board["confirmed"]) == sorted(board["confirmed"], reverse=True)


def test_an_older_leaderboard_has_empty_columns(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity())
    board[list(_NEEDED)].to_csv(tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")
    assert {*found.columns} == {*COLUMNS} and not found["confirmed"].any()
    assert found[["activation_bytes", "consistent", "target"]].isna().all(axis=None)


def test_a_file_may_have_many_columns_of_somebody_elses(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity())[list(_NEEDED)]
    others = pd.DataFrame({f"c{n}": [n, 1, 0.5] for n in range(120)}, index=board.index)
    pd.concat([board, others], axis=1).to_csv(tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")  # warnings are errors here
    assert {*COLUMNS, "c119"} <= {*found.columns} and list(found["trial"]) == list(board["trial"])


def test_a_row_says_what_happened() -> None:
    row = leaderboard(TRIALS, _identity()).loc[2]
    assert row["trial"] == 0 and row["params"] == 500
    assert (row["best_accuracy"], row["best_epoch"], row["first_hit_epoch"]) == (0.91, 2, 2)
    assert row["last_accuracy"] == 0.905
    assert row["last3_accuracy"] == pytest.approx((0.88 + 0.91 + 0.905) / 3, abs=1e-6)
    assert row["epochs_trained"] == 3 and row["seconds"] == 3.0
    assert row["selected_on"] == "test" and row["dataset"] == "digits"
    assert "torch=" in row["versions"]


def test_a_wrong_order_is_refused() -> None:
    with pytest.raises(ArgumentError, match="`by` must be one of accuracy, params, epochs"):
        leaderboard(TRIALS, _identity(), by="size")


def test_an_empty_leaderboard_has_its_columns(tmp_path: Path) -> None:
    frame = leaderboard([], _identity())
    assert list(frame.columns) == list(COLUMNS) and len(frame) == 0
    write(frame, tmp_path / "l.csv")
    assert len(read(tmp_path / "l.csv")) == 0


def test_all_trials_are_in_the_table_of_trials() -> None:
    table = trials_table(TRIALS, _identity())
    assert list(table.index) == [0, 1, 2, 3, 4]
    assert table.loc[4, "outcome"] == "pruned" and table.loc[4, "epochs_trained"] == 1
    assert pd.isna(table.loc[4, "first_hit_epoch"])


def test_file_and_rebuild(tmp_path: Path) -> None:
    write(leaderboard(TRIALS, _identity()), tmp_path / "l.csv")
    task = rebuild(read(tmp_path / "l.csv").loc[1])
    assert task.design == parse("conv(4) gap linear(10)")
    assert task.recipe == parse_recipe("recipe()")
    assert (task.epochs, task.seed, task.data.name, task.data.checksum) == (3, 3, "digits", "c")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"design": "conv(8"}, NotationError, "conv"),
        ({"recipe": "recipe(lr=-1)"}, NotationError, "lr"),
        ({"epochs": "many"}, ArgumentError, "a row must have a whole design"),
        ({"seed": None}, ArgumentError, "a row must have a whole design"),
    ],
)
def test_a_row_that_says_nothing_is_refused(change, error, message) -> None:
    row = leaderboard(TRIALS, _identity()).loc[1].to_dict()
    with pytest.raises(error, match=message):
        rebuild({**row, **change})
    del row["design"]
    with pytest.raises(ArgumentError, match="design"):
        rebuild(row)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "rank,params\n1,5\n", "\x00\x01"])
def test_a_file_that_is_no_leaderboard_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(ArgumentError, match="a leaderboard must"):
        read(tmp_path / "l.csv")
    with pytest.raises(ArgumentError, match="a leaderboard must"):
        read(tmp_path / "none.csv")


# Files as spreadsheets have them ----------------------------------------------------------------


@pytest.mark.parametrize(
    "checksum", ["993078541e648662", "0012345678901234", "nan", "null", "inf"]
)
def test_text_that_looks_like_a_number_stays_text(tmp_path: Path, checksum: str) -> None:
    board = leaderboard(TRIALS, _identity()).assign(
        checksum=checksum, dataset=checksum, mine=checksum, plain=0.5, few=[1, None, 3]
    )
    write(board, tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")
    assert found["checksum"].tolist() == found["dataset"].tolist() == [checksum] * 3
    if checksum[0].isdigit():  # nan in a column of somebody's own may be either
        assert found["mine"].tolist() == [checksum] * 3
    assert found["plain"].tolist() == [0.5] * 3 and found["few"].sum() == 4
    assert rebuild(found.loc[1]).data.checksum == checksum


def test_a_gap_does_not_round_the_other_seeds(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity()).assign(seed=[2**62 + 1, None, "007"])
    write(board, tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")
    assert rebuild(found.loc[1]).seed == 2**62 + 1 and rebuild(found.loc[3]).seed == 7
    with pytest.raises(ArgumentError, match="a row must have a whole design"):
        rebuild(found.loc[2])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with a mark"])
def test_what_a_spreadsheet_saved_is_read(tmp_path: Path, separator: str, encoding: str) -> None:
    board = leaderboard(TRIALS, _identity()).assign(dataset="größe, 8; gray")
    text = board.to_csv(sep=separator, decimal="," if separator == ";" else ".")
    marked = "\ufeff" if encoding.endswith("mark") else ""
    (tmp_path / "l.csv").write_bytes((marked + text).encode(encoding.split()[0]))
    found = read(tmp_path / "l.csv")
    pd.testing.assert_frame_equal(found[["trial", "best_accuracy", "seed"]],
                                  board[["trial", "best_accuracy", "seed"]])  # fmt: skip
    assert set(found["dataset"]) == {"größe, 8; gray"}


def test_decimal_commas_are_seen_where_the_best_accuracies_are_whole(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity()).assign(best_accuracy=1)
    board.to_csv(tmp_path / "l.csv", sep=";", decimal=",")
    found = read(tmp_path / "l.csv")
    pd.testing.assert_series_equal(found["target"], board["target"])
    pd.testing.assert_series_equal(found["last_accuracy"], board["last_accuracy"])


def test_a_comma_in_a_column_of_ones_own_is_no_decimal_comma(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity())
    board.assign(my_accuracy="good, slow").to_csv(tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")
    pd.testing.assert_series_equal(found["best_accuracy"], board["best_accuracy"])
    assert set(found["my_accuracy"]) == {"good, slow"}


def test_spaces_around_numbers_are_no_part_of_them(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity())
    given = board.assign(confirmed=[" True", "0", ""], best_accuracy=[" 1", "0.5 ", "0.25"])
    given.index = pd.Index(["1.0", " 2", "3"], name="rank")
    given.to_csv(tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")
    assert found["best_accuracy"].tolist() == [1.0, 0.5, 0.25]
    assert found.index.tolist() == [1, 2, 3] and found["confirmed"].dtype == bool
    assert found["confirmed"].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [lines[0], lines[1] + ",1", *lines[2:]], "line 2 has more cells than the"),
        (lambda lines: [lines[0] + ",params", *lines[1:]], "first line names 'params' twice"),
    ],
)
def test_rows_and_heads_that_do_not_fit_are_named(change, message: str, tmp_path: Path) -> None:
    lines = leaderboard(TRIALS, _identity()).to_csv().splitlines()
    (tmp_path / "l.csv").write_text("\n".join(change(lines)))
    with pytest.raises(ArgumentError, match=message):
        read(tmp_path / "l.csv")
    (tmp_path / "l.csv").write_text("\n".join(line + ",," for line in lines))  # of a spreadsheet
    assert len(read(tmp_path / "l.csv")) == 3


def test_a_rank_stands_for_one_row(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity())
    board.index = pd.Index([1, 2, 2], name="rank")
    board.to_csv(tmp_path / "l.csv")
    with pytest.raises(ArgumentError, match="is not: the rank 2 is there twice"):
        read(tmp_path / "l.csv")


def _change(folder: Path, change: Callable[[str], str]) -> Path:
    """Return the file of a leaderboard whose text was changed."""
    (folder / "l.csv").write_text(
        change(leaderboard(TRIALS, _identity()).to_csv()), encoding="utf-8", newline=""
    )
    return folder / "l.csv"


CELLS = [
    ("best_accuracy", "29.17%", "which is shown in per cent: give the column a number format"),
    ("seed", "4.22E+08", "which is not a whole number: the spreadsheet has rounded it. Open the"),
    ("seed", "4.5", "which is not a whole number$"),
    ("params", "2 hundred", "which is not a number$"),
    ("confirmed", "FALSCH", "which is not True or False$"),
]


@pytest.mark.parametrize(("column", "cell", "why"), CELLS)
def test_a_number_that_a_spreadsheet_spoiled_is_named(
    tmp_path: Path, column: str, cell: str, why: str
) -> None:
    board = leaderboard(TRIALS, _identity()).astype({column: object})
    board.loc[2, column] = cell
    board.to_csv(tmp_path / "l.csv")
    has = re.escape(f"l.csv the row of rank 2 has {column}='{cell}', ")
    with pytest.raises(ArgumentError, match=f"a leaderboard's numbers must be as .*{has}{why}"):
        read(tmp_path / "l.csv")


@pytest.mark.parametrize("cell", ["first", ""])
def test_a_rank_is_a_whole_number(tmp_path: Path, cell: str) -> None:
    path = _change(tmp_path, lambda text: text.replace("\n2,", f"\n{cell},"))
    with pytest.raises(ArgumentError, match=f"row 2 has rank='{cell}', which is not a whole num"):
        read(path)


def test_seeds_with_noughts_after_the_point_are_whole(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity()).assign(seed=["7.00", "-5", ""])
    board.to_csv(tmp_path / "l.csv")
    found = read(tmp_path / "l.csv")
    assert [rebuild(found.loc[rank]).seed for rank in (1, 2)] == [7, -5]


BLANK = f"{',' * len(COLUMNS)}\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + BLANK + BLANK,
        lambda text: text.replace("\n2,", f"\n{BLANK}2,"),
        lambda text: "sep=,\n" + text,
        lambda text: '"sep=;"\r\n' + text.replace(",", ";"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n") + BLANK,
    ],
)
def test_lines_of_a_spreadsheet_are_no_rows(tmp_path: Path, change: Callable[[str], str]) -> None:
    plain = read(_change(tmp_path, str))
    pd.testing.assert_frame_equal(read(_change(tmp_path, change)), plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(",", "|"), r"is not: commas, semicolons or tabs must be between"
                                              r" its cells, but its first line is 'rank\|design"),
        (lambda text: "sep=|\n" + text, r"between its cells, but its first line says '\|'"),
        (lambda text: text[1:], "is not: its first line names no column rank: 'ank,design,"),
    ],
)  # fmt: skip
def test_known_separators_are_named(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        read(_change(tmp_path, change))


@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-32", "UTF-32"),
        ("utf-32-le", "UTF-32"),
        ("utf-32-be", "UTF-32"),
        ("utf-16-le", "UTF-16 without its byte-order mark"),
        ("utf-16-be", "UTF-16 without its byte-order mark"),
    ],
)
def test_an_encoding_of_wide_characters_is_named(tmp_path: Path, codec: str, named: str) -> None:
    (tmp_path / "l.csv").write_bytes(leaderboard(TRIALS, _identity()).to_csv().encode(codec))
    with pytest.raises(ArgumentError, match=rf"in UTF-8 or UTF-16, but (is in|seems.*) {named}"):
        read(tmp_path / "l.csv")
    (tmp_path / "text").write_bytes("conv(8)".encode(codec))
    with pytest.raises(ValueError, match=named):
        read_text_file(tmp_path / "text")


def test_another_encoding_is_named(tmp_path: Path) -> None:
    board = leaderboard(TRIALS, _identity()).assign(dataset="größe")
    (tmp_path / "l.csv").write_bytes(board.to_csv().encode("latin-1"))
    with pytest.raises(ArgumentError, match=r"but .*l\.csv is not: it must be in UTF-8 or UTF-16"):
        read(tmp_path / "l.csv")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "l.csv")
    with pytest.raises(ArgumentError, match="no regular file"):
        read(tmp_path / "l.csv")


# Rows in every form ------------------------------------------------------------------------------


def test_rows_in_every_form_are_the_same_task() -> None:
    board, every = leaderboard(TRIALS, _identity()), trials_table(TRIALS, _identity())
    expected = rebuild(board.loc[2])
    assert board.loc[2, "trial"] == 0
    one = next(board.iloc[1:].itertuples())
    for row in (board.iloc[1:2], one, board.loc[2].to_dict(), every.loc[0], every.head(1)):
        assert rebuild(row) == expected
    assert row_of(every.loc[0])["trial"] == 0 == row_of(next(every.itertuples()))["trial"]
    with pytest.raises(ArgumentError, match=r"a row must be one row, but got a table of 3: take"):
        rebuild(board)
    with pytest.raises(ArgumentError, match=r"a row must have a whole design, .* but got int"):
        rebuild(3)  # type: ignore[arg-type]


def test_what_is_no_one_row_is_refused_with_its_form() -> None:
    board = leaderboard(TRIALS, _identity())
    assert rebuild(board.head(1).to_dict("records")) == rebuild(board.loc[1])  # type: ignore[arg-type]
    for row, message in (
        (board.to_dict("records"), "a row must be one row, but got a list of 3: take one by"),
        (board.to_dict(), "a row must be one row, but got the columns of a table: take one by"),
        (board.to_dict("list"), "a row must be one row, but got the columns of a table"),
        (
            next(board.itertuples(name=None)),
            r"the names .* got a tuple of \d+ without: itertuples",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            rebuild(row)


def test_dictionaries_of_rows_know_the_study(tmp_path: Path) -> None:
    board = with_study(leaderboard(TRIALS, _identity()), tmp_path)
    every = with_study(trials_table(TRIALS, _identity()), tmp_path)
    (tmp_path / "study.json").write_text("{}")
    for table, row, number in (
        (board, board.loc[1].to_dict(), 3),
        (board, board.loc[1].copy().to_dict(), 3),
        (board, board.to_dict("records")[0], 3),
        (board, board.to_dict("index")[1].copy(), 3),
        (board, pickle.loads(pickle.dumps(board.iloc[0].to_dict())), 3),
        (board, board.head(1).to_dict("records"), 3),
        (every, every.loc[4].to_dict(), 4),
        (every, every.to_dict("records")[4], 4),
        (every, every.to_dict("index")[4], 4),
    ):
        assert list(row[0] if isinstance(row, list) else row) == list(table.columns)
        found = row_of(row)
        assert study_of_row(found) == tmp_path and found["trial"] == number
    plain = pd.DataFrame(board)  # the values are what pandas gives
    assert board.drop(columns=list(CONFIRMED)).dropna(axis=1).to_dict("records") == plain.drop(
        columns=list(CONFIRMED)
    ).dropna(axis=1).to_dict("records")
    assert board.to_dict("list").keys() == plain.to_dict("list").keys()
    assert type(board.to_dict("index", into=OrderedDict)[1]) is OrderedDict
    assert type(board.loc[1].to_dict(into=OrderedDict)) is OrderedDict


def test_a_column_of_a_table_is_pandas_own(tmp_path: Path) -> None:
    board = with_study(leaderboard(TRIALS, _identity()), tmp_path)
    assert type(board["params"]) is type(board.iloc[:, 1]) is pd.Series


@pytest.mark.parametrize("name", ["b.xlsx", "b.ODS"])
def test_a_workbook_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4")
    with pytest.raises(ArgumentError, match="it is a workbook: save its sheet as CSV"):
        read(tmp_path / name)

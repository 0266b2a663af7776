"""Rows of tables, in the forms in which users have them, lead to what their study kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightsearch import (
    ArgumentError,
    DataError,
    NotationError,
    SearchResult,
    build,
    confirm,
    cost,
    export,
    export_script,
    load_result,
    make_dataset,
    rebuild,
    search,
    to_source,
)
from lightsearch.exporting.finding import find_net
from lightsearch.study.leaderboard import read


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A study of images of one's own."""
    labels = np.arange(60) % 2
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8)).astype("uint8")
    images[labels == 1] //= 2
    mine = make_dataset((images, labels), (images, labels), name="mine")
    return search(
        2000,
        2,
        target=0.1,
        dataset=mine,
        trials=3,
        workers=1,
        quiet=True,
        study=tmp_path_factory.mktemp("own") / "study",
    )


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A study of a data set that is found by its name."""
    return search(
        900,
        1,
        target=0.01,
        dataset="digits",
        trials=2,
        workers=1,
        quiet=True,
        study=tmp_path_factory.mktemp("named") / "study",
    )


def test_rows_of_ones_own_images_have_the_weights_of_their_study(own: SearchResult) -> None:
    trials, board = own.trials, own.leaderboard
    number = board.loc[1, "trial"]
    rows: list[Any] = [board.loc[1], board.head(1), trials.loc[number], read(own.folder).loc[1]]
    rows += [next(table.itertuples()) for table in (board, board.head(1), read(own.folder))]
    rows.append(list(trials.itertuples())[number])
    assert rows[-1].Index == number and rows[-1]._fields[1] == trials.columns[0]
    for row in rows:
        found = find_net(row)
        assert found.record["origin"] == f"kept by the study, trial {number}"
    for study in (own.folder, own.folder / "leaderboard.csv"):
        found = find_net(next(board.itertuples()), study=study)
        assert found.record["origin"] == f"kept by the study, trial {number}"


def test_dictionaries_of_rows_have_the_weights_of_their_study(own: SearchResult) -> None:
    trials, board = own.trials, own.leaderboard
    number = board.loc[1, "trial"]
    rows: list[Any] = [board.loc[1].to_dict(), board.to_dict("records")[0]]
    rows += [board.to_dict("index")[1], board.head(1).to_dict("records")]
    rows += [trials.loc[number].to_dict(), trials.to_dict("records")[number]]
    for row in rows:
        assert find_net(row).record["origin"] == f"kept by the study, trial {number}"


def test_a_plain_dictionary_is_told_how_its_study_is_named(own: SearchResult) -> None:
    row, plain = dict(own.leaderboard.loc[1]), dict(own.trials.loc[0])
    assert find_net(row, study=own.folder).record["origin"].startswith("kept by the study")
    with pytest.raises(ArgumentError, match="must have the number of its trial as `trial` where"):
        find_net(plain, study=own.folder)


UNKNOWN = """
import sys
from lightsearch import DataError, confirm, export, export_script, rebuild, read, train
row = read(sys.argv[1]).loc[1]
try:
    export(dict(row), sys.argv[2])
except DataError as error:
    print(error)
known = row.to_dict()
assert len(list(train(rebuild(known)))) == len(confirm(known, 2, quiet=True)) + 1 == 2
print(export(known, sys.argv[2]).origin, export_script(known, sys.argv[2] + ".py").is_file())
print(export(dict(row), sys.argv[2], study=sys.argv[1], force=True).origin)
"""


def test_dictionaries_in_a_new_process(own: SearchResult, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", UNKNOWN, own.folder, tmp_path / "net.safetensors"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    kept = f"kept by the study, trial {own.leaderboard.loc[1, 'trial']}"
    said, *others = ran.stdout.splitlines()
    assert said.endswith("were not: the row does not know its study, whose folder `study` names")
    assert others == [f"{kept} True", kept]


NEW_PROCESS = """
import sys
from lightsearch import confirm, export, load_result, read, rebuild, train
row = read(sys.argv[1]).loc[1]
for table in (read(sys.argv[1]), load_result(sys.argv[1]).ranked()):
    one = next(table.itertuples())
    print(export(one, sys.argv[2], force=True).origin)
    assert rebuild(one) == rebuild(row) and rebuild(one).data.where == rebuild(row).data.where
    print(confirm(one, 2, quiet=True).columns[0])
print(export(row, sys.argv[2], force=True).origin)
assert len(list(train(rebuild(row)))) == 2
assert len(list(train(rebuild(row.to_dict(), data=sys.argv[1])))) == 2
print(len(confirm(row, 2, quiet=True)))
"""


def test_rows_of_ones_own_images_in_a_new_process(own: SearchResult, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", NEW_PROCESS, own.folder, tmp_path / "net.safetensors"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        *[f"kept by the study, trial {own.leaderboard.loc[1, 'trial']}", "design"] * 2,
        f"kept by the study, trial {own.leaderboard.loc[1, 'trial']}",
        "1",
    ]


def test_a_row_that_was_changed_is_trained_again(own: SearchResult) -> None:
    row = own.leaderboard.loc[1].copy()
    row["seed"] += 1
    row["best_epoch"] = 1
    assert find_net(row).record["origin"].startswith("trained again from the row")


def test_a_file_of_a_study_leads_to_the_study(own: SearchResult, tmp_path: Path) -> None:
    for name in ("leaderboard.csv", "study.json"):
        assert load_result(own.folder / name).records == own.records
    written = export(own.folder / "leaderboard.csv", tmp_path / "net.safetensors")
    assert written.origin.startswith("kept by the study")


def test_a_leaderboard_elsewhere_is_a_source(named: SearchResult, tmp_path: Path) -> None:
    table = tmp_path / "b.csv"
    named.leaderboard.to_csv(table)
    written = export(table, tmp_path / "net.safetensors", row=2)
    assert written.origin.startswith("trained again from the row, with the accuracy of the row")
    assert (
        str(named.leaderboard.loc[2, "seed"])
        in export_script(table, tmp_path / "net.py", row=2).read_text()
    )
    with pytest.raises(ArgumentError, match="`row` must be a rank from 1 to"):
        export(table, tmp_path / "n.onnx", row=99)


def test_a_row_is_none_by_its_place(own: SearchResult) -> None:
    message = r"a row must be one of a table, such as read\(PATH\).loc\[1\]"
    for place in (str(own.folder), own.folder / "leaderboard.csv"):
        with pytest.raises(ArgumentError, match=message):
            rebuild(place)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [cost, build, to_source])
def test_a_place_where_a_design_is_wanted_is_named(own: SearchResult, call: Any) -> None:
    for place in (str(own.folder), own.folder / "leaderboard.csv"):
        with pytest.raises(NotationError, match=r"a path: read\('.*'\).loc\[1\] is the first row"):
            call(place)
    with pytest.raises(NotationError, match=r"zoo\['s1-final'\].design is its design"):
        call("s1-final")
    with pytest.raises(NotationError, match="must be one of add, concat"):
        call("nowhere/b.csv")


def test_places_are_confirmed_by_their_best(own: SearchResult, tmp_path: Path) -> None:
    best = list(dict.fromkeys(own.leaderboard["design"].head(3)))
    table = tmp_path / "b.csv"
    own.leaderboard.to_csv(table)
    for place in (str(own.folder), own.folder / "leaderboard.csv"):
        found = confirm(place, 2, quiet=True)
        assert set(found["design"]) == set(best)
    with pytest.raises(DataError, match="the images of the data set 'mine' must be given, by its"):
        confirm(table, 2, quiet=True)
    assert set(confirm(table, 2, data=own.folder, quiet=True)["design"]) == set(best)


def test_a_result_is_confirmed_by_its_best(own: SearchResult) -> None:
    found = confirm(own, 2, quiet=True)
    designs = [design for design in own.leaderboard["design"].head(3) if design]
    assert set(found["design"]) <= set(designs) and len(found)


@pytest.mark.parametrize("write", [export, export_script])
@pytest.mark.parametrize("rank", [np.array([1, 2]), [1], 0, -1, 99, True, "1", None, 1.5])
def test_what_is_no_rank_is_refused(
    own: SearchResult, tmp_path: Path, write: Any, rank: Any
) -> None:
    with pytest.raises(ArgumentError, match=r"`row` must be a rank from 1 to \d, but got row="):
        write(own.folder, tmp_path / "net.py", row=rank)


def test_a_rank_may_be_of_numpy(own: SearchResult, tmp_path: Path) -> None:
    for number, rank in enumerate((1, np.int64(1), np.array(1), 1.0)):
        written = export(own.folder, tmp_path / f"{number}.safetensors", row=rank)
        assert written.origin == f"kept by the study, trial {own.leaderboard.loc[1, 'trial']}"


@pytest.mark.parametrize(
    "change",
    [{"best_accuracy": "29.17%"}, {"best_epoch": "many"}, {"best_epoch": 0}, {"best_epoch": None}],
)
def test_a_row_without_its_best_epoch_is_refused(
    named: SearchResult, own: SearchResult, change: dict[str, Any]
) -> None:
    for result in (named, own):
        row = {**result.leaderboard.loc[1], **change}
        with pytest.raises(ArgumentError, match="a row must have a best epoch from 1 to"):
            find_net(row, study=own.folder if result is own else None)


def test_a_report_is_not_written_to_a_row(own: SearchResult, tmp_path: Path) -> None:
    for path in (tmp_path, str(tmp_path / "page.html")):
        with pytest.raises(ArgumentError, match=r"`row` must be a rank or a row, but .* `folder`"):
            own.report(path)  # type: ignore[arg-type]

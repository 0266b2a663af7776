"""Rows of tables, in the forms in which users have them, lead to what their study kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightsearch import SearchResult, confirm, export, load_result, make_dataset, search
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


def test_a_result_is_confirmed_by_its_best(own: SearchResult) -> None:
    found = confirm(own, 2, quiet=True)
    designs = [design for design in own.leaderboard["design"].head(3) if design]
    assert set(found["design"]) <= set(designs) and len(found)

"""The latest study is taken where none is given, and `lightsearch studies` lists those here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny import arguments

from lightsearch import load_result
from lightsearch.api import search
from lightsearch.cli import main
from lightsearch.study.listing import find_latest, find_studies

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies: `old`, by name, and a later one under lightsearch-studies."""
    place = tmp_path_factory.mktemp("place")
    for name, seed in (("old", 1), ("lightsearch-studies/new", 2)):
        search(**arguments(trials=2, target=0.2, seed=seed, study=place / name, quiet=True))
    _touch(place / "old", 1_000_000_000)
    _touch(place / "lightsearch-studies/new", 1_100_000_000)
    return place


@pytest.fixture
def run(studies: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(studies)

    def call(*line: str) -> Result:
        result = CliRunner().invoke(main, list(line), prog_name="lightsearch")
        assert result.exit_code in (0, 3), result.output
        return result

    return call


def _touch(study: Path, seconds: int) -> None:
    for file in study.rglob("*"):
        os.utime(file, (seconds, seconds))


NEW = "the latest study here: lightsearch-studies/new\n"


@pytest.mark.parametrize(
    "line",
    [
        "leaderboard",
        "train --row 1",
        "show --row 1",
        "export net.safetensors",
        "report --out page.html --force",
        "confirm --seeds 2 --top 1",
    ],
)
def test_the_latest_study_here_is_taken_and_named(run: Run, line: str) -> None:
    assert run(*line.split()).stderr.startswith(NEW)
    _touch(Path("lightsearch-studies/new"), 1_100_000_000)  # confirming it wrote to it


def test_what_is_taken_is_that_study(run: Run, studies: Path) -> None:
    shown = json.loads(run("show", "--row", "1", "--json").stdout)
    board = load_result(studies / "lightsearch-studies/new").leaderboard
    assert shown["design"] == board.loc[1]["design"]
    assert run("leaderboard").stdout == run("leaderboard", "lightsearch-studies/new").stdout
    assert run("leaderboard", "old").stderr == ""


def test_a_leaderboard_here_is_taken_where_no_study_is(
    run: Run, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`leaderboard` and `show --row` take the same study, also if a CSV lies beside it."""
    old = load_result("old").leaderboard
    old.to_csv(studies / "leaderboard.csv")
    try:
        assert run("show", "--row", "1", "--json").stderr.startswith(NEW)
    finally:
        (studies / "leaderboard.csv").unlink()
    old.to_csv(tmp_path / "leaderboard.csv")
    monkeypatch.chdir(tmp_path)
    done = run("show", "--row", "1", "--json")
    assert done.stderr == "the leaderboard here: leaderboard.csv\n"
    assert json.loads(done.stdout)["design"] == old.loc[1]["design"]


def test_a_row_to_confirm_is_of_the_study_that_is_given(run: Run, studies: Path) -> None:
    old = load_result("old").leaderboard.loc[1]["design"]
    line = ("confirm", "--row", "1", "--study", "old", "--seeds", "2", "--json")
    load_result("lightsearch-studies/new").leaderboard.to_csv(studies / "leaderboard.csv")
    assert json.loads(run(*line).stdout)[0]["design"] == old
    (studies / "leaderboard.csv").unlink()
    _touch(Path("old"), 1_000_000_000)


def test_the_studies_here_are_looked_for_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def count(place: Path) -> list[Path]:
        calls.append(place)
        return find_studies(place)

    monkeypatch.setattr("lightsearch.study.listing.find_studies", count)
    run("show", "--row", "1")
    assert len(calls) == 1


def test_studies_are_listed_the_latest_first(run: Run) -> None:
    listed = json.loads(run("studies", "--json").stdout)
    assert [one["study"] for one in listed] == ["lightsearch-studies/new", "old"]
    first = load_result("lightsearch-studies/new")
    assert listed[0]["trials"] == 2
    assert listed[0]["hits"] == len(first.leaderboard) >= 1
    assert listed[0]["when"].startswith("2004-11-")
    assert listed[0]["question"].startswith("20.00% of the test images of digits within 4 epochs")
    assert "lightsearch-studies/new" in run("studies").stdout.splitlines()[1]


def test_a_home_is_a_folder(run: Run, studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(studies))
    listed = json.loads(run("studies", "~", "--json").stdout)
    assert [Path(one["study"]).name for one in listed] == ["new", "old"]
    (inside,) = json.loads(run("studies", "~/lightsearch-studies", "--json").stdout)
    assert Path(inside["study"]).name == "new"


@pytest.mark.parametrize("folder", ["nowhere", "~/nowhere", "~nobody-here"])
def test_a_folder_that_is_not_there_is_an_error(folder: str) -> None:
    done = CliRunner().invoke(main, ["studies", folder])
    assert done.exit_code == 2
    assert f"but got folder='{folder}'" in done.stderr


def test_inside_a_study_it_is_that_study(studies: Path) -> None:
    assert find_studies(studies / "old") == [studies / "old"]
    assert find_latest(studies / "old") == studies / "old"


def test_a_study_that_cannot_be_read_is_listed_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no study here yet" in CliRunner().invoke(main, ["studies"]).stdout
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/study.json").write_text("[")
    done = CliRunner().invoke(main, ["studies", "--json"])
    (one,) = json.loads(done.stdout)
    assert (one["trials"], one["hits"]) == (None, None)
    assert one["question"].startswith("cannot be read: ")


def test_studies_inside_of_a_study_are_its_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the shorter studies of one that looks for the fewest epochs."""
    shutil.copytree("old", tmp_path / "fast")
    shutil.copytree("lightsearch-studies/new", tmp_path / "fast/epochs-00001")
    _touch(tmp_path / "fast/epochs-00001", 2_000_000_000)
    old = load_result("old").leaderboard.loc[1]["design"]
    monkeypatch.chdir(tmp_path / "fast")
    assert json.loads(run("show", "--row", "1", "--json").stdout)["design"] == old
    assert [one["study"] for one in json.loads(run("studies", "--json").stdout)] == ["."]

"""The fewest epochs at the target: which numbers of epochs are tried, and what is claimed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import arguments

from lightsearch import load_result, search
from lightsearch.errors import ArgumentError
from lightsearch.goals.fastest import _next_length
from lightsearch.study.identity import read_identity


@pytest.mark.parametrize("longest", [1, 2, 15, 16])
def test_bisection_finds_the_fewest(longest: int) -> None:
    for fewest in range(1, longest + 2):
        reached: dict[int, bool] = {}
        while (epochs := _next_length(longest, reached)) is not None:
            assert epochs not in reached
            reached[epochs] = epochs >= fewest
        able = [epochs for epochs, passed in reached.items() if passed]
        assert (min(able) if able else longest + 1) == fewest
        assert len(reached) <= 1 + longest.bit_length()


def _asked(folder: Path, **more: Any) -> dict[str, Any]:
    return arguments(goal="fastest", epochs=8, target=0.85, trials=3, study=folder, **more)


def test_a_search_for_the_fewest_epochs(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    result = search(**_asked(folder))
    best = result.best
    assert best is not None and best["confirmed"] and best["epochs"] < 8
    shorter = {int(one.name.split("-")[1]): one for one in folder.glob("epochs-*")}
    assert best["epochs"] in shorter and 1 <= min(shorter) < max(shorter) < 8
    for epochs, one in shorter.items():
        found = load_result(one)
        assert found.identity.epochs == epochs and found.identity.goal == "fastest"
        assert {t.candidate.epochs for t in found.records} == {epochs}
        assert all(t.candidate.design for t in found.records)
        passed = found.best is not None
        assert passed == (epochs == best["epochs"])  # the others had no last test
    longest = read_identity(folder)
    assert longest is not None and longest.epochs == 8
    first = load_result(shorter[4]).records[0].candidate
    assert first.proposed_by == "warm start"  # what has passed with eight epochs
    assert first.design in {t.candidate.design for t in result.records}
    again = search(**_asked(folder))
    assert again.best is not None and again.best.equals(best)
    assert again.records == result.records


def test_all_stages_have_the_recipe_of_the_study(tmp_path: Path) -> None:
    """Also of one that was begun before the default had clean epochs."""
    former = "recipe(lr=0.3,rotation=7,shift=0.05,ema=0.998)"
    asked = _asked(tmp_path) | {"epochs": 3, "target": 0.1, "trials": 1}
    search(**asked | {"recipe": former})
    stages = list(tmp_path.glob("epochs-*"))
    for stage in stages:
        shutil.rmtree(stage)  # as if it had been stopped before them
    search(**asked | {"recipe": None})
    again = [read_identity(one) for one in (tmp_path, *tmp_path.glob("epochs-*"))]
    assert len(again) == 1 + len(stages) > 1
    assert {one and one.recipe for one in again} == {former}


def test_the_surrogate_knows_one_number_of_epochs(tmp_path: Path, blank_mnist: Path) -> None:
    with pytest.raises(ArgumentError, match="`goal` must be best or smallest with engine='surr"):
        search(goal="fastest", engine="surrogate", study=tmp_path / "s", data=blank_mnist)

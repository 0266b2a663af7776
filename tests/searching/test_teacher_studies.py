"""Studies whose designs learn from a teacher, and where teachers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import arguments

from lightsearch import (
    export,
    find_teacher,
    read,
    rebuild,
    search,
    train,
    write_report,
)
from lightsearch.engines.teacher import make_teacher
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse
from lightsearch.result import SearchResult, load_weights
from lightsearch.study.identity import read_identity

DESIGN = "conv(8) maxpool conv(12) gap linear(10)"


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A search of one design, the teacher."""
    folder = tmp_path_factory.mktemp("teacher")
    given = arguments(space=DESIGN, trials=1, epochs=3, target=0.05, budget=2000, study=folder)
    return search(**given | {"recipe": "recipe(lr=0.2,batch=64)"})


def _given(folder: Path, **more: Any) -> dict[str, Any]:
    recipe = "recipe(lr=0.2,batch=128,distill=0|0.7,temperature=2)"
    given = {"recipe": recipe, "epochs": 1, "trials": 3, "target": 0.05, "sampler": "uniform"}
    return arguments(study=folder, **given, **more)


def test_a_teacher_is_a_row_a_file_or_a_module(taught_by: SearchResult, tmp_path: Path) -> None:
    """Its weights are those of the row's best epoch, which the study has kept."""
    row = taught_by.leaderboard.loc[1]
    module = build(parse(DESIGN), (1, 8, 8))
    module.load_state_dict(load_weights(taught_by.folder, 0))
    epochs, params = int(row["best_epoch"]), sum(p.numel() for p in module.parameters())
    expected = make_teacher(module, epochs=epochs)
    assert (expected.params, int(row["params"])) == (params, params)
    export(taught_by, tmp_path / "net.safetensors")
    for source in (row, taught_by, str(taught_by.folder), tmp_path / "net.safetensors"):
        found = find_teacher(source)
        assert found == expected and found.epochs == epochs


def test_a_study_keeps_its_teachers_checksum_and_cost(
    taught_by: SearchResult, tmp_path: Path
) -> None:
    teacher = find_teacher(taught_by)
    result = search(**_given(tmp_path, teacher=teacher, workers=2))
    identity = read_identity(tmp_path)
    assert identity is not None and identity.teacher == str(teacher)
    assert identity.teacher.startswith(f"{teacher.checksum}: {teacher.params:,} parameters, ")
    assert f"learning from a teacher ({teacher})" in str(result)
    rows = result.trials
    assert list(rows["teacher"]) == [
        str(teacher) if "distill=" in recipe else "" for recipe in rows["recipe"]
    ]
    assert 1 <= list(rows["teacher"]).count(str(teacher)) < 3
    assert set(rows["engine"][rows["teacher"] != ""]) == {"torch"}
    assert list(read(tmp_path)["teacher"]) == list(result.leaderboard["teacher"])
    page = write_report(result, tmp_path / "report.md").read_text()
    assert f"What it cost is not counted: {teacher.params:,} parameters" in page

    taught = next(row for _, row in result.leaderboard.iterrows() if row["teacher"])
    assert export(taught, tmp_path / "net.safetensors").accuracy == taught["best_accuracy"]
    with pytest.raises(ArgumentError, match="`teacher` must be given with a recipe"):
        list(train(rebuild(taught)))

    other = make_teacher(build(parse(DESIGN), (1, 8, 8)))
    with pytest.raises(
        StudyError, match=rf"teacher='{teacher.checksum}.* there, '{other.checksum}"
    ):
        search(**_given(tmp_path, teacher=other, workers=2))


def test_what_does_not_go_with_a_teacher(tmp_path: Path) -> None:
    module = build(parse(DESIGN), (1, 8, 8))
    for more, message in (
        ({"teacher": None}, "`teacher` must be given with a recipe that has `distill`"),
        ({"recipe": "recipe()"}, "`teacher` must be given with a recipe that has `distill`"),
        ({"goal": "smallest"}, "`goal` must be best with a teacher"),
        ({"confirm": 2}, "`confirm` must not be given with a teacher"),
    ):
        with pytest.raises(ArgumentError, match=message):
            search(**_given(tmp_path, teacher=module) | more)
    assert not list(tmp_path.iterdir())

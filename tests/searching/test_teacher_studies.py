"""Studies whose designs learn from a teacher, and where teachers come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny import arguments

from lightsearch import (
    confirm,
    export,
    find_teacher,
    make_dataset,
    read,
    rebuild,
    search,
    train,
    write_report,
)
from lightsearch.cli import main
from lightsearch.engines.teacher import make_teacher
from lightsearch.errors import ArgumentError, ExportError, StudyError
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse
from lightsearch.result import SearchResult, load_weights
from lightsearch.shapes import Shape
from lightsearch.study.identity import read_identity
from lightsearch.study.ledger import read_families
from lightsearch.study.terms import LOOKS_FOLDER

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
    again = export(tmp_path / "net.safetensors", tmp_path / "again.safetensors")
    assert again.metadata["teacher"] == taught["teacher"] == str(teacher)
    alone = taught.copy()
    alone.attrs = {}  # without its study, whose weights it would have to be trained for
    with pytest.raises(ExportError, match="must have its weights kept by its study"):
        export(alone, tmp_path / "alone.safetensors")
    with pytest.raises(ArgumentError, match="`teacher` must be given with a recipe"):
        list(train(rebuild(taught)))
    again = list(train(rebuild(taught, teacher=teacher)))
    assert [epoch.accuracy for epoch in again] == [taught["best_accuracy"]]

    other = make_teacher(build(parse(DESIGN), (1, 8, 8)))
    with pytest.raises(
        StudyError, match=rf"teacher='{teacher.checksum}.* there, '{other.checksum}"
    ):
        search(**_given(tmp_path, teacher=other, workers=2))


def test_rows_of_a_study_teach_together(tmp_path: Path) -> None:
    """By the mean of their probabilities, which PyTorch computes here."""
    given = {"trials": 3, "target": 0.05, "epochs": 2, "pruner": "none"}
    result = search(**arguments(study=tmp_path, **given))
    assert len(result.leaderboard) == 3
    members = []
    for number in result.leaderboard["trial"]:
        trial = result.records[number]
        module = build(parse(trial.candidate.design), (1, 8, 8)).eval()
        module.load_state_dict(load_weights(tmp_path, number))
        members.append(module)
    found = find_teacher(result, row=result.leaderboard.index)
    images = torch.randn(7, 1, 8, 8)
    with torch.no_grad():
        told = found.module(images).softmax(1)
        wanted = torch.stack([module(images).softmax(1) for module in members]).mean(0)
    torch.testing.assert_close(told, wanted)
    assert found.params == result.leaderboard["params"].sum()
    assert found.epochs == result.leaderboard["best_epoch"].sum()
    assert found == make_teacher(members) != make_teacher(members[:2])
    assert find_teacher(result, row=[2]) == find_teacher(result, row=2)
    assert make_teacher([find_teacher(result)], epochs=9).epochs == 9
    with pytest.raises(ArgumentError, match="`row` must be a rank"):
        find_teacher(result, row=[])


@pytest.mark.slow
def test_fresh_seeds_learn_from_the_same_teacher(taught_by: SearchResult, tmp_path: Path) -> None:
    teacher = find_teacher(taught_by)
    given = _given(tmp_path, teacher=teacher) | {"recipe": "recipe(lr=0.2,batch=128,distill=0.7)"}
    result = search(**given, confirm=2, confirm_top=1)
    first = result.leaderboard.loc[1]
    assert first["confirmed_n"] == 2
    seeds = [run.seeds for family in read_families(tmp_path) for run in family.runs.values()]
    alone = {"recipe": first["recipe"], "epochs": 1, "dataset": "digits", "teacher": teacher}
    expected = [list(train(first["design"], seed=s, **alone))[-1].accuracy for s in seeds[0]]
    assert first["confirmed_mean"] == pytest.approx(sum(expected) / 2, abs=1e-6)
    assert result.means().loc[1, "fresh_seeds"] == 2

    other = make_teacher(build(parse(DESIGN), (1, 8, 8)))
    with pytest.raises(ArgumentError, match="must be the one that the row was trained with"):
        confirm(first, 2, teacher=other)
    asked = {"recipe": first["recipe"], "epochs": 1, "dataset": "digits", "study": tmp_path}
    with pytest.raises(StudyError, match="must have one teacher"):
        confirm(first["design"], 2, target=0.05, teacher=other, **asked)
    with pytest.raises(ArgumentError, match="must be given with a recipe that has `distill`, but"):
        confirm(DESIGN, 2, teacher=other, recipe="recipe()", epochs=1, dataset="digits")


def test_hits_without_a_teacher_are_confirmed_beside_taught_ones(
    taught_by: SearchResult, tmp_path: Path
) -> None:
    teacher = find_teacher(taught_by)
    recipe = "recipe(lr=0.2,batch=128,distill=0|0.7)"
    given = _given(tmp_path, teacher=teacher) | {"trials": 1, "recipe": recipe}
    for seed in range(20):  # until the one trial has no teacher
        result = search(**given | {"seed": seed, "study": tmp_path / str(seed)}, confirm=2)
        assert result.leaderboard.loc[1, "confirmed_n"] == 2
        if not result.leaderboard.loc[1, "teacher"]:
            break
    else:
        pytest.fail("all trials had a teacher")


def test_a_study_has_one_teacher(taught_by: SearchResult, tmp_path: Path) -> None:
    teacher, other = find_teacher(taught_by), make_teacher(build(parse(DESIGN), (1, 8, 8)))
    recipe = "recipe(lr=0.2,batch=128,distill=0.7)"
    given = _given(tmp_path, teacher=teacher, space=DESIGN)
    given |= {"trials": 1, "recipe": recipe, "budget": 2000}
    result = search(**given)
    asked = {"recipe": recipe, "epochs": 1, "dataset": "digits", "study": tmp_path, "target": 0.05}
    with pytest.raises(StudyError, match=rf"it is '{teacher.checksum}.*'{other.checksum}"):
        confirm(DESIGN, 2, teacher=other, **asked)
    table = confirm(result.leaderboard, 2, teacher=teacher.module)  # its epochs are not known
    assert teacher == make_teacher(teacher.module) and set(table["teacher"]) == {
        str(make_teacher(teacher.module))
    }
    goes_on = search(**given | {"teacher": teacher.module, "trials": 1})
    assert goes_on.identity.teacher == str(teacher)
    assert goes_on.means().loc[1, "fresh_seeds"] == 2


def test_a_file_says_itself_what_images_it_takes(tmp_path: Path) -> None:
    """So the images that it was trained on need not be here, nor those of one's own study."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (40, 1, 8, 8)).astype(np.uint8)
    own = make_dataset((pixels, np.arange(40) % 10), (pixels, np.arange(40) % 10), name="mine")
    given = {"dataset": own, "space": DESIGN, "trials": 1, "target": 0.01, "epochs": 1}
    result = search(**arguments(study=tmp_path / "own", **given) | {"budget": 2000})
    export(result, tmp_path / "net.safetensors")
    found = find_teacher(tmp_path / "net.safetensors")
    assert found == find_teacher(result) and found.epochs == 1
    line = ["train", DESIGN, "--dataset", "digits", "--epochs", "1", "--data", str(tmp_path)]
    for source in ("own", "net.safetensors"):
        done = CliRunner().invoke(main, [*line, "--teacher", str(tmp_path / source)])
        assert done.exit_code == 0, done.output
        assert f"learning from {found}" in done.output


@pytest.mark.parametrize(
    ("design", "shape", "message"),
    [
        (
            "conv(8) gap linear(5)",
            (1, 8, 8),
            r"\(2, 10\) for two images, but got \(2, 5",
        ),
        ("conv(8) maxpool linear(10)", (1, 12, 12), "must take images of 1x8x8, but it raised"),
        ("conv(8) gap linear(10)", (3, 8, 8), "must take images of 1x8x8, but it raised"),
    ],
)
def test_a_teacher_of_other_images_is_refused(
    design: str, shape: Shape, message: str, tmp_path: Path
) -> None:
    module, fits = build(parse(design), shape), build(parse(DESIGN), (1, 8, 8))
    raised = "must take images of 1x8x8, but it raised"
    for teacher, wanted in ((module, message), (make_teacher([module, fits]), raised)):
        with pytest.raises(ArgumentError, match=wanted):
            search(**_given(tmp_path, teacher=teacher))
        given: dict[str, Any] = {"dataset": "digits", "epochs": 1, "teacher": teacher}
        with pytest.raises(ArgumentError, match=wanted):
            list(train(DESIGN, **given))
        with pytest.raises(ArgumentError, match=wanted):
            confirm(DESIGN, 2, recipe="recipe(distill=0.5)", **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_goals_have_the_searchs_teacher(taught_by: SearchResult, tmp_path: Path) -> None:
    teacher = find_teacher(taught_by)
    given = _given(tmp_path, teacher=teacher) | {
        "recipe": "recipe(lr=0.2,batch=128,distill=0.7)",
        "goal": "smallest",
        "trials": 2,
    }
    result = search(**given)
    looks = [run for one in read_families(tmp_path / LOOKS_FOLDER) for run in one.runs.values()]
    assert len(result.records) == 2 and looks
    assert {run.teacher for run in looks} == {str(teacher)}


@pytest.mark.slow
def test_teachers_at_the_shell(taught_by: SearchResult, tmp_path: Path) -> None:
    taught, file = str(taught_by.folder), str(tmp_path / "net.safetensors")
    export(taught_by, file)
    line = ["train", DESIGN, "--dataset", "digits", "--epochs", "1", "--teacher", taught]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    assert f"learning from {find_teacher(taught)}" in done.output
    done = CliRunner().invoke(main, [*line, "--teacher", file])
    assert (
        f"learning from {make_teacher([find_teacher(taught), find_teacher(file)])}" in done.output
    )
    words = "search --dataset digits --epochs 1 --trials 1 --target 0.05 --workers 1".split()
    study = str(tmp_path / "study")
    asked = [*words, "--quiet", "--space", DESIGN, "--study", study, "--teacher", file]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    identity = read_identity(tmp_path / "study")
    assert identity is not None and identity.teacher == str(find_teacher(taught))
    for command in (["confirm", "--study", study, "--seeds", "2"], ["train", "--row", "1"]):
        table = ["--leaderboard", f"{study}/leaderboard.csv"] if command[0] == "train" else []
        refused = CliRunner().invoke(main, [*command, *table])
        assert refused.exit_code == 2 and "`teacher` must be given" in refused.output
        done = CliRunner().invoke(main, [*command, *table, "--teacher", file])
        assert done.exit_code in (0, 3), done.output
    assert "the same as the row" in done.output
    said = CliRunner().invoke(main, [*line, "--json"]).stdout
    assert json.loads(said)["teacher"] == str(find_teacher(taught))


def test_what_does_not_go_with_a_teacher(tmp_path: Path) -> None:
    module = build(parse(DESIGN), (1, 8, 8))
    for more, message in (
        ({"teacher": None}, "`teacher` must be given with a recipe that has `distill`"),
        ({"recipe": "recipe()"}, "`teacher` must be given with a recipe that has `distill`"),
    ):
        with pytest.raises(ArgumentError, match=message):
            search(**_given(tmp_path, teacher=module) | more)
    assert not list(tmp_path.iterdir())

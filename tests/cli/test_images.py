"""Images of one's own on the command line: a folder where a data set is named, and its study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lightsearch import load_result, make_dataset, search
from lightsearch.cli import main
from lightsearch.data.image_files import describe_folder, folder_dataset

TWO = "conv(4) gap linear(2)"
SPACE = "conv(4|6) gap linear(2)"
RECIPE = "recipe(lr=0.1,batch=16)"


def _run(*arguments: object, code: int = 0) -> Result:
    line = [str(one) for one in arguments]
    result = CliRunner().invoke(main, line, prog_name="lightsearch")
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes, dark and bright."""
    folder = tmp_path_factory.mktemp("images") / "leaves"
    for label, name in enumerate(("elm", "oak")):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            image = Image.new("RGB", (30, 24), (100 * label + number, 0, 200 * label))
            image.save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def study(leaves: Path) -> Path:
    """A study of the folder, each of whose designs is a hit."""
    folder = leaves.parent / "own"
    _run(
        *("search", "--dataset", leaves, "--size", "12x16", "--space", SPACE, "--recipe", RECIPE),
        *("--epochs", 1, "--target", 0.01, "--trials", 1, "--workers", 1, "--study", folder),
        "--quiet",
    )
    return folder


# The images of a row -----------------------------------------------------------------------------


def test_a_row_is_shown_at_the_size_of_its_studys_own_images(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, _ = load_result(study).images
    for given in (study, study / "leaderboard.csv"):
        line = ("show", "--row", 1, "--leaderboard", given, "--json")
        assert tuple(json.loads(_run(*line).stdout)["input"]) == shape == (3, 12, 16)
    monkeypatch.chdir(study.parent)
    assert "for images of 3x12x16" in _run("show", "--row", 1).stdout
    assert "Total params: " in _run("show", "--row", 1, "--torchinfo").stdout
    assert "for images of 1x8x8" in _run("show", "--row", 1, "--dataset", "digits").stdout


def test_a_row_is_shown_at_the_size_of_arrays(tmp_path: Path) -> None:
    pixels, labels = np.arange(8 * 9 * 10, dtype=np.uint8).reshape(8, 9, 10), np.arange(8) % 2
    data = make_dataset((pixels, labels), (pixels, labels), name="mine")
    search(
        *(900, 1), target=0.01, dataset=data, space=SPACE, trials=1, workers=1, quiet=True,
        study=tmp_path / "s",
    )  # fmt: skip
    line = ("show", "--row", 1, "--leaderboard", tmp_path / "s", "--json")
    assert json.loads(_run(*line).stdout)["input"] == [1, 9, 10]


def test_a_row_whose_study_is_elsewhere_needs_the_shape(study: Path, tmp_path: Path) -> None:
    shutil.copy(study / "leaderboard.csv", tmp_path / "lone.csv")
    line = ("show", "--row", 1, "--leaderboard", tmp_path / "lone.csv")
    said = _run(*line, code=2).stderr
    assert "`shape` must be given (--shape, such as 3x32x32) for a row of 'leaves-12x16'" in said
    assert "for images of 3x12x16" in _run(*line, "--shape", "3x12x16").stdout


# A folder where a data set is named --------------------------------------------------------------


def test_a_folder_is_described_as_it_is_read(leaves: Path, tmp_path: Path) -> None:
    for more in ({}, {"size": 12}, {"size": (12, 16), "gray": True}):
        read = folder_dataset(leaves, **more)
        assert describe_folder(leaves, **more) == (read.shape, read.classes)
    for part in ("train", "test"):
        shutil.copytree(leaves, tmp_path / part)
    assert describe_folder(tmp_path) == ((3, 32, 32), 2)


def test_a_design_is_trained_on_a_folder(leaves: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    line = ("train", TWO, "--dataset", leaves, "--recipe", RECIPE, "--epochs", 1)
    found = json.loads(_run(*line, "--size", 12, "--gray", "--save", file, "--json").stdout)
    assert found["dataset"] == "leaves-12-gray" and found["epochs"][0]["total"] == 4
    assert "leaves-32, 1 epoch" in _run(*line).stdout
    missing = _run("predict", file, "nope.png", code=2).stderr
    assert "`images` must be an image or a folder of images, but there is no nope.png" in missing
    predicted = json.loads(_run("predict", file, leaves / "elm", "--json").stdout)
    assert len(predicted) == 10


def test_a_design_and_a_space_are_shown_for_a_folder(leaves: Path) -> None:
    show = ("show", TWO, "--dataset", leaves)
    assert json.loads(_run(*show, "--json").stdout)["input"] == [3, 32, 32]
    line = (*show, "--size", "12x16", "--gray", "--json")
    assert json.loads(_run(*line).stdout)["input"] == [1, 12, 16]
    space = _run("space", "--dataset", leaves, "--size", 12, "--notation").stdout
    assert space.strip().endswith("linear(2)")
    wide = ("space", SPACE, "--dataset", leaves, "--json")
    assert json.loads(_run(*wide).stdout)["designs"] == 2


def test_a_design_is_confirmed_on_a_folder(leaves: Path, tmp_path: Path) -> None:
    line = ("confirm", TWO, "--dataset", leaves, "--size", 12, "--recipe", RECIPE, "--epochs", 1)
    result = CliRunner().invoke(
        main,
        [*map(str, line), "--seeds", "2", "--workers", "1", "--study", str(tmp_path / "c")],
    )
    assert result.exit_code in (0, 3), result.output
    assert "on leaves-12 test" in result.output


def test_an_image_shape_that_is_given_needs_no_data_set_that_is_read() -> None:
    line = ("--dataset", "cifar10", "--shape", "3x32x32")
    assert "for images of 3x32x32" in _run("show", TWO, *line).stdout
    assert "linear(9)" in _run("space", *line, "--classes", 9, "--notation").stdout
    assert "for images of 3x32x32" in _run("show", TWO, "--dataset", "cifar10").stdout
    sized = _run("show", TWO, "--dataset", "cifar10", "--size", "20", "--gray").stdout
    assert "for images of 1x20x20" in sized
    said = _run("space", "--dataset", "cifar10", code=2).stderr
    assert "`classes` must be given for cifar10" in said
    said = _run("show", TWO, *line, "--size", "20", code=2).stderr
    assert "--shape must be given without --size and --gray" in said


@pytest.mark.parametrize(
    "line",
    [
        ("train", TWO, "--dataset", "./nowhere"),
        ("show", TWO, "--dataset", "./nowhere"),
        ("show", TWO, "--dataset", "./nowhere", "--shape", "3x9x9"),
        ("space", "--dataset", "./nowhere"),
        ("search", "--dataset", "./nowhere"),
        ("search", "--dataset", "./nowhere", "--size", "12"),
        ("confirm", TWO, "--dataset", "./nowhere"),
        ("confirm", TWO, "--on", "./nowhere"),
    ],
    ids=lambda line: " ".join(line),
)
def test_what_a_shell_cannot_give_is_not_offered(
    line: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = _run(*line, code=2).stderr
    assert "or a folder of images, but got './nowhere'" in said and "DataSet" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["train", "show", "space", "confirm"])
def test_a_size_is_of_a_data_set_that_is_named(name: str) -> None:
    design = () if name == "space" else (TWO,)
    said = _run(name, *design, "--size", "12", code=2).stderr
    assert "--size and --gray must be given with --dataset" in said
    said = _run(name, *design, "--dataset", "digits", "--size", "12", code=2).stderr
    assert "`size` must be given for folders" in said and "digits has 8x8 pixels" in said


# A row where there is none -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "show", "export", "report", "confirm"])
def test_a_study_without_a_hit_has_no_row(
    name: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(study, tmp_path / "my study")
    rows = tmp_path / "my study" / "leaderboard.csv"
    rows.write_text(rows.read_text().splitlines()[0] + "\n")
    monkeypatch.chdir(tmp_path)
    if name == "report":  # which reads the trials, not the table
        text = (rows.parent / "study.json").read_text()
        asked = {**json.loads(text), "target": "1"}
        (rows.parent / "study.json").write_text(json.dumps(asked))
    said = _run(name, *(["net.onnx"] if name == "export" else []), "--row", 1, code=2).stderr
    assert "`row` must be a rank in " in said and "no design has reached the target yet" in said
    assert "`lightsearch leaderboard 'my study' --all` shows all trials" in said
    shutil.move(rows, tmp_path / "leaderboard.csv")
    shutil.rmtree(tmp_path / "my study")
    if name != "report":
        said = _run(name, *(["net.onnx"] if name == "export" else []), "--row", 1, code=2).stderr
        assert "no design has reached the target yet\n" in said

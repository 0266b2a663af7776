"""Training programs of a study's rows, and beside a design's report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import arguments

from lightsearch import SearchResult, export, export_script, load_result, make_dataset, search
from lightsearch.cli import main
from lightsearch.errors import ArgumentError
from lightsearch.report import write_design


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    folder = tmp_path_factory.mktemp("studies") / "small"
    return search(**arguments(study=folder, trials=2, epochs=2, target=0.2))


def _settings(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+) = (\S+)", text, re.MULTILINE))


def test_a_row_as_a_script_and_as_a_notebook(studied: SearchResult, tmp_path: Path) -> None:
    row = studied.leaderboard.loc[1]
    path = export_script(studied, tmp_path / "train_net.py")
    text = path.read_text()
    said = _settings(text)
    assert (said["SEED"], said["EPOCHS"]) == (str(row["seed"]), "2")
    assert str(row["recipe"]) in text and str(row["design"]) in " ".join(text.split())
    right = round(row["best_accuracy"] * 360)
    assert f"{100 * right / 360:.1f}"[:3] in text and "at its best epoch" in text
    for source in (row, studied.folder, row.to_dict()):
        again = export_script(source, tmp_path / "again.py", force=True)
        assert again.read_text() == text
    book = json.loads(export_script(row, tmp_path / "net.ipynb").read_text())
    assert book["nbformat"] == 4 and str(row["recipe"]) in book["cells"][0]["source"]


def test_a_program_that_is_there_stays(studied: SearchResult, tmp_path: Path) -> None:
    path = export_script(studied, tmp_path / "net.ipynb")
    path.write_text("mine")
    with pytest.raises(ArgumentError, match="`path` must be a new file"):
        export_script(studied, path)
    assert path.read_text() == "mine"
    assert export_script(studied, path, force=True).read_text() != "mine"


def test_what_cannot_be_written_is_named(studied: SearchResult, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"`path` must end in \.py, \.ipynb, but got"):
        export_script(studied, tmp_path / "net.onnx")
    with pytest.raises(ArgumentError, match="must be in a folder that exists"):
        export_script(studied, tmp_path / "none" / "net.py")
    with pytest.raises(ArgumentError, match="a notebook, which `export_script` writes"):
        export(studied, tmp_path / "net.ipynb")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_programs(studied: SearchResult, tmp_path: Path) -> None:
    board = ["--leaderboard", str(studied.folder / "leaderboard.csv"), "--row", "2"]
    for name, more in (("net.ipynb", []), ("train_net.py", ["--script"])):
        path = tmp_path / name
        done = CliRunner().invoke(main, ["export", str(path), *more, *board])
        assert done.exit_code == 0 and done.output.strip() == str(path), done.output
        assert str(studied.leaderboard.loc[2]["seed"]) in path.read_text()
    assert "def main()" in (tmp_path / "train_net.py").read_text()
    done = CliRunner().invoke(main, ["export", str(tmp_path / "b.ipynb"), "--fold", *board])
    assert done.exit_code == 2 and "a training program must not be given with" in done.output


def test_rows_selected_on_held_out_images_train_on_all(tmp_path: Path) -> None:
    result = search(
        **arguments(
            study=tmp_path / "s", trials=1, epochs=1, target=0.1, select_on="val", val_size=100
        )
    )
    text = export_script(result, tmp_path / "net.py").read_text()
    assert "of 100 held-out images" in text and "trains on all of them" in " ".join(text.split())
    page = result.report(1, tmp_path)
    assert page.name == f"design-{result.records[0].candidate.number}.md"
    text = (tmp_path / "train_design_0.py").read_text()
    assert "held 100 training images out" in " ".join(text.split())


def test_images_of_ones_own_go_with_the_script(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    pixels = (60 * labels[:, None, None] + np.zeros((60, 9, 9))).astype(np.uint8)
    data = make_dataset((pixels, labels), (pixels, labels), name="three")
    more: dict[str, Any] = {"dataset": data, "space": "conv(4|6) gap linear(3)", "trials": 1}
    result = search(**arguments(study=tmp_path / "s", target=0.1, epochs=1, **more))
    path = export_script(result, tmp_path / "train_three.py")
    assert _settings(path.read_text())["DATA"] == '"train_three-images.safetensors"'
    assert (tmp_path / "train_three-images.safetensors").is_file()
    result.report(1)
    beside = (result.folder / "train_design_0.py").read_text()
    assert (result.folder / _settings(beside)["DATA"].strip('"')).is_file()


# Beside a report --------------------------------------------------------------------------------


def test_a_report_of_a_design_has_its_programs_beside_it(studied: SearchResult) -> None:
    page = studied.report(1)
    number = int(studied.leaderboard.loc[1]["trial"])
    assert page == studied.folder / f"design-{number}.md"
    text = page.read_text()
    assert not re.findall(r"[^\n]\n## .*", text)  # headings stand apart
    names = [f"train_design_{number}.py", f"train_design_{number}.ipynb"]
    for name in names:
        assert f"[`{name}`]({name})" in text and (studied.folder / name).is_file()
    book = json.loads((studied.folder / names[1]).read_text())
    head = book["cells"][0]["source"]
    assert "## Target" in head and "## Analysis" in head and "points" in head
    assert studied.report(studied.trials.loc[number]) == page
    assert studied.report().name == "report.html"


def test_a_report_keeps_programs_that_were_changed(studied: SearchResult, tmp_path: Path) -> None:
    write_design(studied, 0, tmp_path / "README.md")
    book = tmp_path / "train_design_0.ipynb"
    book.write_text("with outputs")
    write_design(studied, 0, tmp_path / "README.md")
    assert book.read_text() == "with outputs"
    write_design(studied, 0, tmp_path / "README.md", force=True)
    assert book.read_text() != "with outputs"


def test_a_rank_that_is_not_there_is_named(studied: SearchResult) -> None:
    with pytest.raises(ArgumentError, match="`row` must be a rank from 1 to 2, but got row=9"):
        load_result(studied.folder).report(9)

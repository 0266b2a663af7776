"""Class names, input size, range and normalisation in every exported file, whatever the names."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightsearch import SearchResult, export, load_result, make_dataset, predict, search
from lightsearch.cli import main
from lightsearch.data.dataset import DataSet
from lightsearch.errors import ExportError
from lightsearch.exporting.c.compiling import find_compiler
from lightsearch.exporting.reading import open_net
from lightsearch.exporting.scripts import export_script

NAMES = (
    'quo"ted\n??/',
    "it's */ \\ $x {y} %s",
    "\x1b[2J caf\u00e9 \U0001f341 \u202e",
    os.fsdecode(b"=not utf\xff8"),
)
onnx_needed = pytest.mark.needs("onnx", "onnxruntime", "onnxscript")


@pytest.fixture(scope="module")
def data() -> DataSet:
    """Images of 6x9 pixels, two channels' worth of brightness apart by class."""
    labels = np.arange(64) % 4
    noise = np.random.default_rng(7).integers(0, 60, (64, 3, 6, 9))
    images = (noise + 50 * labels[:, None, None, None]).astype(np.uint8)
    return make_dataset((images, labels), (images, labels), name="odd", class_names=NAMES)


@pytest.fixture(scope="module")
def studied(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    folder = tmp_path_factory.mktemp("studies") / "odd"
    search(
        budget=200,
        epochs=1,
        target=0.01,
        dataset=data,
        space="conv(4) gap linear(4)",
        recipe="recipe(lr=0.1,batch=16)",
        trials=1,
        workers=1,
        study=folder,
        quiet=True,
    )
    return load_result(folder)


@pytest.fixture(scope="module")
def photo(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "one.png"
    Image.fromarray(data.test[0][0].movedim(0, -1).numpy()).save(path)
    return path


def _check(metadata: dict[str, str], data: DataSet, top: str = "1") -> None:
    pixels = data.train[0].double() / 255
    for name, values in (
        ("mean", pixels.mean((0, 2, 3))),
        ("std", pixels.std((0, 2, 3), correction=0)),
    ):
        written = [float(value) for value in metadata[name].split(",")]
        assert written == pytest.approx(values.tolist(), abs=1e-6)
    assert metadata["input"] == "3x6x9" and metadata["classes"] == "4"
    assert metadata["input_range"].startswith(f"0 to {top}, normalised by channel: (pixel")
    assert tuple(json.loads(metadata["class_names"])) == NAMES
    assert all(text.isascii() and text.isprintable() for text in metadata.values())


def test_the_study_keeps_the_names(studied: SearchResult) -> None:
    assert studied.class_names == NAMES
    with safe_open(studied.folder / "data.safetensors", "pt") as file:
        assert tuple(json.loads(file.metadata()["class_names"])) == NAMES
    assert "class_names" not in json.loads((studied.folder / "study.json").read_text())


def test_weights(studied: SearchResult, data: DataSet, tmp_path: Path) -> None:
    export(studied, tmp_path / "net.safetensors")
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        _check(file.metadata(), data)


@onnx_needed
@pytest.mark.parametrize("int8", [False, True])
def test_onnx(int8: bool, studied: SearchResult, data: DataSet, tmp_path: Path) -> None:
    import onnxruntime

    export(studied, tmp_path / "net.onnx", int8=int8)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    _check(dict(session.get_modelmeta().custom_metadata_map), data)


def test_a_program_of_pytorch(studied: SearchResult, data: DataSet, tmp_path: Path) -> None:
    export(studied, tmp_path / "net.pt2")
    files: dict[str, Any] = {"lightsearch.json": ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=files)
    _check(json.loads(files["lightsearch.json"]), data)


def _check_style(path: Path) -> None:
    """Check that `ruff` would leave a file as it is."""
    for line in (["format", "--check"], ["check", "--select", "E4,E7,E9,F,I"]):
        command = [sys.executable, "-m", "ruff", *line, "--isolated", str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_source(studied: SearchResult, data: DataSet, tmp_path: Path) -> None:
    written = export(studied, tmp_path / "net.py")
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    assert "a 3x6x9 image" in text
    assert f"mean {written.metadata['mean']}, std {written.metadata['std']}." in text
    (names,) = (
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CLASSES"
    )
    assert tuple(ast.literal_eval(names)) == NAMES
    _check_style(tmp_path / "net.py")


_MAIN = """
#include <stdio.h>
#include "{stem}.h"

int main(void)
{{
    for (int i = 0; i < {STEM}_CLASSES; i++)
        fwrite({stem}_class_names[i], 1, 1 + __builtin_strlen({stem}_class_names[i]), stdout);
    return 0;
}}
"""


@pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize("stem", ["net", "net8"])
def test_c(stem: str, studied: SearchResult, data: DataSet, tmp_path: Path) -> None:
    """A program prints the names: the bytes that the folders had."""
    written = export(studied, tmp_path / f"{stem}.c", int8=stem == "net8")
    _check(written.metadata, data, top="255")
    header = (tmp_path / f"{stem}.h").read_text(encoding="ascii")
    for fact in ("input=3x6x9", "input_range=0 to 255, normalised", "mean=", "std="):
        assert f"   {fact}" in header
    (tmp_path / "main.c").write_text(_MAIN.format(stem=stem, STEM=stem.upper()))
    compiler = str(find_compiler())
    strict = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    line = [compiler, *strict, "main.c", f"{stem}.c", "-lm", "-o", "names"]
    subprocess.run(line, cwd=tmp_path, check=True)
    said = subprocess.run(["./names"], cwd=tmp_path, check=True, capture_output=True).stdout
    assert said == b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in NAMES)
    # A program without them does not hold them.
    subprocess.run([compiler, *strict, "-c", f"{stem}.c"], cwd=tmp_path, check=True)
    assert b"not utf" not in (tmp_path / f"{stem}.o").read_bytes()


def test_many_long_names_are_in_the_comment_alone(tmp_path: Path) -> None:
    from lightsearch.exporting.c.notes import Notes, write_class_names

    names = tuple(f"{'x' * 200}{number}" for number in range(100))
    assert write_class_names(Notes("net", (), (), names, {})) == ""
    assert write_class_names(Notes("net", (), (), (), {})) == ""


def test_a_training_script_draws_the_names(
    studied: SearchResult, data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_script(studied, tmp_path / 'it"s.py')
    text = path.read_text(encoding="utf-8")
    _check_style(path)
    script: Any = ModuleType("script")
    exec(compile(text, str(path), "exec"), script.__dict__)
    monkeypatch.chdir(tmp_path)  # where the images are
    images, labels = script.load_images(train=False)
    assert script.CLASSES[:2] == list(NAMES[:2])
    assert script.CLASSES[2] == "\\x1b[2J caf\u00e9 \U0001f341 \\u202e"
    assert script.CLASSES[3] == "=not utf\\udcff8"
    wrong = (labels + 1) % 4
    with pytest.warns(UserWarning, match="Glyph"):  # the font has no maple leaf
        script.plot_confusion(wrong, labels).savefig(tmp_path / "confusion.png")
        script.plot_mistakes(images, wrong, labels).savefig(tmp_path / "mistakes.png")
    notebook = export_script(studied, tmp_path / "train.ipynb").read_text(encoding="utf-8")
    cells = "".join(cell["source"] for cell in json.loads(notebook)["cells"])
    assert "CLASSES = [\n" in cells


@pytest.mark.parametrize("kind", ["safetensors", "pt2"])
def test_predictions_have_the_name(
    kind: str, studied: SearchResult, photo: Path, tmp_path: Path
) -> None:
    net = export(studied, tmp_path / f"net.{kind}").path
    (one,) = predict(net, photo)
    assert one.name == NAMES[one.label]
    line = ["predict", str(net), str(photo)]
    table = CliRunner().invoke(main, line).stdout
    assert table.splitlines()[0].split() == ["image", "class", "name", "probability"]
    assert "\x1b" not in table and "\udcff" not in table
    said = CliRunner().invoke(main, [*line, "--json"]).stdout
    assert said.isascii() and json.loads(said)[0]["name"] == one.name


def test_csv_is_a_line_an_image_and_no_formula(
    studied: SearchResult, data: DataSet, tmp_path: Path
) -> None:
    net = export(studied, tmp_path / "net.safetensors").path
    _with_bias(net, label=3)
    for index in range(4):
        pixels = data.test[0][index].movedim(0, -1).numpy()
        Image.fromarray(pixels).save(tmp_path / f"{index},.png")
    said = CliRunner().invoke(main, ["predict", str(net), str(tmp_path), "--csv"]).stdout
    heads, *rows = csv.reader(io.StringIO(said))
    assert heads == ["image", "class", "name", "probability", "inverted"]
    assert [Path(row[0]).name for row in rows] == ["0,.png", "1,.png", "2,.png", "3,.png"]
    assert {row[2] for row in rows} == {"'=not utf\\udcff8"} and rows[0][1] == "3"
    assert all(0 < float(row[3]) <= 1 and row[4] == "False" for row in rows)
    assert len(said.splitlines()) == 5
    both = CliRunner().invoke(main, ["predict", str(net), str(tmp_path), "--csv", "--json"])
    assert both.exit_code == 2 and "--csv must not be given with --json" in both.stderr
    _with_bias(net, label=0)
    said = CliRunner().invoke(main, ["predict", str(net), str(tmp_path), "--csv"]).stdout
    assert [row[2] for row in csv.reader(io.StringIO(said))][1:] == ['quo"ted\\n??/'] * 4


def _with_bias(net: Path, label: int) -> None:
    """Change weights so that one class is always predicted."""
    weights, metadata = load_file(net), _metadata(net)
    (bias,) = (
        name
        for name in weights
        if name.endswith("bias") and len(weights[name]) == 4 and "norm" not in name
    )
    weights[bias] = torch.zeros(4)
    weights[bias][label] = 1e4
    save_file(weights, net, metadata=metadata)


def _metadata(net: Path) -> dict[str, str]:
    with safe_open(net, "pt") as file:
        return dict(file.metadata())


def test_a_file_from_before_there_were_names(
    studied: SearchResult, photo: Path, tmp_path: Path
) -> None:
    net = export(studied, tmp_path / "net.safetensors").path
    metadata = _metadata(net)
    del metadata["class_names"], metadata["input_range"]
    save_file(load_file(net), net, metadata=metadata)
    (one,) = predict(net, photo)
    assert one.name == "" and open_net(net).class_names == ()
    table = CliRunner().invoke(main, ["predict", str(net), str(photo)]).stdout
    assert table.splitlines()[0].split() == ["image", "class", "probability"]


def test_weights_bring_their_names_to_images_without_any(
    studied: SearchResult, data: DataSet, tmp_path: Path
) -> None:
    net = export(studied, tmp_path / "net.safetensors").path
    bare = make_dataset(data.train, data.test, name="odd")
    written = export(net, tmp_path / "again.safetensors", dataset=bare)
    assert tuple(json.loads(written.metadata["class_names"])) == NAMES


@pytest.mark.parametrize(
    "change",
    [
        *({"class_names": text} for text in ("[", '["a"]', '["a","a","b","c"]', "[1,2,3,4]")),
        {"class_names": '{"a": 1}'},
        {"classes": "9" * 5000},
        {"classes": "five"},
        {"classes": "5"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_names_that_are_none_are_refused(
    change: dict[str, str], studied: SearchResult, tmp_path: Path
) -> None:
    net = export(studied, tmp_path / "net.safetensors").path
    save_file(load_file(net), net, metadata={**_metadata(net), **change})
    with pytest.raises(ExportError, match=r"a name for each class or none, .*`class_names`"):
        open_net(net)


def test_named_sets_have_torchvisions_names(tmp_path: Path) -> None:
    result = search(
        budget=500,
        epochs=1,
        target=0.01,
        dataset="digits",
        space="conv(4) gap linear(10)",
        trials=1,
        workers=1,
        study=tmp_path / "study",
        quiet=True,
    )
    assert result.class_names == tuple("0123456789")
    written = export(result, tmp_path / "net.safetensors")
    assert json.loads(written.metadata["class_names"]) == list("0123456789")
    assert not re.search("class_names", (tmp_path / "study" / "study.json").read_text())

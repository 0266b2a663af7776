"""Layers of one's own at the shell, and studies whose layers are not known here.

Each command is a process of its own: what is registered in this one would stay.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from at_shell import run
from own_layer import LAYERS

from lightsearch.cli.own_layers import move_to_front

SPACE = "conv(8) scale(start=0.5|1) maxpool conv(8|10) gap linear(10)"
HINT = "one of your own must be registered first (at the shell by --import FILE.py)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of such a layer, searched at the shell by worker processes."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_layers.py").write_text(LAYERS)
    line = "search --dataset digits --epochs 1 --trials 3 --target 0.05 --study scaled --seed 1"
    run(folder, *line.split(), "--space", SPACE, "--workers", "2", "--import", "my_layers.py")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "show --row 1 --import my_layers.py --json",
        pytest.param("--import my_layers.py show --row 1 --json", marks=pytest.mark.slow),
        pytest.param("show --import=my_layers.py --row 1 --json", marks=pytest.mark.slow),
    ],
)
def test_a_file_of_layers_may_be_named_anywhere(place: Path, line: str) -> None:
    layers = json.loads(run(place, *line.split()).stdout)["layers"]
    assert any(layer["layer"].startswith("scale") for layer in layers)


def test_a_row_with_such_a_layer_is_exported(place: Path) -> None:
    done = run(place, "export", "net.safetensors", "--import", "my_layers.py")
    assert "360 have PyTorch's class" in done.stdout


def test_without_the_file_the_rest_is_shown_and_the_gap_said(place: Path) -> None:
    shown = run(place, "show", "--row", "1").stdout
    assert "its layers cannot be shown: the layer kind must be one of" in shown and HINT in shown
    assert "scale" in run(place, "leaderboard").stdout
    done = run(place, "train", "--row", "1", code=2)
    assert HINT in done.stderr


@pytest.mark.slow
def test_without_the_file_reports_are_written_and_the_gap_said(place: Path) -> None:
    run(place, "report", "scaled")
    page = (place / "scaled/report.html").read_text()
    assert "Not drawn: the layer kind" not in page and page.count("<svg") == 0
    assert "data:image/svg+xml" in page
    run(place, "report", "scaled", "--row", "1", "--out", "row.md")
    text = (place / "row.md").read_text()
    assert "## Log" in text and "## Results" in text and HINT in text
    assert text.count("Left out: `scale` is no layer that is known here") >= 3


def test_with_the_file_only_the_code_is_left_out(place: Path) -> None:
    line = ["report", "scaled", "--row", "1", "--out", "with.md", "--import", "my_layers.py"]
    run(place, *line)
    text = (place / "with.md").read_text()
    assert "## Summary" in text and "ScaleModule" in text
    assert "Left out: source can be written for the library's own layer kinds" in text
    run(place, "report", "scaled", "--import", "my_layers.py")
    page = (place / "scaled/report.html").read_text()
    assert "but got &#39;scale&#39;" not in page and "but got 'scale'" not in page


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere.py", None, "`import` must be a Python file, such as layers.py"),
        ("layers.txt", "", "`import` must be a Python file, such as layers.py"),
        ("json.py", "", "must be a file whose name no other module has"),
        ("torch.py", "", "must be a file whose name no other module has"),
        ("broken.py", "x = y", "must be a file that can be imported, but broken.py raised NameE"),
        ("calls.py", "def f():\n    1 / 0\n\n\nf()\n", "raised ZeroDivisionError in line 2: div"),
        ("asks.py", "import json\n\njson.loads('')\n", "raised JSONDecodeError in line 3: Expect"),
        ("half.py", "x = 1\ny = ]\n", "raised SyntaxError in line 2: unmatched ']'\n"),
    ],
)
def test_a_file_that_cannot_be_imported(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    (tmp_path / "at").mkdir()
    if text is not None:
        (tmp_path / "at" / name).write_text(text)
    folder = tmp_path if name in ("json.py", "torch.py") else tmp_path / "at"
    given = f"at/{name}" if folder == tmp_path else name
    done = run(folder, "zoo", "--import", given, code=2)
    assert message in done.stderr and done.stdout == ""


@pytest.mark.parametrize("line", ["--import", "zoo --import", "zoo --json --import"])
def test_the_option_needs_a_file(tmp_path: Path, line: str) -> None:
    said = run(tmp_path, *line.split(), code=2).stderr
    assert "Option '--import' requires an argument." in said and "No such option" not in said


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("a --import f b", "--import f a b"),
        ("a --import=f b", "--import=f a b"),
        ("a -- --import f", "a -- --import f"),
        ("a --import", "a --import"),
        ("a b", "a b"),
    ],
)
def test_the_option_goes_to_the_front(given: str, meant: str) -> None:
    assert move_to_front(given.split()) == meant.split()

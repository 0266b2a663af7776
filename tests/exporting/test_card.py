"""Model cards: read by YAML, a Markdown parser and the Hub's library; their figures by PyTorch."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from markdown_it import MarkdownIt
from PIL import Image
from safetensors.torch import load_file
from scipy import stats
from torchinfo import summary

from lightsearch import (
    SearchResult,
    build,
    confirm,
    export,
    load,
    load_result,
    make_dataset,
    parse,
    read,
    search,
)
from lightsearch.cli import main
from lightsearch.data.dataset import DataSet
from lightsearch.errors import ArgumentError
from lightsearch.exporting.c.compiling import find_compiler
from lightsearch.exporting.card.header import list_header
from lightsearch.exporting.trained import TrainedNet

EXPORTS = [
    "net.safetensors",
    "net.pt2",
    "net.py",
    pytest.param("net.onnx", marks=pytest.mark.needs("onnx", "onnxruntime", "onnxscript")),
]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A study of the digits whose first row was confirmed with three seeds."""
    folder = tmp_path_factory.mktemp("studies") / "study"
    result = search(
        budget=900,
        epochs=2,
        target=0.2,
        dataset="digits",
        space="conv(4|6) maxpool separable(8) gate gap linear(10)",
        recipe="recipe(lr=0.1,batch=64,ema=0.9)",
        trials=2,
        workers=1,
        study=folder,
        quiet=True,
    )
    confirm(result.leaderboard.head(1), seeds=3, quiet=True)
    return load_result(folder)


def _parse(text: str) -> tuple[dict[str, Any], list[list[str]], str]:
    """A card's header, the cells of its tables row by row, and all of its text."""
    _, head, body = text.split("---\n", 2)
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    for before, token in itertools.pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        if before.type in ("td_open", "th_open"):
            rows[-1].append("".join(child.content for child in token.children or ()))
    plain = "\n".join(token.content for token in tokens)
    return yaml.safe_load(head), rows, plain


@pytest.fixture
def card(studied: SearchResult, tmp_path: Path) -> tuple[dict[str, Any], dict[str, str], str]:
    export(studied, tmp_path / "net.safetensors", card=tmp_path / "README.md", license="MIT")
    header, rows, text = _parse((tmp_path / "README.md").read_text(encoding="utf-8"))
    return header, {row[0]: row[1] for row in rows}, text


def test_the_header_is_the_hubs(card: Any, studied: SearchResult) -> None:
    header, _, _ = card
    assert header["license"] == "mit" and header["library_name"] == "lightsearch"
    assert header["pipeline_tag"] == "image-classification"
    assert header["metrics"] == ["accuracy"] and "datasets" not in header
    (model,) = header["model-index"]
    (result,) = model["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test"}
    (metric,) = result["metrics"]
    assert metric["type"] == "accuracy"
    assert metric["value"] == studied.leaderboard.loc[1, "best_accuracy"]


@pytest.mark.needs("huggingface_hub")
def test_the_hubs_own_library_reads_it(studied: SearchResult, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    export(studied, tmp_path / "net.safetensors", card=tmp_path / "README.md", license="my own")
    data = ModelCard.load(tmp_path / "README.md").data
    (result,) = data.eval_results
    assert (data.license, data.license_name) == ("other", "my own")
    assert result.task_type == "image-classification" and result.dataset_split == "test"
    assert result.metric_value == studied.leaderboard.loc[1, "best_accuracy"]


def test_figures_of_the_network_and_the_data(card: Any, studied: SearchResult) -> None:
    _, cells, text = card
    row, digits = studied.leaderboard.loc[1], load("digits")
    module = build(parse(str(row["design"])), (1, 8, 8))
    counted = summary(module, (1, 1, 8, 8), verbose=0)
    assert cells["Parameters"] == f"{counted.total_params:,}"
    assert cells["Multiply-accumulates an image"] == f"{row['macs']:,}"
    assert (
        f"{row['activation_bytes']:,} bytes in float32" in cells["Activation memory of one image"]
    )
    assert cells["Receptive field"].startswith(f"{row['receptive_field']} pixels, and the whole")
    assert str(row["design"]) in text and str(row["recipe"]) in text
    assert (cells["Training images"], cells["Test images"]) == ("1,437", "360")
    assert cells["Checksum of images and labels"] == digits.checksum
    assert cells["Data set"] == "digits" and "picked by" in cells["Selected on"]
    assert float(cells["Mean by channel"]) == pytest.approx(
        float(digits.train[0].double().mean() / 255)
    )
    assert [cells[str(label)] for label in range(10)] == list("0123456789")
    assert cells["Seed"] == str(row["seed"]) and cells["Weights of epoch"].endswith("averaged")
    assert cells["Search"] == f"2 designs trained, seed {studied.identity.seed}"
    assert f"torch={torch.__version__.partition('+')[0]} " in cells["Software"]


def test_results_say_how_they_came_about(card: Any, studied: SearchResult) -> None:
    _, cells, text = card
    row = studied.leaderboard.loc[1]
    right = round(row["best_accuracy"] * 360)
    assert (
        cells["This file"]
        == f"{int(right / 360 * 10000) / 100:.2f}% of 360 test images, by the file itself"
    )
    assert "the best one by the test images; one run" in cells["On record"]
    last = int(row["last_accuracy"] * 10000 + 1e-6) / 100
    assert cells["After the last epoch"] == f"{last:.2f}% of 360 test images"
    (runs,) = studied.runs.values()
    values = [run[-1].accuracy for run in runs]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert cells["Fresh seeds"].startswith(f"mean {100 * np.mean(values):.3f}% over 3 seeds")
    assert ", on test images; " in cells["Fresh seeds"]
    assert cells["Fresh seeds"].endswith(
        f"95% t interval {100 * max(low, 0):.3f}% to {100 * min(high, 1):.3f}%"
    )
    assert cells["Confirmation"] == row["confirmation"]
    assert "That flatters" in text and "License\nMIT" in re.sub(r"\n+", "\n", text)


def test_without_a_license_or_fresh_seeds_it_says_so(
    studied: SearchResult, tmp_path: Path
) -> None:
    export(studied, tmp_path / "net.pt2", row=2, card=tmp_path / "card.md")
    header, rows, text = _parse((tmp_path / "card.md").read_text())
    assert "license" not in header and "Not stated." in text
    assert ["Fresh seeds", "not trained"] in rows


def test_a_row_that_is_not_with_its_study(studied: SearchResult, tmp_path: Path) -> None:
    """The mean and deviation over seeds are in the CSV; the search's size is not."""
    row = pd.Series(read(studied.folder / "leaderboard.csv").loc[1].to_dict())
    export(row, tmp_path / "net.safetensors", card=tmp_path / "card.md")
    _, rows, _ = _parse((tmp_path / "card.md").read_text())
    cells = {row[0]: row[1] for row in rows}
    assert "trained again" in cells["Origin of the weights"] and "Search" not in cells
    found = studied.leaderboard.loc[1]
    assert f"mean {100 * found['confirmed_mean']:.3f}% over 3 seeds" in cells["Fresh seeds"]
    assert f"standard deviation {100 * found['confirmed_sd']:.3f} points" in cells["Fresh seeds"]
    assert ", on digits test images, which selected the design; " in cells["Fresh seeds"]


@pytest.mark.parametrize("name", EXPORTS)
def test_the_code_of_a_card_runs(
    name: str, studied: SearchResult, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = load("digits").test[0][5, 0].numpy()
    Image.fromarray(pixels).save("photo.png")
    export(studied, name, card="card.md")
    (code,) = re.findall(r"```python\n(.*?)```", Path("card.md").read_text(), re.DOTALL)
    exec(compile(code, "card", "exec"), {})
    row = studied.leaderboard.loc[1]
    module = build(parse(str(row["design"])), (1, 8, 8))
    weights = studied.folder / "weights" / f"trial-{int(row['trial']):05}.safetensors"
    module.load_state_dict(load_file(weights))
    train = load("digits").train[0].double() / 255
    image = (torch.from_numpy(pixels) / 255 - train.mean()) / train.std(correction=0)
    with torch.no_grad():
        label = int(module.eval()(image[None, None].float()).argmax())
    assert capsys.readouterr().out.strip().strip("tensor()") == f"[{label}]"
    commands = re.findall(r"```sh\n(.*?)```", Path("card.md").read_text(), re.DOTALL)
    for command in commands:
        said = CliRunner().invoke(main, command.split()[1:])
        assert said.exit_code == 0 and said.stdout.splitlines()[1].split()[1] == str(label)
    assert len(commands) == (name != "net.py")


@pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
def test_the_ground_of_a_card_is_that_of_training(card: Any) -> None:
    """The digits are bright on black; `predict` inverts others, the code of the card does not."""
    assert "(it must be bright on dark ground with a margin, as in training; " in card[2]


def test_the_c_of_a_card_compiles(studied: SearchResult, tmp_path: Path) -> None:
    export(studied, tmp_path / "net8.c", int8=True, card=tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text()
    (code,) = re.findall(r"```c\n(.*?)```", text, re.DOTALL)
    (tmp_path / "use.c").write_text(code)
    line = [str(find_compiler()), "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "use.c"]
    subprocess.run(line, cwd=tmp_path, check=True)
    assert "int8, batch norm folded" in text and "compiled with" in text


def test_odd_names_are_text_in_a_card(tmp_path: Path) -> None:
    names = ("a|b", "<i>*x*</i>", "`--- [y](z)", "line\n# feed \x1b \udcff &amp;")
    labels = np.arange(32) % 4
    images = np.random.default_rng(0).integers(0, 99, (32, 6, 6)) + 50 * labels[:, None, None]
    pair = (images.astype(np.uint8), labels)
    result = search(
        budget=200,
        epochs=5,
        target=0.01,
        space="conv(4) gap linear(4)",
        trials=1,
        workers=1,
        dataset=make_dataset(pair, pair, name='my "signs": {x} # |', class_names=names),
        study=tmp_path / "study",
        quiet=True,
    )
    export(result, tmp_path / 'it"s.pt2', card=tmp_path / "card.md", license='me: "x" #1')
    header, rows, _ = _parse((tmp_path / "card.md").read_text(encoding="utf-8"))
    assert header["license"] == "other" and header["license_name"] == 'me: "x" #1'
    assert header["model-index"][0]["name"] == 'it"s'
    assert header["model-index"][0]["results"][0]["dataset"]["name"] == 'my "signs": {x} # |'
    cells = {row[0]: row[1] for row in rows}
    shown = [*names[:3], "line\\n# feed \\x1b \\udcff &amp;"]
    assert [cells[str(label)] for label in range(4)] == shown
    assert cells["Data set"] == 'my "signs": {x} # |'


def test_a_card_is_replaced_as_the_file_is(studied: SearchResult, tmp_path: Path) -> None:
    file, card = tmp_path / "net.safetensors", tmp_path / "README.md"
    for _ in range(2):
        assert export(studied, file, card=card).card == card
    card.write_text("mine")
    with pytest.raises(
        ArgumentError, match=r"`card` must be a new file, but .*README\.md is there"
    ):
        export(studied, file, card=card)
    assert card.read_text() == "mine"
    export(studied, file, card=card, force=True)
    assert card.read_text().startswith("---\nlibrary_name")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"card": "card.txt"}, r"`card` must end in \.md, but got card\.txt"),
        ({"card": "nowhere/card.md"}, "`card` must be in a folder that exists, but got nowhere"),
        ({"license": "mit"}, "`license` must be given with `card`, but got 'mit'"),
        (
            {"card": "c.md", "license": ""},
            "`license` must be a name of 1 to 200 characters on one",
        ),
        ({"card": "c.md", "license": "a\nb"}, r"on one line, but got 'a\\nb'"),
        ({"card": "c.md", "license": 3}, "`license` must be the name of a license, but got"),
    ],
)
def test_wrong_arguments(
    arguments: Any, message: str, studied: SearchResult, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=message):
        export(studied, "net.safetensors", **arguments)
    assert not list(tmp_path.iterdir())


def test_the_command(studied: SearchResult, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["export", "net.safetensors", "--leaderboard", str(studied.folder)]
    said = CliRunner().invoke(main, [*line, "--card", "README.md", "--license", "cc-by-4.0"])
    assert said.exit_code == 0 and said.stdout.splitlines()[-1] == "card: README.md"
    assert _parse(Path("README.md").read_text())[0]["license"] == "cc-by-4.0"
    said = CliRunner().invoke(main, ["export", "net.ipynb", "--card", "README.md"])
    assert said.exit_code == 2 and "must not be given with" in said.stderr
    again = ["export", "two.pt2", "--weights", "net.safetensors", "--card", "two.md", "--json"]
    said = CliRunner().invoke(main, again)
    assert said.exit_code == 0 and '"card": "two.md"' in said.stdout
    assert "Not stated." in Path("two.md").read_text()


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("mnist", "ylecun/mnist"),
        ("cifar10-32", "uoft-cs/cifar10"),
        ("cifar100-24x32-gray", "uoft-cs/cifar100"),
        ("mnist-32", None),  # of a folder
        ("cifar10-folder-32", None),
        ("my signs", None),
    ],
)
def test_data_sets_of_the_hub_are_named_and_no_others(name: str, hub: str | None) -> None:
    images, labels = torch.zeros(4, 1, 6, 6, dtype=torch.uint8), torch.arange(4) % 2
    net = TrainedNet(
        parse("gap linear(2)"),
        DataSet(name, (images, labels), (images, labels), 2),
        {},
        {"selected_on": "val(size=2,seed=0)"},
    )
    header = yaml.safe_load("\n".join(list_header(net, Path("net.onnx"), 0.5, None)))
    assert header.get("datasets") == (hub and [hub])
    (result,) = header["model-index"][0]["results"]
    assert result["dataset"]["type"] == (hub or name.replace(" ", "-"))
    assert result["dataset"]["split"] == "validation"

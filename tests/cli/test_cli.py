"""The command line: in this process through click's runner, and as a real process."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from tiny import RECIPE, SPACE

from lightsearch import Budget, build, default_space, load_result, parse, zoo
from lightsearch.api import search
from lightsearch.cli import main
from lightsearch.cli import options as shared
from lightsearch.cli import search as search_room
from lightsearch.data import named as data
from lightsearch.data.catalogue import IMAGES
from lightsearch.formatting import percent
from lightsearch.searching.settings import SearchSettings
from lightsearch.study.figures import name_column
from lightsearch.study.leaderboard import read
from lightsearch.study.orders import ORDERS

HEAVY = ("torch", "torchvision", "optuna", "pandas", "sklearn", "numpy", "rich")
COMMANDS = (
    "search",
    "studies",
    "leaderboard",
    "report",
    "confirm",
    "compare",
    "show",
    "train",
    "export",
    "predict",
    "pack",
    "unpack",
    "zoo",
    "space",
    "doctor",
    "completion",
)
TINY = (
    "search",
    "--budget",
    "900",
    "--epochs",
    "3",
    "--target",
    "0.3",
    "--dataset",
    "digits",
    "--space",
    SPACE,
    "--recipe",
    RECIPE,
    "--trials",
    "2",
    "--workers",
    "1",
    "--seed",
    "3",
)


def _run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments), prog_name="lightsearch")
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def _process(*arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "lightsearch", *arguments],
        text=True,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a finished study, and what its search printed."""
    folder = tmp_path_factory.mktemp("studies") / "tiny"
    return folder, _run(*TINY, "--study", str(folder), "--json")


# Help -------------------------------------------------------------------------------------------


def test_alone_it_shows_help() -> None:
    assert _run().stdout == _run("--help").stdout
    assert [
        line.split()[0] for line in _run().stdout.split("Commands:\n")[1].splitlines()
    ] == list(COMMANDS)


def test_the_version() -> None:
    assert re.match(
        rf"lightsearch \S+ \(torch {re.escape(torch.__version__.split('+')[0])}",
        _run("--version").stdout,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *([c, "--help"] for c in COMMANDS),
        ["zoo", "--json"],
        ["show", "s1-final", "--json"],
        ["space", "conv(8|9) gap linear(10)"],
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_does_not_load_it(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom lightsearch.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print([m for m in sys.argv[1:] if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stderr.strip() == "[]"


def test_what_only_looks_at_a_study_loads_what_it_needs(
    studied: tuple[Path, Result], tmp_path: Path
) -> None:
    study, page = str(studied[0]), str(tmp_path / "report.html")
    for arguments, heavy in (
        (["leaderboard", study], ("torch", "pandas", "sklearn")),
        (["leaderboard", study, "--all", "--by", "params"], ("torch", "pandas", "sklearn")),
        (["report", study, "--out", page], ("torch",)),
        (["doctor"], ("torch", "pandas", "sklearn")),
    ):
        loaded = f"import sys\nprint(bool({set(heavy)} & {{*sys.modules}}))"
        code = f"from lightsearch.cli import main\nmain({arguments!r}, standalone_mode=False)\n"
        done = subprocess.run(
            [sys.executable, "-c", code + loaded],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "False", arguments


def test_what_is_not_given_is_the_librarys_default() -> None:
    given = main.commands["search"].make_context("search", []).params
    switches = {name: value for name, value in given.items() if value is not None}
    assert switches == {
        "keep_orientation": False,
        "repeatable": True,
        "confirm_halving": False,
        "quiet": False,
        "gray": False,
        "teacher": (),
        "as_json": False,
    }
    del given["quiet"], given["as_json"]
    assert search_room._settings(given, quiet=False) == SearchSettings(Budget(params=8000))


def test_every_argument_of_search_is_an_option() -> None:
    options = {p.name for p in main.commands["search"].params}
    assert (
        set(inspect.signature(search).parameters)
        - {"slots", "objective", "directions", "on_epoch", "on_trial"}
        <= options
    )
    assert options - set(inspect.signature(search).parameters) == {
        "budget_macs",
        "budget_activation_bytes",
        "budget_activation_bytes_int8",
        "min_receptive_field",
        "as_json",
        "dask",
        "size",
        "gray",
    }


def test_help_shows_the_defaults() -> None:
    text = " ".join(_run("search", "--help").stdout.split())
    for parameter in inspect.signature(search).parameters.values():
        if parameter.default is not None and not isinstance(parameter.default, bool):
            option = parameter.name.replace("_", "-")
            assert re.search(rf"--{option} [A-Z]+ .*?\[default: {parameter.default}\]", text)


def test_the_images_of_named_data_sets_are_known() -> None:
    assert set(IMAGES) == set(data.NAMES)
    folder = os.environ.get("LIGHTSEARCH_DATA")
    for name in ("digits", "mnist") if folder else ("digits",):
        found = data.load(name, folder)
        assert IMAGES[name] == (found.shape, found.classes)


def _examples() -> list[str]:
    texts = [main.help or "", *(c.help or "" for c in main.commands.values())]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [
        re.split(r"\s{3,}|\s>\s", line)[0]
        for line in lines
        if line.startswith("lightsearch ") and "STUDY" not in line
    ]


def test_the_examples_of_the_help_are_lines_that_can_be_typed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.txt").write_text(SPACE)
    examples = _examples()
    assert len(examples) >= 15
    for example in examples:
        name, *arguments = shlex.split(example)[1:]
        context = main.commands[name].make_context(name, list(arguments))
        for key in ("space", "text", "design"):
            text = context.params.get(key)
            if text is not None and text not in zoo:
                parse(text)
        if name in ("show", "zoo", "space") and "--row" not in arguments:
            _run(name, *arguments)


@pytest.mark.slow
def test_the_examples_of_a_search_on_the_digits_work(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = next(e for e in _examples() if "search --dataset digits --budget" in e)
    _run(*shlex.split(first)[1:], "--study", "small")
    for example in _examples():
        if "small" in example and example.split()[1] not in ("search", "confirm"):  # long
            _run(*shlex.split(example)[1:])
    assert load_file("best.safetensors")
    _run(*shlex.split(next(e for e in _examples() if "train 'conv" in e))[1:])


# Wrong usage and failures -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (
            "search --target 99.4",
            2,
            "lightsearch: `target` must be a number above 0 and at most 1",
        ),
        ("search --target 99,4%", 2, "'99,4%' is not a valid float: 0.994?"),
        ("confirm --target high", 2, "'high' is not a valid float."),
        ("search --target 1.0001", 2, "and at most 1, but got target=1.0001\n"),
        ("search --epochs 0", 2, "lightsearch: `epochs` must be an integer from 1"),
        ("search --epochs many", 2, "'many' is not a valid integer"),
        ("search --budget 0", 2, "lightsearch: `budget.params` must be an integer >= 1"),
        ("search --budget much", 2, "must be an integer or none, but got much"),
        ("search --budget-macs -3", 2, "lightsearch: `budget.macs` must be"),
        ("search --dataset minst", 2, "lightsearch: `dataset` must be one of mnist"),
        ("search --dataset digits --space 'conv(8'", 2, "lightsearch: expected `,` or `)`"),
        ("search --dataset digits --space conv(8)", 2, "at least one design of a space must fit"),
        ("search --dataset digits --space @nowhere.txt", 2, "nowhere.txt cannot be read"),
        (
            "search --dataset digits --recipe recipe(speed=1)",
            2,
            "lightsearch: recipe: the field must",
        ),
        (
            "search --dataset digits --budget 9",
            2,
            "no design of this space has at most 9 parameters",
        ),
        (
            "search --dataset digits --sampler best",
            2,
            "lightsearch: `sampler` must be one of model",
        ),
        ("search --dataset digits --device tpu", 2, "lightsearch: `device` must be"),
        ("search --colour red", 2, "No such option"),
        ("search --data nowhere", 1, "lightsearch: the data set 'mnist' was not found"),
        ("find", 2, "No such command 'find'"),
        ("leaderboard", 2, "lightsearch: the study must be given, or be here"),
        ("report", 2, "lightsearch: the study must be given, or be here"),
        ("confirm", 2, "lightsearch: the study must be given, or be here"),
        ("leaderboard a --study b", 2, "the study's folder must be given once"),
        ("leaderboard nowhere", 1, "lightsearch: a study's folder must hold a study.json"),
        ("leaderboard nowhere --csv --json", 2, "must not be given together"),
        ("leaderboard nowhere --by luck", 2, "is not one of"),
        ("show", 2, "a design must be given, or --row RANK"),
        ("show s1-final --row 1", 2, "a design must be given, or --row RANK"),
        ("show s1-final --leaderboard x.csv", 2, "--leaderboard must be given with --row"),
        ("show --row 1", 2, "lightsearch: the study must be given, or be here"),
        ("show s1-finl", 2, "did you mean 's1-final'?"),
        ("show 'conv(8|9) gap linear(10)'", 2, "lightsearch: a layer must have no choices left"),
        ("show conv(8,k=9,p=0) --dataset digits", 2, "lightsearch: "),
        ("show conv(8) --shape 28x28", 2, "it must be like 1x28x28"),
        ("show conv(8) --dataset cifar", 2, "lightsearch: `dataset` must be one of mnist"),
        ("train conv(8) --dataset digits", 2, "lightsearch: the output must be 10x1x1"),
        ("train 'conv(8) gap linear(10)' --recipe published", 2, "`recipe` must be notation"),
        (
            "train 'conv(8) gap linear(10)' --dataset digits --epochs 0",
            2,
            "`epochs` must be an int",
        ),
        (
            "train s1-final --save nowhere/x.safetensors",
            2,
            "`save` must be a file in a folder that",
        ),
        ("export net.onnx", 2, "lightsearch: the study must be given, or be here"),
        ("export net.tflite --weights x.safetensors", 2, "lightsearch: `path` must end in .onnx"),
        ("export net.py --weights nowhere.safetensors", 1, "a safetensors file must be readable"),
        ("export net.py --weights x.safetensors --row 1", 2, "--weights must not be given with"),
        (
            "predict net.onnx digit.png",
            2,
            "lightsearch: a network must be a file, but there is no",
        ),
        ("zoo s9-final", 2, "lightsearch: a zoo name must be one of s0-large"),
        ("space 'conv(8) ]'", 2, "`]` must close a bracket"),
        ("space --budget 10", 2, "lightsearch: no design of this space has at most 10 parameters"),
        ("space --notation --json", 2, "must not be given together"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    line: str, code: int, message: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSEARCH_DATA", raising=False)
    monkeypatch.setattr(data, "cache_folder", lambda: str(tmp_path / "cache"))
    data._load.cache_clear()
    result = _run(*shlex.split(line), code=code)
    assert message in result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.glob("lightsearch-studies/*"))


# Search and leaderboard -------------------------------------------------------------------------


def test_a_search_prints_its_result_as_json(studied) -> None:
    folder, printed = studied
    result = json.loads(printed.stdout)
    assert result["study"] == str(folder)
    assert result["hits"] == len(result["leaderboard"]) >= 1
    assert sum(result["trials"].values()) == 2
    assert result["counts"]["drawn"] >= 2
    first, written = result["leaderboard"][0], read(folder / "leaderboard.csv").loc[1]
    assert first["rank"] == 1
    assert first["design"] == written["design"]
    assert first["best_accuracy"] == pytest.approx(written["best_accuracy"], abs=1e-12)
    assert isinstance(first["params"], int)


def test_its_progress_goes_to_standard_error_in_plain_lines(studied) -> None:
    _, printed = studied
    lines = printed.stderr.splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("trial #0 ") for line in lines) == 3  # its epochs
    assert not any(line.startswith("trial #1 ") for line in lines)
    assert sum(line.startswith(("hit ", "complete ", "pruned ")) for line in lines) == 2
    assert any("Ctrl-C is safe" in line for line in lines)


def test_the_same_line_again_only_shows(studied) -> None:
    folder, printed = studied
    again = _run(*TINY, "--study", str(folder), "--quiet")
    assert again.stderr == ""
    first = json.loads(printed.stdout)["leaderboard"][0]
    line = again.stdout.splitlines()[1]
    assert line.split()[:2] == ["1", percent(first["best_accuracy"])]
    assert line.endswith(first["design"])
    shown = _run(*TINY, "--study", str(folder))
    assert "continuing: 2 trials so far" in shown.stdout and first["design"] in shown.stdout


def test_another_question_in_the_folder_is_a_failure(studied) -> None:
    folder, _ = studied
    result = _run(*TINY, "--study", str(folder), "--epochs", "4", code=1)
    assert result.stderr.startswith("lightsearch: a study must be continued with the question")
    assert "epochs=3 there, 4 asked for" in result.stderr


def test_a_search_without_a_hit_has_a_code_of_its_own(tmp_path: Path) -> None:
    line = [
        *TINY,
        "--study",
        str(tmp_path / "s"),
        "--target",
        "1.0",
        "--trials",
        "1",
        "--epochs",
        "1",
    ]
    result = _run(*line, code=3)
    assert "No design reached 100.00% so far." in result.stdout
    assert json.loads(_run(*line, "--json", "--quiet", code=3).stdout)["leaderboard"] == []
    assert "no design has reached the target" in _run("leaderboard", str(tmp_path / "s")).stdout
    assert (
        "1 trial; one run each, accuracies of the test images, which selected the designs\n"
        in _run("leaderboard", str(tmp_path / "s"), "--all").stdout
    )


def test_all_caps_of_the_budget_reach_the_study(tmp_path: Path) -> None:
    _run(
        *TINY,
        "--study",
        str(tmp_path / "s"),
        "--budget",
        "none",
        "--budget-macs",
        "900000",
        "--budget-activation-bytes",
        "800000",
        "--timeout",
        "0.01",
        "--quiet",
        code=3,
    )
    assert load_result(tmp_path / "s").identity.budget == Budget(
        macs=900_000, activation_bytes=800_000
    )
    other = [a for a in TINY if a not in ("--budget", "900")]
    _run(
        *other,
        "--study",
        str(tmp_path / "t"),
        "--budget-macs",
        "900000",
        "--timeout",
        "0.01",
        "--quiet",
        code=3,
    )
    assert load_result(tmp_path / "t").identity.budget == Budget(params=8000, macs=900_000)
    _run(
        *TINY,
        "--study",
        str(tmp_path / "u"),
        "--budget-activation-bytes-int8",
        "200000",
        "--timeout",
        "0.01",
        "--quiet",
        code=3,
    )
    assert load_result(tmp_path / "u").identity.budget == Budget(
        params=900, activation_bytes=800_000
    )
    assert (
        "they are one cap"
        in _run(
            "space",
            "--budget-activation-bytes-int8",
            "2",
            "--budget-activation-bytes",
            "8",
            code=2,
        ).stderr
    )


def test_space_and_recipe_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "space.txt").write_text(SPACE + "\n")
    (tmp_path / "recipe.txt").write_text(RECIPE + "\n")
    _run(
        *TINY,
        "--study",
        str(tmp_path / "s"),
        "--space",
        f"@{tmp_path / 'space.txt'}",
        "--recipe",
        f"@{tmp_path / 'recipe.txt'}",
        "--timeout",
        "0.01",
        "--quiet",
        code=3,
    )
    identity = load_result(tmp_path / "s").identity
    assert (identity.space, identity.recipe) == (str(parse(SPACE)), RECIPE)


def test_the_leaderboard_in_its_forms(studied) -> None:
    folder, printed = studied
    board = json.loads(printed.stdout)["leaderboard"]
    assert json.loads(_run("leaderboard", str(folder), "--json").stdout) == board
    csv = _run("leaderboard", "--study", str(folder), "--csv").stdout
    assert csv == (folder / "leaderboard.csv").read_text()
    by_params = json.loads(_run("leaderboard", str(folder), "--by", "params", "--json").stdout)
    assert [r["params"] for r in by_params] == sorted(r["params"] for r in board)
    every = json.loads(_run("leaderboard", str(folder), "--all", "--json").stdout)
    assert [r["trial"] for r in every] == [0, 1]
    assert {r["outcome"] for r in every} <= {"complete", "pruned"}
    for order in ORDERS:
        rows = _run("leaderboard", str(folder), "--by", order).stdout.splitlines()
        column = name_column(ORDERS[order].column)
        assert f"  {column}  " in rows[0] and len(rows) == len(board) + 2
        assert f" by {column}; one run each" in rows[-1]
        assert _run("leaderboard", str(folder), "--all", "--by", order).stdout.startswith("trial")
    means = json.loads(_run("leaderboard", str(folder), "--means", "--json").stdout)
    assert [r["rank"] for r in means] == list(range(1, len(means) + 1))
    text = _run("leaderboard", str(folder), "--means").stdout
    assert text.splitlines()[0].split()[:3] == ["rank", "shrunken", "mean"]
    assert f"{len(means)} designs, last epoch, digits test images; standard deviation" in text
    _run("leaderboard", str(folder), "--means", "--by", "params", code=2)
    for row in every:
        assert row["activation_bytes"] == 4 * row["activation_bytes_int8"] > 0
    text = _run("leaderboard", str(folder), "--all", "--by", "accuracy").stdout
    for row in every:
        assert f" {row['activation_bytes']:,}  {row['activation_bytes_int8']:>21,}" in text
    cells = [line.split()[1] for line in text.splitlines()[1:-1]]
    assert cells == sorted(cells, reverse=True)
    assert "2 trials by best accuracy; one run each, accuracies of the test images" in text
    assert "(first_hit_epoch)" in _run("leaderboard", "--help").stdout


# Show, zoo, space -------------------------------------------------------------------------------


def test_show_prints_the_layer_table() -> None:
    text = _run("show", "conv(8) maxpool separable(16) gap linear(10)").stdout
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["[0]", "conv(8)", "8x28x28", "88", "56,448", "3", "1"] in rows  # 72 + 16; 72 * 784
    assert ["[1]", "maxpool", "8x14x14", "0", "0", "4", "2"] in rows
    assert ["[4]", "linear(10)", "10x1x1", "170", "160", "34", "2"] in rows
    assert "490 parameters, 95,808 MACs" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_show_follows_the_data_set_and_the_shape() -> None:
    def output(*more: str) -> Any:
        return json.loads(_run("show", "conv(8)", "--json", *more).stdout)["output"]

    assert output("--dataset", "digits") == [8, 8, 8]
    assert output("--shape", "3x32x20") == [8, 32, 20]
    assert output() == [8, 28, 28]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_have_a_mark_lines_of_windows_and_comments(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "# größere Netze\r\nconv(8)  # the stem\r\ngap linear(10)\r\n"
    (tmp_path / "design.txt").write_bytes(text.encode(encoding))
    monkeypatch.setenv("HOME", str(tmp_path))
    for file in (tmp_path / "design.txt", "~/design.txt"):
        found = json.loads(_run("show", f"@{file}", "--dataset", "digits", "--json").stdout)
        assert found["design"] == "conv(8) gap linear(10)"


def test_a_file_of_notation_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("größe".encode("latin-1"))
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("latin", "UTF-8 or UTF-16"), ("pipe", "no regular file")):
        assert said in _run("show", f"@{tmp_path / name}", code=2).stderr


def test_show_takes_notation_a_file_a_name_and_a_row(studied, tmp_path: Path) -> None:
    folder, printed = studied
    assert json.loads(_run("show", "s1-final", "--json").stdout)["params"] == 8546
    (tmp_path / "design.txt").write_text("conv(8) gap linear(10)\n")
    text = _run("show", f"@{tmp_path / 'design.txt'}", "--json").stdout
    assert json.loads(text)["params"] == 178
    row = json.loads(_run("show", "--row", "1", "--leaderboard", str(folder), "--json").stdout)
    first = json.loads(printed.stdout)["leaderboard"][0]
    assert {k: row[k] for k in ("design", "params", "macs")} == {
        k: first[k] for k in ("design", "params", "macs")
    }
    assert row["input"] == [1, 8, 8]
    result = _run("show", "--row", "9", "--leaderboard", str(folder), code=2)
    assert "`row` must be a rank in" in result.stderr


def test_show_prints_torchinfos_summary() -> None:
    assert "Total params: 8,546" in _run("show", "s1-final", "--torchinfo").stdout


def test_the_zoo() -> None:
    lines = _run("zoo").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(zoo)
    s1 = next(line for line in lines if line.startswith("s1-final"))
    assert "8,546" in s1 and "99.41%" in s1  # as published
    listed = json.loads(_run("zoo", "--json").stdout)
    assert [e["name"] for e in listed] == list(zoo)
    text = _run("zoo", "s1-final").stdout
    assert "8,546 parameters" in text and str(zoo["s1-final"].design) in text
    assert json.loads(_run("zoo", "s1-final", "--json").stdout) == listed[2]


def test_a_space_is_counted() -> None:
    # 8 or 12, then nothing, 8 or 12: 72 + 16 + 90 = 178, 108 + 24 + 130 = 262, 770, ...
    line = ["space", "conv(8|12) maxpool conv(8|12)? gap linear(10)", "--budget", "800"]
    found = json.loads(_run(*line, "--json", "--bins", "4").stdout)
    assert (found["designs"], found["within"], found["exact"]) == (6, 3, True)
    assert (found["smallest"], found["smallest_params"]) == ("conv(8) maxpool gap linear(10)", 178)
    assert sum(b["designs"] for b in found["histogram"]) == 6
    largest = "conv(8) maxpool conv(8) gap linear(10)", 770
    assert (found["largest"], found["largest_params"], found["falls_short"]) == (*largest, False)
    text = _run(*line, "--bins", "4").stdout
    assert "within    3 (50.0%), of at most 800 parameters" in text
    bars = [entry for entry in text.splitlines() if " - " in entry]
    assert len(bars) == 4 and sum("< budget" in bar for bar in bars) == 1
    assert max(bar.count("#") for bar in bars) == 40
    assert f"largest   {largest[1]:,} parameters: {largest[0]}" in text and "note " not in text
    text = _run(*line[:2], "--budget", "8000").stdout
    assert "note      the largest design within the budget has " in text
    assert "less than half of the 8,000 allowed" in text


def test_a_cap_out_of_reach_names_the_nearest_design_and_what_to_change() -> None:
    line = ["space", "conv(8|12) maxpool conv(8|12)? gap linear(10)", "--budget-macs", "40000"]
    error = _run(*line, code=2).stderr
    assert "has at most 8,000 parameters and 40,000 MACs" in error
    assert "the nearest is `conv(8) maxpool gap linear(10)` with 56,528 MACs" in error
    assert "a stride of 2 or a pooling earlier" in error
    line[2:] = ["--budget-activation-bytes-int8", "4000"]
    assert "bytes of activations (7,840 in int8)" in _run(*line, code=2).stderr


def test_the_default_space_follows_the_images_and_is_printed_to_be_edited() -> None:
    mnist, letters = (
        parse(_run("space", "--notation", "--dataset", d).stdout.strip())
        for d in ("mnist", "emnist-letters")
    )
    assert mnist != letters
    assert "linear(26)" in str(letters)
    assert "linear(7)" in _run("space", "--notation", "--classes", "7").stdout
    wide = _run("space", "--notation", "--budget", "50000").stdout.strip()
    assert parse(wide) == default_space(budget=Budget(params=50_000)) != default_space()


# Train ------------------------------------------------------------------------------------------

DESIGN = "conv(6) maxpool gap linear(10)"
TRAIN = ("train", DESIGN, "--dataset", "digits", "--recipe", "recipe(lr=0.1,batch=64,ema=0.9)")


def test_training_prints_a_line_an_epoch_and_saves_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    text = _run(*TRAIN, "--epochs", "2", "--save", str(path)).stdout
    lines = [line for line in text.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    digits = data.load("digits")
    module = build(parse(DESIGN), digits.shape)
    module.load_state_dict(load_file(path))
    module.eval()
    mean, std = digits.mean_std
    pixels = (digits.test[0].float() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        correct = int((module(pixels).flatten(1).argmax(1) == digits.test[1]).sum())
    assert f"last {percent(correct / 360)}" in text


def test_training_as_json_and_its_seed() -> None:
    def accuracies(*more: str) -> Any:
        found = json.loads(_run(*TRAIN, "--epochs", "1", "--json", *more).stdout)
        assert found["same"] is None
        return [(e["correct"], e["train_loss"]) for e in found["epochs"]]

    assert accuracies() == accuracies("--seed", "0") != accuracies("--seed", "1")


def test_a_published_recipe_brings_its_epochs(monkeypatch) -> None:
    from lightsearch.cli import design_argument as picking
    from lightsearch.cli import train as training

    given: dict[str, Any] = dict.fromkeys(
        ("recipe", "epochs", "seed", "data", "device", "engine", "precision")
    )
    given |= {"dataset": "digits", "teacher": ()}
    picked = picking.pick("s3-model5", None, None)
    task = training._task(picked, **{**given, "recipe": "published"})
    assert (task.epochs, str(task.recipe)) == (25, "recipe(lr=0.01,constant,rotation=7)")
    task = training._task(picked, **{**given, "recipe": "published", "epochs": 3, "seed": 8})
    assert (task.epochs, task.seed) == (3, 8)
    assert training._task(picked, **given).epochs == 15


def test_a_row_is_trained_again_and_compared(studied, tmp_path: Path) -> None:
    folder, _ = studied
    line = ["train", "--row", "1", "--leaderboard", str(folder)]
    text = _run(*line).stdout
    assert text.endswith("the same as the row\n")
    assert json.loads(_run(*line, "--json").stdout)["same"] is True
    frame = pd.read_csv(folder / "leaderboard.csv")
    frame.loc[0, "last_accuracy"] -= 1 / 360
    frame.to_csv(tmp_path / "other.csv", index=False)
    other = ["train", "--row", "1", "--leaderboard", str(tmp_path / "other.csv")]
    result = _run(*other, code=4)
    assert re.search(r"different: last (\d+)/360 here, (\d+)/360 in the row\n$", result.stdout)
    found = json.loads(_run(*other, "--json", code=4).stdout)
    assert found["same"] is False and len(found["differences"]) == 1
    assert "as the row" not in _run(*other, "--seed", "1").stdout  # another training


def test_a_row_that_was_stopped_early_is_trained_as_far(studied, tmp_path: Path) -> None:
    folder, _ = studied
    frame = pd.read_csv(folder / "leaderboard.csv")
    found = json.loads(_run("train", "--row", "1", "--leaderboard", str(folder), "--json").stdout)
    first = found["epochs"][0]["accuracy"]
    frame.loc[0, ["epochs_trained", "best_epoch", "best_accuracy", "last_accuracy"]] = [
        1,
        1,
        first,
        first,
    ]
    frame.to_csv(tmp_path / "early.csv", index=False)
    text = _run("train", "--row", "1", "--leaderboard", str(tmp_path / "early.csv")).stdout
    assert "3 epochs, stopping after 1 as the row did" in text
    assert text.endswith("the same as the row\n")


def test_hits_of_a_study_are_confirmed_and_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    line = [*TINY, "--study", str(folder), "--epochs", "1", "--trials", "2", "--target", "0.1"]
    done = _run(*line, "--confirm", "2", "--confirm-top", "2", "--json")
    board = json.loads(done.stdout)["leaderboard"]
    assert "Confirming" in done.stderr
    assert [row["confirmed_n"] for row in board] == [2] * len(board)
    assert {row["confirmed_on"] for row in board} == {"digits test, selected on"}
    again = _run(
        "confirm",
        "--study",
        str(folder),
        "--top",
        "2",
        "--seeds",
        "2",
        "--json",
        code=0 if any(row["confirmed"] for row in board) else 3,
    )
    rows = {row["design"]: row for row in json.loads(again.stdout)}
    assert [row["confirmed_mean"] for row in board] == [rows[r["design"]]["mean"] for r in board]
    assert json.loads(_run("leaderboard", str(folder), "--json").stdout) == board
    said = _run("leaderboard", str(folder)).stdout
    assert said.endswith("fresh seeds on digits test images, which selected the design\n")
    assert re.split(r"\s{2,}", said.splitlines()[0])[:7] == [
        "rank",
        "best accuracy",
        "best epoch",
        "last accuracy",
        "first hit epoch",
        "confirmation",
        "confirmed n",
    ]
    one = _run(
        "confirm",
        "--row",
        "1",
        "--leaderboard",
        str(folder),
        "--seeds",
        "2",
        code=0 if board[0]["confirmed"] else 3,
    )
    assert "2 of 2 seeds on digits test images, which selected the design" in one.stdout
    line = ["confirm", "--study", str(folder), "--seeds", "2", "--json"]
    halved = _run(*line, "--halving", code=0 if any(row["confirmed"] for row in board) else 3)
    assert halved.stdout == again.stdout  # all their runs are there
    assert _run("confirm", "--study", str(folder), "--seeds", "3", code=1).stderr.startswith(
        "lightsearch: designs of one study must be confirmed on the same terms"
    )


def test_a_design_that_is_not_confirmed_has_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [
        "confirm",
        "conv(4) gap linear(10)",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--seeds",
        "2",
        "--target",
        "0.9",
    ]
    assert "not confirmed, 2 of 2 seeds on digits test images" in _run(*line, code=3).stdout
    (row,) = json.loads(_run(*line, "--json", code=3).stdout)
    assert (row["confirmed"], row["n"], row["on"]) == (False, 2, "digits test")
    monkeypatch.chdir(tmp_path)
    said = _run("confirm", code=2).stderr
    assert "the study must be given, or be here or in lightsearch-studies, but" in said
    _run(*line, "--top", "1", code=2)
    _run("confirm", "--study", str(tmp_path), "--top", "0", code=2)


def test_held_out_images_select_and_every_figure_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    line = [
        *TINY,
        "--study",
        str(folder),
        "--select-on",
        "val",
        "--val-size",
        "200",
        "--val-seed",
        "5",
    ]
    text = _run(*line).stdout
    assert "on digits (val: 200 training images held out) within 3 epochs" in text
    board = json.loads(_run("leaderboard", str(folder), "--json").stdout)
    assert {row["selected_on"] for row in board} == {"val(size=200,seed=5)"}
    said = _run("leaderboard", str(folder)).stdout
    assert "  test accuracy  " in said.splitlines()[0]
    assert "of held-out images, val(size=200,seed=5), which selected the designs" in said
    for line in text.splitlines():  # no accuracy without the images that it is of
        if re.search(r"\d\.\d\d%", line) and not line.startswith("Searching"):
            assert " val" in line or line.split()[0].isdigit(), line
    again = _run("train", "--row", "1", "--leaderboard", str(folder)).stdout
    assert again.endswith("the same as the row\n") and " val " in again
    found = json.loads(_run("train", "--row", "1", "--leaderboard", str(folder), "--json").stdout)
    last = found["epochs"][-1]
    assert last["test_correct"] / last["test_total"] == pytest.approx(board[0]["test_accuracy"])
    assert last["total"] == 200 and found["selected_on"] == "val(size=200,seed=5)"
    _run("search", "--dataset", "digits", "--val-size", "200", code=2)


# Real processes ---------------------------------------------------------------------------------


def _until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return seen
    raise AssertionError(f"{word!r} was never printed: {seen}")


@pytest.mark.slow
def test_stopped_with_ctrl_c_it_says_how_to_go_on(tmp_path: Path) -> None:
    line = [*TINY, "--study", "my study", "--epochs", "200", "--pruner", "none"]
    process = _process(*line, cwd=tmp_path)
    seen = _until(process, "epoch  2/200")
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - start < 30
    assert "\x1b" not in seen and "Traceback" not in errors
    said = errors.splitlines()[-2:]
    assert said[0] == "lightsearch: stopped; the same line again continues:"
    assert shlex.split(said[1]) == ["lightsearch", *line]
    trials = load_result(tmp_path / "my study").records
    assert [t.outcome for t in trials] == ["running"] and len(trials[0].epochs) >= 2


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    code = "import sys; from lightsearch.cli import main; main(['zoo', '--json'])"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_python_m_is_the_command() -> None:
    process = _process("zoo", "s1-final")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("s1-final, document 001\n")


def test_exit_codes_are_told() -> None:
    codes: Sequence[str] = (
        _run("--help").stdout,
        _run("search", "--help").stdout,
        _run("train", "--help").stdout,
    )
    assert "2 wrong usage" in codes[0]
    assert f"{shared.NO_HIT} when it is over without any" in codes[1]
    assert f"{shared.DIFFERENT} if a row's accuracies came out different" in codes[2]


def test_main_is_a_click_command() -> None:
    assert isinstance(main, click.Group)
    assert list(main.commands) == list(COMMANDS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_terminals_whose_user_wants_them(
    tmp_path: Path, environment: dict[str, str], coloured: bool
) -> None:
    import pty

    child, parent_end = pty.fork()
    if not child:
        os.environ.update({"TERM": "xterm-256color", **environment})
        os.execv(
            sys.executable,
            [sys.executable, "-m", "lightsearch", *TINY, "--study", str(tmp_path / "s")],
        )
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is closed
        while part := os.read(parent_end, 4096):
            shown += part
    assert os.waitpid(child, 0)[1] == 0
    assert b"\x1b[" in shown, "bold and the live display are no colours"
    colours = set(re.findall(rb"\x1b\[(?:\d+;)*([349]\d)(?:;\d+)*m", shown))
    assert bool(colours) == coloured

"""What fits a board: sizes by hand, and those of an exported file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lightsearch import cost, parse
from lightsearch.cli import main
from lightsearch.errors import ArgumentError
from lightsearch.exporting.c.boards import BOARDS, CODE, STACK, find_board, fit
from lightsearch.exporting.c.sizes import count_bytes

DESIGN = "conv(8) maxpool conv(16) gap linear(10)"


def _run(*words: str) -> Result:
    return CliRunner().invoke(main, ["show", DESIGN, *words], env={"COLUMNS": "160"})


def test_sizes_by_hand() -> None:
    weights, outputs, windows = 72 + 1152 + 160, 8 + 16 + 10, 3 * 60
    found = count_bytes(cost(parse(DESIGN), (1, 28, 28)), (1, 28, 28))
    assert found["float32"] == (4 * (weights + outputs + 2) + windows, 31_360)
    levels = 256  # of a pixel; a bias, a multiplier and a shift an output
    assert found["int8"] == (weights + 9 * outputs + windows + levels, 7_840)


def test_sizes_are_those_of_the_exported_file(tmp_path: Path) -> None:
    design = "conv(4,act-norm) loop([conv(4,gelu)],2) se gap linear(10)"
    weights = tmp_path / "weights.safetensors"
    train = ["train", design, "--dataset", "digits", "--epochs", "1", "--save", str(weights)]
    assert CliRunner().invoke(main, train).exit_code == 0
    sizes = count_bytes(cost(parse(design), (1, 8, 8)), (1, 8, 8))
    for kind, words in (("float32", []), ("int8", ["--int8"])):
        export = ["export", str(tmp_path / "net.c"), "--weights", str(weights), "--json", *words]
        said = json.loads(CliRunner().invoke(main, export).output)
        assert abs(said["value_bytes"] - sizes[kind][0]) <= (4 if kind == "int8" else 0)


def test_what_does_not_fit_is_named() -> None:
    board = BOARDS["blue-pill"]
    room = board.flash - CODE, board.ram - STACK
    assert fit(board, "int8", *room).lacks == ()
    assert fit(board, "int8", room[0] + 1, room[1]).lacks == ("flash",)
    assert fit(board, "int8", room[0] + 1, room[1] + 1).lacks == ("flash", "RAM")


def test_the_command_line_shows_a_board() -> None:
    lines = _run("--board", "uno-r4").output.splitlines()
    plain, int8 = (line for line in lines if line.startswith("uno-r4"))
    assert "31,360  too little RAM" in plain and "7,840  fits" in int8
    every = _run("--board", "all", "--json")
    found = json.loads(every.output)["boards"]
    assert {one["name"] for one in found} == set(BOARDS) and len(found) == 2 * len(BOARDS)
    assert "boards" not in json.loads(_run("--json").output)


def test_another_board_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"one of blue-pill, .*'pica' \(did you mean pico\?\)"):
        find_board("pica")
    assert _run("--board", "teapot").exit_code == 2

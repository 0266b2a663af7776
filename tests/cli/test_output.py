"""Tables that a command prints. The oracle for their lines is Rich."""

import io
import sys

import click
import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightsearch.cli.output import print_table

HEADS = ["rank", "name", "params"]
ROWS = [[1, "conv(8)", "1,234"], [10, "日本語", "-"], [3, "", "99"]]


def draw(width: int, rows: list[list[object]]) -> list[str]:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("rank", justify="right", no_wrap=True, overflow="fold")
    table.add_column("name", justify="left", overflow="fold")
    table.add_column("params", justify="right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_in_a_pipe_is_as_wide_as_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADS, ROWS, left=("name",))
    assert capsys.readouterr().out.splitlines() == draw(10_000, ROWS)


def test_a_line_in_a_pipe_is_one_row_whatever_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADS, [[1, "a\nb\x1b[2J", 5]], left=("name",))
    assert capsys.readouterr().out.splitlines()[1:] == [r"   1  a\nb\x1b[2J       5"]


def test_a_table_in_a_terminal_is_fitted_to_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    rows = [[1, "conv(8) " * 10, "1,234"]]
    print_table(HEADS, rows, left=("name",))
    printed = [line.rstrip() for line in click.unstyle(capsys.readouterr().out).splitlines()]
    assert printed == draw(30, rows)
    assert len(printed) > 4
    assert max(map(len, printed)) <= 30


def test_a_head_of_several_words_does_not_widen_its_column_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_table(["rank", "best accuracy", "", "low to high"], [[1, "99.4%", "", "1.2 to 3.4"]])
    printed = [line.rstrip() for line in click.unstyle(capsys.readouterr().out).splitlines()]
    assert printed == [
        "          best        low to",
        "rank  accuracy          high",
        "   1     99.4%    1.2 to 3.4",
    ]


def test_no_figure_is_cut_off_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    rows = [[1, "conv(8) " * 10, "1,234"]]
    print_table(HEADS, rows, left=("name",))
    assert click.unstyle(capsys.readouterr().out).splitlines() == draw(10_000, rows)


@pytest.mark.parametrize(
    ("width", "hidden"), [(60, ()), (44, ("MACs",)), (34, ("params", "MACs"))]
)
def test_a_terminal_without_room_has_minor_columns_left_out(
    width: int,
    hidden: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    heads, row = ["MACs", "rank", "params", "name"], ["1,234,567", "1", "7,546", "conv(8) " * 20]
    print_table(heads, [row], left=("name",), minor=("params", "MACs"))
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert lines[0].split() == [name for name in heads if name not in hidden]
    assert max(len(line.rstrip()) for line in lines if "no room" not in line) <= width
    said = [f"(no room here for {', '.join(hidden)}: a wider terminal or --csv)"]
    assert [line for line in lines if "no room" in line] == (said if hidden else [])
    for name, cell in zip(heads, row, strict=True):
        assert (cell.split()[0] in lines[1].split()) == (name not in hidden)

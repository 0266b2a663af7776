"""The files of a report: names that are not UTF-8, pictures and programs of somebody else."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import made
import pytest

from lightsearch.errors import ArgumentError
from lightsearch.report import write_design, write_html, write_markdown, write_steps
from lightsearch.report.tensorboard import write_events
from lightsearch.result import SearchResult

PNG = b"\x89PNG"


def _write_design(result: SearchResult, path: Path, *, force: bool = False) -> Path:
    return write_design(result, 0, path, force=force)


WRITERS = (write_html, write_markdown, write_steps, _write_design)


def _list(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["report", "report.htm", "report.markdown"])
def test_a_report_may_have_any_ending(write: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    first = write(made.result(5), path).read_bytes()
    assert write(made.result(5), path).read_bytes() == first
    path.write_bytes(first.replace(b"a", b"b", 1))
    with pytest.raises(ArgumentError, match="must not replace what somebody wrote"):
        write(made.result(5), path)


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes only there")
@pytest.mark.parametrize("write", WRITERS)
def test_names_that_are_not_utf8_are_escaped_and_found_again(write: Any, tmp_path: Path) -> None:
    result = replace(made.result(5), folder=tmp_path / "caf\udce9")
    path = tmp_path / "r\udce9.md"
    first = write(result, path).read_bytes()
    write(result, path)  # it is known as a report as it was written
    assert path.read_bytes() == first and first.decode()
    if write in (write_html, write_markdown):
        assert b"caf\\udce9/leaderboard.csv" in first
    for link in re.findall(rb"!\[[^]]*\]\(([^)]+)\)", first):
        assert (tmp_path / os.fsdecode(unquote_to_bytes(link))).read_bytes().startswith(PNG)


@pytest.mark.skipif(os.name != "posix", reason="such names are possible only there")
@pytest.mark.parametrize("name", ["caf\udce9", "esc\x1b[2J\x07", "\\x", 'a """b"""', "\\N{a}"])
def test_no_name_of_a_study_breaks_its_programs(name: str, tmp_path: Path) -> None:
    result = replace(made.result(5), folder=tmp_path / name)
    page = write_design(result, 0, tmp_path / "a.md").read_text("utf-8")
    script = (tmp_path / "train_design_0.py").read_text("utf-8")
    notebook = json.loads((tmp_path / "train_design_0.ipynb").read_text("utf-8"))
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code is not None
    for text in (script, code[1]):
        assert name in " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    head = notebook["cells"][0]["source"]
    for text in (page, script, head):
        assert "\x1b" not in text and "\x07" not in text
        assert text.encode()


def test_pictures_of_somebody_else_are_not_replaced(tmp_path: Path) -> None:
    result, path = made.result(5), tmp_path / "new.md"
    mine = tmp_path / "new/pareto.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")

    def refuse() -> None:
        with pytest.raises(ArgumentError, match=r"what somebody drew, but .*pareto\.png is there"):
            write_markdown(result, path)
        assert mine.read_bytes() == b"mine"

    refuse()
    assert _list(tmp_path) == ["new", "new/pareto.png"]
    write_design(result, 0, path)  # a report, but one without pictures
    refuse()
    write_markdown(result, path, force=True)
    assert mine.read_bytes().startswith(PNG)
    mine.write_bytes(b"")
    write_markdown(result, path)  # the report and its pictures are replaced together
    assert mine.read_bytes().startswith(PNG)


def test_a_report_is_written_with_all_its_files_or_not_at_all(tmp_path: Path) -> None:
    result = made.result(5)
    (tmp_path / "r/curves.png").mkdir(parents=True)
    before = _list(tmp_path)
    with pytest.raises(ArgumentError, match=r"must be a file that can be written, but .*curves"):
        write_markdown(result, tmp_path / "r.md", force=True)
    assert _list(tmp_path) == before
    with pytest.raises(ArgumentError, match="must be a file that can be written"):
        write_markdown(result, tmp_path / "new" / ("r" * 300 + ".md"), force=True)
    with pytest.raises(ArgumentError, match="must be a file that can be written"):
        write_design(result, 0, tmp_path / "new" / ("r" * 300 + ".md"), force=True)
    assert _list(tmp_path) == before


@pytest.mark.parametrize("write", [_write_design, write_steps])
def test_a_program_of_somebody_else_is_kept_and_named_as_such(write: Any, tmp_path: Path) -> None:
    result = made.result(5)
    (tmp_path / "train_design_0.py").write_text("mine")
    for _ in range(2):
        text = write(result, tmp_path / "a.md").read_text("utf-8")
        assert "](train_design_0.py)" not in text and "](train_design_0.ipynb)" in text
        assert (
            "Kept, with another content than this report would have written: "
            "`train_design_0.py`.\n" in text
        )
        assert (tmp_path / "train_design_0.py").read_text() == "mine"
    text = write(result, tmp_path / "a.md", force=True).read_text("utf-8")
    assert "](train_design_0.py)" in text and "Kept" not in text


@pytest.mark.parametrize("write", [write_html, write_markdown])
def test_a_page_escapes_the_controls_of_a_name(write: Any, tmp_path: Path) -> None:
    result = replace(made.result(5, target="0.9"), folder=Path("esc\x1b[2J\x07\u202e & <b>"))
    text = write(result, tmp_path / "a.md").read_text("utf-8")
    assert not set("\x1b\x07\u202e") & set(text)
    assert "Study esc\\x1b[2J\\x07\\u202e &amp; &lt;b&gt;" in text


@pytest.mark.parametrize("write", [write_html, write_markdown])
def test_a_page_without_room_for_its_plots_is_written_in_silence(
    write: Any, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(made.result(5, budget=10**60), tmp_path / "a.md")


@pytest.mark.needs("tensorboard")
@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes only there")
def test_event_files_have_no_folder_that_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="must be a folder that can be written, but"):
        write_events(made.result(2).records, tmp_path / "t\udce9")

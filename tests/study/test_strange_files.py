"""Files of a study that a stranger made: refused in bounded time, with the file's name."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from test_disk import TERMS
from test_study import _candidate, _identity, _nop

from lightsearch import folder_dataset, load_result, load_weights, make_dataset, read
from lightsearch.cli import main
from lightsearch.errors import ArgumentError, LightsearchError, StudyError, WorkerError
from lightsearch.exporting import open_net
from lightsearch.exporting.reading import read_weights
from lightsearch.report.study import template, write_markdown
from lightsearch.study.csv_file import quote_cells
from lightsearch.study.disk import load_state
from lightsearch.study.identity import read_identity
from lightsearch.study.journal import readable
from lightsearch.study.leaderboard import leaderboard, write
from lightsearch.study.ledger import Ledger
from lightsearch.study.study import Study
from lightsearch.study.terms import read_terms
from lightsearch.study.trial import Trial, parse_fraction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
    with Ledger.open(tmp_path / "s", "test", TERMS):
        pass
    return tmp_path / "s"


HUGE = ["1e999999999", "1e-999999999", "1/1e9", "9" * 5000, "0." + "3" * 5000, "nan", "-1/2"]


@pytest.mark.parametrize("text", HUGE)
def test_a_fraction_that_takes_for_ever_is_refused(folder: Path, text: str) -> None:
    begin = time.monotonic()
    data = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**data, "target": text}))
    terms = folder / "confirmations" / "test"
    known = json.loads((terms / "terms.json").read_text())
    (terms / "terms.json").write_text(json.dumps({**known, "target": text}))
    with pytest.raises(StudyError, match=r"study\.json must hold a study's identity"):
        read_identity(folder)
    with pytest.raises(StudyError, match=r"terms\.json must hold the terms of a confirmation"):
        read_terms(terms)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("text", ["2", "1.01", "9" * 400 + "/7"])
def test_a_target_above_one_is_refused_and_other_studies_are_listed(
    folder: Path, text: str
) -> None:
    shutil.copytree(folder, folder.parent / "other")
    data = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**data, "target": text}))
    with pytest.raises(StudyError, match="target must be at most 1, but is"):
        load_result(folder)
    done = CliRunner().invoke(main, ["studies", str(folder.parent), "--json"])
    questions = {Path(one["study"]).name: one["question"] for one in json.loads(done.stdout)}
    assert questions[folder.name].startswith("cannot be read: ")
    assert not questions["other"].startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "zzz"}, "engine must be one of native, torch, surrogate"),
        ({"engine": "auto"}, "engine must be one of native, torch, surrogate"),
        ({"workers": 10**9}, "workers must be from 0 to 100,000"),
        ({"workers": -3}, "workers must be from 0 to 100,000"),
        ({"budget": {"params": 10**400}}, r"`budget.params` must be at most 10\^100"),
    ],
)
def test_what_a_search_would_go_on_with_is_in_range(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    data = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(StudyError, match=rf"study\.json must hold a study's identity.*{said}"):
        read_identity(folder)


@pytest.mark.parametrize("text", ["497/500", "0.994", ".5", "1", "1.5e-05"])
def test_fractions_that_were_written_are_read(text: str) -> None:
    assert float(parse_fraction(text)) == (497 / 500 if "/" in text else float(text))


def test_a_thread_that_cannot_start_is_no_damage_of_the_journal(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="a thread must start"), readable(tmp_path):
        raise WorkerError("a thread must start")


def test_a_folders_name_cannot_leave_its_quotes_in_markdown() -> None:
    line = template("study.md").environment.filters["code"](shlex.quote("a`;b;`"))
    assert shlex.split(line) == ["a?;b;?"]


@pytest.mark.parametrize("change", [{"epochs": "3"}, {"target": 0.9}, {"seeds": [2]}, {"on": 3}])
def test_terms_of_another_kind_are_refused(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "confirmations" / "test" / "terms.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StudyError, match=rf"terms.json must hold .* {next(iter(change))} must be"):
        read_terms(path.parent)


@pytest.mark.parametrize("name", ["study.json", "confirmations/test/terms.json"])
def test_deeply_nested_json_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("[" * 200_000)
    with pytest.raises(StudyError, match=r"must hold"):
        load_result(folder)


READERS: dict[str, Callable[[Path], Any]] = {
    "study.json": lambda path: load_result(path.parent),
    "journal.log": lambda path: load_result(path.parent),
    "confirmations/test/terms.json": lambda path: load_result(path.parents[2]),
    "confirmations/test/runs.jsonl": lambda path: load_result(path.parents[2]),
    "weights/trial-00000.safetensors": lambda path: load_weights(path.parents[1], 0),
    "net.safetensors": read_weights,
    "net.onnx": open_net,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(LightsearchError, match=r"regular file|cannot be read|must be a file"):
        READERS[name](folder / name)


def test_a_state_that_is_a_pipe_is_no_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.safetensors")
    assert load_state(tmp_path / "state.safetensors") is None


# What a terminal, a browser or a spreadsheet would run -------------------------------------------

ESCAPES = ["\x1b[2J", "\x07", "\x9b", "\u202e", "\r", "\udcff"]


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, json.dumps(new)[1:-1]))


@pytest.mark.parametrize("text", ESCAPES, ids=repr)
def test_control_characters_in_a_studys_records_are_refused(folder: Path, text: str) -> None:
    whole = (folder / "study.json").read_text()
    _edit(folder / "study.json", "digits", f"digits{text}")
    with pytest.raises(StudyError, match="dataset must have no control characters"):
        load_result(folder)
    (folder / "study.json").write_text(whole)
    _edit(folder / "journal.log", "conv(1) gap linear(10)", f"conv(1){text}")
    with pytest.raises(StudyError, match="must have no control characters"):
        load_result(folder)


def test_a_reason_is_shown_without_its_control_characters(folder: Path) -> None:
    with Study.open(folder, _identity(), _nop()) as study:
        study.end(0, "failed", "\x1b[31mred\x1b[0m\nand more")
    result = load_result(folder)
    assert result.records[0].reason == "\\x1b[31mred\\x1b[0m\nand more"


@pytest.mark.parametrize("text", ESCAPES[:4], ids=repr)
def test_control_characters_in_tables_and_names_are_refused(tmp_path: Path, text: str) -> None:
    board = leaderboard([], _identity())
    board.loc[1] = dict.fromkeys(board.columns, f"x{text}")
    board.to_csv(tmp_path / "l.csv", index_label="rank")
    with pytest.raises(ArgumentError, match="it has control characters"):
        read(tmp_path / "l.csv")
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path / f"x{text}")])
    assert done.exit_code == 1 and text not in done.stderr and repr(text)[1:-1] in done.stderr


@pytest.mark.parametrize("name", ["a\x1b[2J", "=1+1", "@SUM(A1)", "+1", "-1"])
def test_names_of_data_sets_are_no_formulas(name: str, tmp_path: Path) -> None:
    pair = (np.zeros((4, 8, 8), dtype="uint8"), np.arange(4) % 2)
    with pytest.raises(ArgumentError, match="no sign at its start that a spreadsheet"):
        make_dataset(pair, pair, name=name)
    root = tmp_path / name
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), number).save(root / label / f"{number}.png")
    found = folder_dataset(root, size=8)
    assert found.name[0] not in "=+-@" and found.name.isprintable()


FORMULAS = ["=1+1", "+1-1", "-x", "@SUM(A1)", "\t=1+1", "'=1", "''-2", "'=cmd|' /C calc'!A0"]
PLAIN = ["-1", "+1.5e3", "'quoted'", "conv(8)"]
RUNS = re.compile(r"[=+\-@\t\r]")  # https://owasp.org/www-community/attacks/CSV_Injection


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN])
def test_no_cell_of_a_csv_is_a_formula(text: str, tmp_path: Path) -> None:
    """Of a stranger's study, in which any text may be a design, a name or a folder."""
    result = made.result(3, target="0.5")
    candidate = dataclasses.replace(
        result.records[0].candidate,
        design=text,
        recipe=text,
        proposed_by=text,
        versions={text: text},
    )
    strange = Trial(candidate, result.records[0].epochs, "failed", text)
    identity = dataclasses.replace(
        result.identity, dataset=text, checksum=text, engine=text, warm_start=(text,)
    )
    whole = dataclasses.replace(result, records=(strange, *result.records[1:]), identity=identity)
    tables = [whole.ranked(), whole.trials, whole.means()]
    for table in tables:
        cells = [cell for row in csv.reader(io.StringIO(table.to_csv())) for cell in row]
        running = [cell for cell in cells if RUNS.match(cell)]
        assert all(float(cell) == float(text) for cell in running), running
    board = whole.ranked()
    write(board, tmp_path / "l.csv")
    again = read(tmp_path / "l.csv")
    texts = ("design", "recipe", "dataset", "checksum", "engine", "warm_start", "versions")
    for column in (*texts, "params", "best_accuracy", "seed", "trial"):
        assert list(again[column]) == list(board[column]), column


def test_numbers_of_a_csv_stay_numbers() -> None:
    frame = pd.DataFrame(
        {"a": [-1, 2], "b": [-0.5, float("nan")], "c": ["-x", "-3"]}, index=["=1", "2"]
    )
    assert quote_cells(frame).to_csv() == ",a,b,c\n'=1,-1,-0.5,'-x\n2,2,,-3\n"


def test_a_script_does_not_reach_markdown(tmp_path: Path) -> None:
    few = made.result(5)
    nasty = "<script>alert(1)</script>"
    identity = dataclasses.replace(few.identity, sampler=nasty, space=f"```{nasty}")
    result = dataclasses.replace(few, identity=identity)
    text = write_markdown(result, tmp_path / "r.md").read_text("utf-8")
    assert "&lt;script&gt;" in text
    fences = text.split("```")
    assert len(fences) % 2 == 1
    assert not any(nasty in prose for prose in fences[::2])  # in code it is only shown


@pytest.mark.parametrize("change", [{"decisions": {"a": "b"}}, {"versions": {"a": 1}}])
def test_decisions_of_another_kind_are_refused(folder: Path, change: dict[str, Any]) -> None:
    name, value = next(iter(change.items()))
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    for line in lines:
        if "candidate" in line.get("user_attrs", {}):
            line["user_attrs"]["candidate"][name] = value
    (folder / "journal.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(StudyError, match=f"{name} must be dict"):
        load_result(folder)


def test_a_trial_that_is_over_without_an_outcome_is_refused(folder: Path) -> None:
    with Study.open(folder, _identity(), _nop()) as study:
        study.end(0, "failed", "why")
    lines = (folder / "journal.log").read_text().splitlines(keepends=True)
    left = [line for line in lines if '"outcome"' not in line]
    assert len(left) == len(lines) - 1
    (folder / "journal.log").write_text("".join(left))
    with pytest.raises(StudyError, match="trial 0 is over, but has no outcome"):
        load_result(folder)

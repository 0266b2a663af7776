"""Files of a study that a stranger made: refused in bounded time, with the file's name."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_disk import TERMS
from test_study import _candidate, _identity, _nop

from lightsearch import load_result, load_weights
from lightsearch.errors import LightsearchError, StudyError
from lightsearch.exporting import open_net
from lightsearch.exporting.reading import read_weights
from lightsearch.study.disk import load_state
from lightsearch.study.identity import read_identity
from lightsearch.study.ledger import Ledger
from lightsearch.study.study import Study
from lightsearch.study.terms import read_terms
from lightsearch.study.trial import parse_fraction


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


@pytest.mark.parametrize("text", ["497/500", "0.994", ".5", "1", "1.5e-05"])
def test_fractions_that_were_written_are_read(text: str) -> None:
    assert float(parse_fraction(text)) == (497 / 500 if "/" in text else float(text))


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

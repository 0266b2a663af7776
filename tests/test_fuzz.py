"""What others wrote is read or refused, and never runs: property tests, and a short run of the
coverage-guided fuzzer (`benchmarks/faults/fuzz.py`, which runs as long as one likes).
"""

from __future__ import annotations

import ast
import io
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fuzz
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lightsearch
from lightsearch import load_weights, read
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.study.disk import load_state

ROOT = Path(lightsearch.__file__).parent
many = settings(
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def prepared() -> Iterator[tuple[Path, dict[str, list[bytes]]]]:
    with fuzz.prepared() as found:
        yield found


def _damaged(data: bytes, generator: random.Random) -> bytes:
    """With a few mistakes: bytes changed, cut out, doubled; values of another kind."""
    for _ in range(generator.randrange(1, 4)):
        at, to = sorted(generator.randrange(len(data) + 1) for _ in range(2))
        way = generator.randrange(5)
        if way == 0:
            data = data[:at] + bytes([generator.randrange(256)]) + data[at + 1 :]
        elif way == 1:
            data = data[:at] + data[min(to, at + 40) :]
        elif way == 2:
            data = data[:at] + data[at : min(to, at + 200)] * 2 + data[at:]
        elif way == 3:
            words = data.split(b",")
            words[generator.randrange(len(words))] = generator.choice(
                [b"null", b"-1", b"1e999", b'"x"', b"[]", b"{}", b"NaN", b"", b"9" * 400]
            )
            data = b",".join(words)
        else:
            data = data[:at]
    return data


@many
@pytest.mark.parametrize("name", list(fuzz.TARGETS))
@given(generator=st.randoms(use_true_random=False))
def test_what_is_damaged_is_read_or_refused(
    prepared: tuple[Path, dict[str, list[bytes]]], name: str, generator: random.Random
) -> None:
    place, inputs = prepared
    data = generator.choice(inputs[name])
    fuzz.TARGETS[name](data[:1] + _damaged(data[1:], generator), place)


@pytest.mark.slow
@pytest.mark.needs("atheris")
def test_a_short_run_of_the_fuzzer() -> None:
    script = Path(fuzz.__file__)
    ran = subprocess.run(
        [sys.executable, script, "--seconds", "6"],
        check=False,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == len(fuzz.TARGETS)
    for line in lines:
        assert int(line.split()[1].replace(",", "")) > 10, line


# Nothing that is read runs -----------------------------------------------------------------------


class _Payload:
    """A pickle of it touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT)


def test_a_pickle_in_a_files_place_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    archive = io.BytesIO()
    torch.save({"w": _Payload(mark)}, archive)
    weights = tmp_path / "weights" / "trial-00000.safetensors"
    weights.parent.mkdir()
    for data in (pickle.dumps(_Payload(mark)), archive.getvalue()):
        for path in (weights, tmp_path / "board.csv", tmp_path / "board.pkl"):
            path.write_bytes(data)
        with pytest.raises(StudyError, match="cannot be read"):
            load_weights(tmp_path, 0)
        assert load_state(weights) is None
        for path in (tmp_path / "board.csv", tmp_path / "board.pkl"):
            with pytest.raises(ArgumentError, match="must be a CSV file"):
                read(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Payload(mark)))
    assert mark.exists(), "the payload would have been noticed"


def test_a_leaderboard_is_never_fetched_from_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetched(*given: object, **_: object) -> None:
        asked.append(given)
        raise OSError("the network was asked")

    monkeypatch.setattr("urllib.request.urlopen", fetched)
    with pytest.raises(OSError, match="network"):
        pd.read_csv("http://localhost/leaderboard.csv")  # what pandas would do
    assert len(asked) == 1
    with pytest.raises(ArgumentError, match="must be a CSV file"):
        read("http://localhost/leaderboard.csv")
    assert len(asked) == 1


def test_nothing_is_evaluated_and_only_the_pipe_to_our_own_workers_is_unpickled() -> None:
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in ("eval", "exec", "compile", "__import__") or name.endswith(
                    (".loads", ".load", "read_pickle", "Unpickler")
                ):
                    found.add((path.relative_to(ROOT).as_posix(), name))
    known = {
        ("workers/process.py", "pickle.loads"),
        ("workers/process_slot.py", "pickle.loads"),
        ("data/class_names.py", "json.loads"),
        ("study/identity.py", "json.loads"),
        ("study/terms.py", "json.loads"),
        ("study/warm_start.py", "json.loads"),
        ("study/log.py", "json.loads"),
        ("study/packing.py", "json.loads"),
        ("exporting/reading.py", "json.loads"),
        ("exporting/onnx_graph.py", "onnx.load"),  # our own, just written
        ("exporting/reading.py", "torch.export.load"),  # trusted: docs/reliability.md
        ("exporting/formats.py", "exec"),  # source that was just written
        ("exporting/formats.py", "compile"),
    }
    loads = {
        (file, name)
        for file, name in found
        if not name.startswith(("self.", "super().", "run.", "named.", "engine.", "image.", "tl."))
    }
    assert loads == known

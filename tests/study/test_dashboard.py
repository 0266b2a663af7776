"""optuna-dashboard opens the journal of a study that runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import arguments

from lightsearch import iter_search, load_result, parse_recipe


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.terminate()
        assert process.wait(timeout=30) is not None


def _fetched(address: str, process: subprocess.Popen[bytes]) -> Any:
    for _ in range(300):
        assert process.poll() is None, "optuna-dashboard has ended"
        try:
            with urllib.request.urlopen(address, timeout=30) as reply:
                return json.load(reply)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


@pytest.mark.needs("optuna_dashboard")
def test_the_dashboard_shows_a_study_that_runs(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    folder, port = tmp_path / "s", _port()
    asked = arguments(study=folder, trials=4, epochs=2, pruner="none")
    del asked["quiet"]
    trials = iter_search(**asked)
    for _ in range(2):
        next(trials)  # ended; the search goes on when asked for the next one
    command = [
        str(Path(sys.executable).with_name("optuna-dashboard")),
        str(folder / "journal.log"),
        "--port",
        str(port),
    ]
    dashboard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started.append(dashboard)
    site = f"http://127.0.0.1:{port}/api/studies"
    ours = load_result(folder).records
    studies = _fetched(site, dashboard)["study_summaries"]
    assert [study["study_name"] for study in studies] == ["s"]
    shown = _fetched(f"{site}/{studies[0]['study_id']}", dashboard)["trials"]
    assert len(shown) == len(ours) >= 2 and all(trial.epochs for trial in ours[:2])
    assert [[value["value"] for value in trial["intermediate_values"]] for trial in shown] == [
        [epoch.accuracy for epoch in trial.epochs] for trial in ours
    ]
    for trial, one in zip(shown, ours, strict=True):  # the options, not their places
        values = {param["name"]: param["param_external_value"] for param in trial["params"]}
        assert one.candidate.design.startswith(f"conv({values['[0].out']})")
        assert parse_recipe(one.candidate.recipe).lr == float(values["recipe.lr"])
    assert len(list(trials)) == 2  # looking on has not disturbed the search
    assert all(len(trial.epochs) == 2 for trial in load_result(folder).records)

"""`lightsearch doctor` and completion, as their users see them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from lightsearch.cli import bench, main
from lightsearch.cli.doctor import doctor
from lightsearch.data import named as data
from lightsearch.engines.native.library import available
from lightsearch.engines.selection import engine_label
from lightsearch.workers import devices

room: Any = sys.modules["lightsearch.cli.doctor"]


def _said(*arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
    """What doctor says of each thing."""
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments])
    assert result.exit_code == code, result.output
    return {check["what"]: check for check in json.loads(result.stdout)}


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set in the environment or the cache; an empty working folder."""
    monkeypatch.delenv("LIGHTSEARCH_DATA", raising=False)
    monkeypatch.setattr(data, "cache_folder", lambda: str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    data._load.cache_clear()


def test_all_is_well_with_the_digits() -> None:
    said = _said("--dataset", "digits")
    assert said["data"]["found"] == ("digits in scikit-learn: 1,437 training and 360 test images")
    assert said["Python"]["found"].startswith(sys.version.split()[0])
    assert said["torch"]["state"] == said["torchvision"]["state"] == "ok"
    if available():
        assert said["engine"]["found"].startswith("native-")


def test_bench_times_each_engine_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "STEPS", 1)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    shown = CliRunner().invoke(main, ["doctor", "--bench", "--json"])
    assert shown.exit_code == 0, shown.output
    rows = {row["engine"]: row for row in json.loads(shown.stdout)}
    builds = [f"native-{name}" for name in ("plain", "v3", "v4")] if available() else []
    assert {"torch"} <= rows.keys() <= {"torch", "torch-triton", *builds}
    if available():
        assert {"native-plain", engine_label("native")} <= rows.keys()
    for row in rows.values():
        assert len(row["seconds"]) == 3 and min(row["seconds"]) > 0
    plain = CliRunner().invoke(main, ["doctor", "--bench"]).output
    assert "1,354, 2,794, 7,546 parameters" in plain and plain.count("\n") == 1 + len(rows)


def test_plain_text_has_a_line_each_and_the_advice_below() -> None:
    result = CliRunner().invoke(main, ["doctor", "--dataset", "mnist"])
    assert result.exit_code == 0  # a search would download it
    lines = result.output.splitlines()
    where = next(i for i, line in enumerate(lines) if line.startswith("data"))
    assert "mnist is not here yet" in lines[where]
    assert "--data FOLDER" in lines[where + 1]


def test_missing_data_in_a_given_folder_fails(tmp_path: Path) -> None:
    said = _said("--dataset", "mnist", "--data", str(tmp_path), code=1)
    assert said["data"]["state"] == "missing"
    assert said["data"]["advice"]


def test_a_damaged_data_set_is_found(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        (raw / name).write_bytes(b"\0\0\x08\x01\0\0\0\x09")
    said = _said("--data", str(tmp_path), code=1)
    assert said["data"]["state"] == "missing"
    assert "damaged" in said["data"]["found"]


def test_no_engine_too_little_memory_and_no_room_are_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "lightsearch.engines.native.library.trouble", lambda: "there is no native engine here"
    )
    monkeypatch.setattr(room, "_free_memory", lambda: 2**30)
    monkeypatch.setattr(devices, "cores", lambda: 8)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 99, 2**20))
    said = _said("--dataset", "digits")
    assert said["engine"]["found"].startswith("torch, since there is no native engine")
    assert "--workers 1" in said["workers"]["advice"]
    assert [said[what]["state"] for what in ("engine", "workers", "studies", "cache")] == [
        "note"
    ] * 4


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_write_permission_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert _said("--dataset", "digits", code=1)["studies"]["state"] == "missing"
    finally:
        tmp_path.chmod(0o700)


def test_an_unknown_data_set_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(main, ["doctor", "--dataset", "fashon-mnist"])
    assert result.exit_code == 2
    assert "did you mean 'fashion-mnist'?" in result.output


# Completion --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "begun", "expected"),
    [
        ([], "le", ["leaderboard"]),
        (["search"], "--eng", ["--engine"]),
        (["search", "--engine"], "", ["auto", "native", "torch", "surrogate"]),
        (["search", "--dataset"], "emnist-l", ["emnist-letters"]),
        (["train"], "s4-", ["s4-model1", "s4-model2", "s4-model3"]),
        (["completion"], "z", ["zsh"]),
    ],
)
def test_names_are_completed(line: list[str], begun: str, expected: list[str]) -> None:
    shell = ShellComplete(main, {}, "lightsearch", "_LIGHTSEARCH_COMPLETE")
    assert [item.value for item in shell.get_completions(line, begun)] == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")
def test_the_script_is_what_bash_takes() -> None:
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    done = subprocess.run(
        ["bash", "-c", script + "complete -p lightsearch"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "lightsearch"


def test_doctor_is_a_command() -> None:
    assert main.commands["doctor"] is doctor

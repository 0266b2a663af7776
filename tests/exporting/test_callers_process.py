"""What an export leaves in the caller's process and terminal: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import linux

import lightsearch as ls

PROGRAM = """
import multiprocessing, os, sys, threading, warnings
import lightsearch
warnings.simplefilter("ignore")
def opened(): return len(os.listdir("/proc/self/fd"))
study, path = sys.argv[1:]
before = None
for name in ("first.safetensors", path):  # what the first one opens is PyTorch's
    before = before or opened()
    lightsearch.export(study, name)
assert "ORT_DISABLE_TELEMETRY" not in os.environ
method = multiprocessing.get_start_method(allow_none=True)
print(method, threading.active_count(), opened() - before)
multiprocessing.set_start_method("spawn")
from tqdm import tqdm
assert tqdm.monitor_interval > 0 and tqdm.get_lock()
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process") / "study"
    ls.search(
        900, 1, target=0.05, dataset="digits", trials=1, workers=1, quiet=True, study=folder
    )  # fmt: skip
    return folder


def _run(study: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    line = [sys.executable, "-c", PROGRAM, str(study), name]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
@pytest.mark.parametrize(
    "name",
    ["net.pt2", pytest.param("net.onnx", marks=pytest.mark.needs("onnxscript", "onnxruntime"))],
)
def test_start_method_threads_and_files_are_the_callers(
    study: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert _run(study, tmp_path, name, monkeypatch) == "None 1 0\n"
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]


@pytest.mark.parametrize("names", [("net.PT2", "net.Pt2"), ("net.pt2", "NET.PT2")])
def test_capitals_in_a_suffix_print_nothing(
    study: Path, tmp_path: Path, names: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    image = tmp_path / "digit.png"
    Image.fromarray(ls.load("digits").test[0][0, 0].numpy()).save(image)
    first, second = (ls.export(study, tmp_path / name).path for name in names)
    found = [ls.predict(path, image)[0].probabilities for path in (first, second)]
    assert found[0] == found[1]
    assert capfd.readouterr() == ("", "")

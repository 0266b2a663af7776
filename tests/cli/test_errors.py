"""Each way to fail on the command line says what is the matter and what to do next."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner
from safetensors.torch import save_file
from test_native import needs_engine
from tiny import RECIPE, SPACE
from torch import ones

from lightsearch.cli import main
from lightsearch.data.named import _load
from lightsearch.engines.native import library

SEARCH = (
    "search",
    "--budget",
    "900",
    "--epochs",
    "2",
    "--target",
    "0.3",
    "--dataset",
    "digits",
    "--space",
    SPACE,
    "--recipe",
    RECIPE,
    "--trials",
    "1",
    "--workers",
    "1",
    "--quiet",
)


def _said(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="lightsearch")
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "s"
    code, text = _said(*SEARCH, "--study", folder)
    assert code in (0, 3), text
    return folder


@pytest.fixture
def study(whole: Path, tmp_path: Path) -> Path:
    """A copy of a finished study, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "s"))


def _replaced(name: str, text: str) -> Callable[[Path], None]:
    return lambda study: (
        (study / name).unlink() if text == "gone" else (study / name).write_text(text) and None
    )


def _of_the_future(study: Path) -> None:
    file = study / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))


@pytest.mark.parametrize(
    ("damage", "cause", "remedy"),
    [
        (_replaced("study.json", "gone"), "must have its study.json", "bring the file back"),
        (_replaced("study.json", "{}"), "must hold a study's identity", "Bring the file back"),
        (_replaced("study.json", "{"), "must hold a study's identity", "Bring the file back"),
        (_of_the_future, "written by a newer lightsearch", "update this one"),
        (_replaced("journal.log", "gone"), "must have a journal.log", "another `study` folder"),
        (_replaced("journal.log", "{}\n{}\n"), "it is damaged", "leaderboard.csv there still has"),
    ],
)
def test_a_damaged_study(
    study: Path, damage: Callable[[Path], None], cause: str, remedy: str
) -> None:
    damage(study)
    code, text = _said("leaderboard", study)
    assert code == 1 and cause in text and remedy in text


def test_a_study_that_is_none() -> None:
    code, text = _said("leaderboard", "nowhere")
    assert code == 1 and "nowhere has none: a search prints the folder of its study" in text


def test_a_study_in_use_and_one_of_another_question(study: Path) -> None:
    with filelock.FileLock(study / "lock"):
        (study / "holder").write_text(f"process {os.getpid()} on here")
        code, text = _said(*SEARCH, "--study", study)
    assert code == 1 and f"held by process {os.getpid()} on here. Wait for it or stop it" in text
    code, text = _said(*SEARCH, "--study", study, "--seed", "5")
    assert code == 1 and "Give another `study` folder to ask anew" in text


def test_a_damaged_confirmation(study: Path) -> None:
    confirm = (
        "confirm",
        "conv(4) gap linear(10)",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--seeds",
        "2",
        "--workers",
        "1",
        "--study",
        study,
    )
    code, text = _said(*confirm)
    assert code in (0, 3), text
    (found,) = study.rglob("runs.jsonl")
    found.write_text("[\n")
    code, text = _said(*confirm)
    assert code == 1 and "line 1 is damaged" in text and f"Move {found.parent} away" in text


def test_data_that_is_not_there_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIGHTSEARCH_DATA", raising=False)  # where it would be found otherwise
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _load.cache_clear()
    code, text = _said("search", "--data", tmp_path / "empty")
    assert code == 1 and "was not found in" in text
    assert "lightsearch search --dataset mnist --data FOLDER" in text
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x05..")
    code, text = _said("search", "--data", tmp_path)
    assert code == 1 and "must be whole" in text and "Delete it there" in text


def test_a_folder_of_images_without_classes(tmp_path: Path) -> None:
    code, text = _said("search", "--dataset", tmp_path)
    assert code == 1 and "must have a folder for each of two classes or more" in text


def test_a_budget_that_nothing_meets() -> None:
    code, text = _said(*SEARCH, "--budget", "3")
    assert code == 2 and "the smallest is" in text
    assert text.endswith("Try 'lightsearch search --help' for help.")


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        (("search", "--epochs", "0"), "from 1 to", "Try 'lightsearch search --help'"),
        ((*SEARCH, "--sampler", "tp"), "must be one of", "did you mean 'tpe'?"),
        (("search", "--epoch", "3"), "No such option", "--epochs"),
        (("serch",), "No such command", "search"),
        (("show", "conv(8"), "^", "Try 'lightsearch show --help'"),
        (("show", "s1-finale"), "must be one of", "did you mean 's1-final'?"),
        (
            ("train", "--row", "1"),
            "the study must be given, or be here",
            "'lightsearch train --help'",
        ),
        (("predict", "missing.onnx", "x.png"), "there is no missing.onnx", "--help"),
    ],
)
def test_what_cannot_be_meant(
    arguments: tuple[str, ...],
    cause: str,
    remedy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = _said(*arguments)
    assert code == 2 and cause in text and remedy in text


@needs_engine
def test_an_engine_that_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "path_of", lambda name: tmp_path / name)
    cached = (library.library, library.build_name, library.trouble)
    for function in cached:
        function.cache_clear()
    try:
        code, text = _said(*SEARCH, "--study", tmp_path / "s", "--engine", "native")
    finally:
        monkeypatch.undo()
        for function in cached:
            function.cache_clear()
    assert code == 2 and "without a C++ compiler; install one, then the package again" in text


def test_an_export_without_its_package(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, text = _said(
        "export",
        study.parent / "net.onnx",
        "--row",
        "1",
        "--leaderboard",
        study / "leaderboard.csv",
    )
    assert code == 1 and "pip install 'lightsearch[export]'" in text


def test_weights_of_others(tmp_path: Path) -> None:
    save_file({"x": ones(1)}, tmp_path / "other.safetensors")
    code, text = _said("export", tmp_path / "net.py", "--weights", tmp_path / "other.safetensors")
    assert code == 1 and "was it written by lightsearch?" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        "--version",
        "zoo",
        "search --help",
        "search --dataset digits --budget 900 --epochs 1 --trials 1 --study full",
    ],
)
def test_output_that_cannot_be_written_is_one_line(line: str, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "lightsearch", *line.split()],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr == "lightsearch: the output cannot be written: No space left on device\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a shell that closes streams")
def test_streams_that_are_closed() -> None:
    line = f"{sys.executable} -m lightsearch zoo <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0


# Limits of the system ----------------------------------------------------------------------------

USER = 61234  # an unprivileged user, whom nothing else runs as
CAPABILITIES = "+dac_override,+dac_read_search"  # Python may be in a folder of root's


NEEDS_A_USER = pytest.mark.skipif(
    sys.platform != "linux"
    or os.getuid() != 0
    or not all(map(shutil.which, ("setpriv", "prlimit"))),
    reason="needs root, who alone can become a user without other processes; setpriv; prlimit",
)


def _search_with(most: int, folder: Path, engine: str) -> subprocess.CompletedProcess[str]:
    """Search as a user who may have so many threads and processes."""
    folder.chmod(0o777)
    user = f"--reuid={USER} --regid={USER} --clear-groups".split()
    caps = [f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"]
    line = ["-m", "lightsearch", *SEARCH, "--engine", engine, "--workers=1", "--study=limited"]
    libraries = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return subprocess.run(
        ["setpriv", *user, *caps, "prlimit", f"--nproc={most}", sys.executable, *line],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k not in libraries} | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@NEEDS_A_USER
@pytest.mark.parametrize(
    ("most", "engine"),
    [
        (1, "torch"),  # at once
        pytest.param(2, "native", marks=pytest.mark.slow),  # as OpenBLAS is loaded
        pytest.param(4, "torch", marks=pytest.mark.slow),  # before the search
        (5, "torch"),  # as a worker starts
    ],
)
def test_a_limit_on_processes_is_one_error(tmp_path: Path, most: int, engine: str) -> None:
    ran = _search_with(most, tmp_path, engine)
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.startswith("lightsearch: ") and ran.stderr.count("lightsearch: ") == 1
    assert "a thread must start, but the system refuses it" in ran.stderr
    assert "`ulimit -u`" in ran.stderr and "Traceback" not in ran.stderr


@NEEDS_A_USER
@pytest.mark.slow
@pytest.mark.parametrize("most", [7, 9])  # where OpenMP would have ended the process
def test_libraries_have_one_thread_where_the_system_refuses_more(
    tmp_path: Path, most: int
) -> None:
    ran = _search_with(most, tmp_path, "native")
    assert ran.returncode == 0, ran.stderr  # a search to its end, with a hit
    assert "Thread creation failed" not in ran.stderr and "OpenBLAS" not in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory that holds")
@pytest.mark.parametrize("most", [150_000, 200_000])  # KiB: less than OpenBLAS needs
def test_a_limit_on_memory_is_one_error(tmp_path: Path, most: int) -> None:
    line = f"ulimit -v {most}; exec {sys.executable} -m lightsearch {shlex.join(SEARCH)}"
    ran = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr == "lightsearch: no memory is left (`ulimit -v` may limit it)\n"

"""Shared by all tests."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from idx_files import write_mnist

# Without a GPU, Triton's kernels are interpreted. Triton reads this when it is imported.
if shutil.which("nvidia-smi") is None:
    os.environ["TRITON_INTERPRET"] = "1"

# One thread, so that the machine's other cores do not change a sum.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start too:
# the tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Data sets that searches share with their workers stay out of the user's cache folder.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="lightsearch-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("package")` is skipped without it, or fails if none may be missing."""
    missing = [
        name
        for mark in item.iter_markers("needs")
        for name in mark.args
        if find_spec(name) is None
    ]
    if missing:
        end = pytest.fail if os.environ.get("LIGHTSEARCH_TEST_ALL") else pytest.skip
        end(f"needs {', '.join(missing)}: pip install -e '.[dev]'")


@pytest.fixture(scope="session")
def blank_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with blank images in MNIST's form: 100 to train on, 10,000 to test on.

    The surrogate looks at none of them.
    """
    folder = tmp_path_factory.mktemp("blank")
    train, test = ((np.zeros((n, 28, 28), np.uint8), np.arange(n) % 10) for n in (100, 10_000))
    write_mnist(folder / "MNIST" / "raw", train, test)
    return folder


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer kinds and steps of recipes that a test registers are gone after it."""
    for room, name in (
        ("design.parts", "_KINDS"),
        ("design.parts", "_NAMES"),
        ("design.own_steps", "_STEPS"),
        ("network.lowering", "_COSTINGS"),
        ("network.modules", "_MAKERS"),
    ):
        owner = import_module(f"lightsearch.{room}")
        monkeypatch.setattr(owner, name, dict(getattr(owner, name)))


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """A test leaves no figure open: matplotlib warns of the twenty-first."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")

"""A search and its pictures in a real notebook, executed by a real kernel."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

CELLS = (
    """from tiny import arguments
from lightsearch import search
result = search(**arguments(study="notebook", quiet=False))""",
    "result.plot.pareto();",
    "print(result.records[0].epochs[0].total)",
)


@pytest.mark.slow
@pytest.mark.needs("ipykernel", "nbclient", "nbformat")
def test_a_search_is_shown_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    here = Path(__file__).parent
    paths = [str(here / "support"), str(here.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    nbclient.NotebookClient(
        book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown, drawn, last = (cell.outputs for cell in book.cells)

    assert {one.output_type for one in shown} == {"display_data", "stream"}
    (cell,) = (one for one in shown if one.output_type == "display_data")
    assert cell.data["text/plain"].startswith("4/4 trials over, ")  # the last that it was set to
    text = "".join(one.text for one in shown if one.get("name") == "stdout")
    assert all(line.isprintable() for line in text.splitlines()), repr(text)
    lines = text.splitlines()
    assert lines[0].startswith("Searching for designs of at most 900 parameters")
    assert sum(line.startswith(("hit ", "complete ", "pruned ")) for line in lines) == 4
    assert not any(line.startswith("trial #") for line in lines)  # epochs are in the cell
    assert lines[-1].endswith("leaderboard.csv")
    images = [one.data["image/png"] for one in drawn if "image/png" in one.get("data", {})]
    assert len(images) == 1 and base64.b64decode(images[0]).startswith(b"\x89PNG")
    assert last[0].text.strip() == "360"


KERNEL = """
import sys, types
kernel = types.ModuleType("IPython")
kernel.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"], sys.modules["ipywidgets"] = kernel, None
sys.modules["ipykernel.zmqshell"] = types.ModuleType("zmqshell")
if sys.argv[1:]:
    import tqdm.auto  # what warns
from lightsearch import search, confirm, export
print("tqdm.auto" in sys.modules)
"""


@pytest.mark.slow
def test_a_notebook_without_ipywidgets_shows_no_warning() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", KERNEL, *more], capture_output=True, text=True, check=True
        )
        for more in ([], ["as tqdm does"])
    ]
    assert [one.stdout for one in said] == ["True\n"] * 2
    assert said[0].stderr == ""
    assert "IProgress not found" in said[1].stderr

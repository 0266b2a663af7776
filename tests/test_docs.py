"""The code blocks of the README and the docs run, and what they promise is there.

Blocks marked ```python are executed, top to bottom, in one namespace a file, in an empty folder.
Blocks marked ```python no-run train for long: they are only compiled, and their calls of `search`
are checked against its signature. Blocks marked ```py are the files of examples/, which CI runs.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

import lightsearch
from lightsearch.cli import main
from lightsearch.searching.settings import SETTINGS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)( no-run)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _name(page: Path) -> str:
    """A page's path: two folders have an `index.md`, and two pages are named `search.md`."""
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path, language: str) -> list[tuple[bool, str]]:
    return [
        (not skip, code)
        for lang, skip, code in BLOCK.findall(page.read_text())
        if lang == language
    ]


SLOW = (
    "docs/cluster.md",
    "docs/comparing.md",
    "docs/first_search.md",
    "docs/own_images.md",
    "docs/own_layer.md",
    "docs/recipes.md",
    "docs/under_5000.md",
)  # each starts a search or two


def _run_page(page: Path) -> object:
    marks = [pytest.mark.slow] if _name(page) in SLOW else []
    if _name(page) == "docs/cluster.md":  # Dask's own threads warn while they stop
        marks += [pytest.mark.needs("distributed"), pytest.mark.filterwarnings("ignore")]
    if _name(page) == "docs/take_away.md":
        marks.append(pytest.mark.needs("onnx", "onnxruntime", "onnxscript"))
    return pytest.param(page, id=_name(page), marks=marks)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("page", [_run_page(page) for page in PAGES])
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for runs, code in _blocks(page, "python"):
        compiled = compile(code, str(page), "exec")
        if runs:
            exec(compiled, namespace)
        else:
            _check_calls(code)


def _check_calls(code: str) -> None:
    signature = inspect.signature(lightsearch.search)
    for node in ast.walk(ast.parse(code)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "search"
        ):
            signature.bind(*node.args, **{k.arg: k.value for k in node.keywords if k.arg})


def test_there_are_blocks_to_run() -> None:
    counts = {_name(page): len(_blocks(page, "python")) for page in PAGES}
    assert sum(counts.values()) >= 10, counts
    assert counts["docs/language.md"] >= 3, counts


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_of_the_docs_exist_with_their_options(page: Path) -> None:
    for _, code in _blocks(page, "sh"):
        for line in code.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if not words or Path(words[0]).name != "lightsearch":
                    continue
                known = main.commands[words[1]]  # a KeyError is a command that is not there
                parameters = [*known.params, *main.params]  # `--import` may stand anywhere
                options = {o for p in parameters for o in (*p.opts, *p.secondary_opts)}
                used = {w.split("=")[0] for w in words[2:] if w.startswith("--")}
                assert used <= options | {"--help"}, f"{_name(page)}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    pictures = re.findall(r'<img src="([^"]+)"', text)
    for target in [*re.findall(r"\]\(([^)#]+)[^)]*\)", text), *pictures]:
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{_name(page)} links to {target}"


def test_help_of_every_command_is_shown() -> None:
    for name in main.commands:
        result = CliRunner().invoke(main, [name, "--help"], env={"COLUMNS": "100"})
        assert result.exit_code == 0 and "Usage:" in result.output


def test_the_two_lines_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(re.findall(r"^python -m venv .*lightsearch search.*$", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^python -m venv .*pytest.*$", text, re.MULTILINE)) == 1


def test_blocks_of_files_are_examples_that_ci_runs() -> None:
    shown = [code.strip() for page in PAGES for _, code in _blocks(page, "py")]
    assert len(shown) == 4
    for code in shown:
        (path,) = re.findall(r'^--8<-- "(examples/\w+\.py)"$', code)
        assert "--quick" in (ROOT / path).read_text()
    assert "for example in examples/*.py" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
@pytest.mark.needs("mkdocs", "material", "mkdocstrings")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "reference/index.html").read_text()
    assert 'id="lightsearch.api.search"' in reference
    described = set(re.findall(r'id="lightsearch\.[\w.]*\b(\w+)"', reference))
    named = {
        name: getattr(getattr(lightsearch, name), "__qualname__", name)
        for name in lightsearch.__all__
    }
    assert {name for name, said in named.items() if said not in described} == set()
    assert SETTINGS["epochs"].about.help in reference and "{settings}" not in reference
    assert "write_design" in (tmp_path / "student/index.html").read_text()  # the example's text


NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.needs("ipykernel", "nbclient", "nbformat")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_run_top_to_bottom(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbclient
    import nbformat

    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("LIGHTSEARCH_QUICK", "1")  # on the digits
    book = nbformat.read(path, 4)
    nbclient.NotebookClient(
        book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_are_shown_with_their_output(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in out.get("data", {}) for cell in cells for out in cell["outputs"])


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {project['version']}" in lines and f"license: {project['license']}" in lines
    assert f"  - name: {project['authors'][0]['name']}" in lines


def test_the_badges_are_true() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.findall(r"badge/(\w+)-(?:%E2%89%A5)?([\w.]+)-", (ROOT / "README.md").read_text())
    assert dict(found) == {
        "python": project["requires-python"].removeprefix(">="),
        "licence": project["license"],
        **{
            name: requirement.partition(">=")[2]
            for name, package in (("pytorch", "torch"), ("optuna", "optuna"))
            for requirement in project["dependencies"]
            if requirement.startswith(f"{package}>=")
        },
    }


def test_every_page_is_in_the_sites_navigation() -> None:
    pages = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    docs = ROOT / "docs"
    assert sorted(pages) == sorted(p.relative_to(docs).as_posix() for p in docs.rglob("*.md"))


def test_no_path_of_a_machine_is_in_the_docs() -> None:
    for page in (*PAGES, *NOTEBOOKS):
        assert not re.search(r"(/root|/home/\w+|/work|/tmp)/", page.read_text()), page.name

"""The tasks of a working day; `nox --list` names them.

They run in the environment that nox is installed in. One of its own for each task, as nox would
make by itself, takes minutes and 6 GB. Those at the end are about installing, and need their own.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["core", "check"]

CORE = (
    "tests/design",
    "tests/notation",
    "tests/network",
    "tests/space",
    "tests/zoo",
    "tests/test_imports.py",
    "tests/searching/test_search.py::test_search_ends_with_all_trials_and_a_leaderboard",
)

LENIENT = (  # for benchmarks: what a package calls must fit, but not all has types
    "--follow-imports=silent",
    "--allow-untyped-defs",
    "--allow-incomplete-defs",
    "--allow-any-generics",
    "--allow-untyped-calls",
    "--no-warn-return-any",
    "--disable-error-code=import-untyped",
)


def run(session: nox.Session, module: str, *arguments: str) -> None:
    session.run(sys.executable, "-m", module, *arguments)


@nox.session
def core(session: nox.Session) -> None:
    """The heart of the tests: designs, notation, networks, spaces, one search. Half a minute."""
    run(session, "pytest", "-q", "-n", "2", *CORE, *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """All fast tests, two files at a time. More arguments of pytest go after `--`."""
    run(session, "pytest", "-q", "-n", "2", *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """The long tests, and those that need a package of an extra."""
    run(session, "pytest", "-q", "-n", "2", "-m", "slow or needs", *session.posargs)


@nox.session
def check(session: nox.Session) -> None:
    """Lint, format, types, workflows."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    sources = sorted(map(str, Path("lightsearch").rglob("*.[ch]pp")))
    run_program(session, "clang-format", "--dry-run", "--Werror", *sources)
    run(session, "mypy")
    benchmarks = sorted(Path("benchmarks").glob("*/*.py"))
    beside = [*sorted({str(path.parent) for path in benchmarks}), "tests/support", "tests/engines"]
    session.env["MYPYPATH"] = os.pathsep.join(["benchmarks", *beside])
    run(session, "mypy", *LENIENT, *map(str, benchmarks))
    workflows = sorted(map(str, Path(".github/workflows").glob("*.yml")))
    run(session, "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    run_program(session, "zizmor", "--offline", "--no-progress", *workflows)


def run_program(session: nox.Session, name: str, *arguments: str) -> None:
    """Run a program of this environment, if it has it: others' versions judge differently."""
    program = shutil.which(name, path=str(Path(sys.executable).parent))
    if program:
        session.run(program, *arguments)
    else:
        session.warn(f"{name} checks nothing, since it is not installed: pip install -e '.[dev]'")


@nox.session
def docs(session: nox.Session) -> None:
    """The site in site/, without a warning; the docs' code, commands and links."""
    run(session, "mkdocs", "build", "--strict", "--quiet")
    run(session, "pytest", "-q", "-m", "slow or not slow", "tests/test_docs.py", *session.posargs)


@nox.session(venv_backend="venv")
def wheels(session: nox.Session) -> None:
    """Wheels for all systems in dist/, by zig's compiler; checked. This one's is then tried."""
    session.install("setuptools>=77", "ziglang==0.17.1", "pyelftools", "pefile", "macholib")
    session.run("python", "wheels/build_wheels.py", "dist", *session.posargs)
    session.run("python", "wheels/check_wheels.py", "dist")
    session.install("--no-index", "--find-links", "dist", "--no-deps", "lightsearch")
    session.install("lightsearch")  # what it needs
    session.run("python", "wheels/try_wheel.py")


@nox.session(venv_backend="uv")
def oldest(session: nox.Session) -> None:
    """The core of the tests, pictures and reports with the oldest dependencies that are allowed.

    Other tests go after `--`.
    """
    session.install("--resolution", "lowest-direct", "-e", ".[test]")
    # What they need is new: matplotlib is told by pyparsing that its calls are out of date.
    old = ("-W", "ignore::DeprecationWarning")
    # The Triton of PyTorch 2.4 cannot import our kernels; PyTorch's own then train on a GPU.
    old += ("--deselect", "tests/test_imports.py::test_loading_every_file_hides_no_public_name")
    tests = session.posargs or (*CORE, "tests/plots", "tests/report")
    session.run("pytest", "-q", "-n", "2", *old, *tests)


@nox.session(venv_backend="uv")
def no_compiler(session: nox.Session) -> None:
    """An install without a compiler: PyTorch does the work of a search."""
    with tempfile.TemporaryDirectory() as fresh:
        # From a source distribution: the checkout's build/ may hold an engine.
        session.run("uv", "build", "--quiet", "--sdist", "--out-dir", fresh, external=True)
        (source,) = Path(fresh).glob("*.tar.gz")
        session.install(str(source), env={"CXX": "false"})
        session.chdir(fresh)
        code = "from lightsearch.engines.native.library import has_builds; assert not has_builds()"
        session.run("python", "-c", code)
        arguments = "--dataset digits --budget 900 --epochs 2 --trials 2 --target 0.1"
        session.run("lightsearch", "search", *arguments.split(), "--study", "study")
        session.chdir(session.invoked_from)

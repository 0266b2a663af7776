"""The tasks of a working day; `nox --list` names them.

They run in the environment that nox is installed in. One of its own for each task, as nox would
make by itself, takes minutes and 6 GB.
"""

import shutil
import sys
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
    """Lint, format, types. clang-format must be the environment's own: versions differ."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    clang_format = shutil.which("clang-format", path=str(Path(sys.executable).parent))
    if clang_format:
        sources = sorted(map(str, Path("lightsearch").rglob("*.[ch]pp")))
        session.run(clang_format, "--dry-run", "--Werror", *sources)
    else:
        session.warn("the format of C++ is not checked: pip install -e '.[dev]'")
    run(session, "mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The site in site/, without a warning; the docs' code, commands and links."""
    run(session, "mkdocs", "build", "--strict", "--quiet")
    run(session, "pytest", "-q", "-m", "slow or not slow", "tests/test_docs.py", *session.posargs)

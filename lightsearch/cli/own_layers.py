"""`--import FILE.py`: layers, and steps of recipes, of one's own on the command line."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

from lightsearch.checks import check_path
from lightsearch.errors import ArgumentError

OPTION = "--import"


def move_to_front(args: Sequence[str]) -> list[str]:
    """Return arguments with `--import FILE` before the command, wherever it stands."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            rest += [arg, *left]
        elif arg == OPTION:
            file = list(itertools.islice(left, 1))
            (front if file else rest).extend([arg, *file])
        elif arg.startswith(f"{OPTION}="):
            front.append(arg)
        else:
            rest.append(arg)
    return front + rest


def lacks_file(args: Sequence[str]) -> bool:
    """Whether the last argument is `--import`, so that its file is missing."""
    return "--" not in args and list(args[-1:]) == [OPTION]


def import_file(given: str) -> None:
    """Import a Python file, which registers layers or steps of recipes, as the module of its name.

    Its folder joins the path, so that workers find it too. Raises `ArgumentError` if it is not
    there, has the name of another module, or raises anything.
    """
    path = check_path("import", given).resolve()
    name = path.stem
    if path.suffix != ".py" or not path.is_file() or not name.isidentifier():
        raise ArgumentError(f"`import` must be a Python file, such as layers.py, but got {given}")
    spec = _find(name)
    if spec is None and name not in sys.modules:
        sys.path.append(str(path.parent))  # the end: a file there must not hide another module
        importlib.invalidate_caches()
        spec = _find(name)
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path:
        raise ArgumentError(
            f"`import` must be a file whose name no other module has, but got {given}: {name} is "
            f"{spec.origin if spec else 'a module already'}"
        )
    try:
        importlib.import_module(name)
    except Exception as error:
        line = _find_line(error, path)
        said = error.msg if isinstance(error, SyntaxError) and line is not None else error
        raise ArgumentError(
            f"`import` must be a file that can be imported, but {given} raised "
            f"{type(error).__name__}{'' if line is None else f' in line {line}'}: {said}"
        ) from error


def _find_line(error: Exception, path: Path) -> int | None:
    """Return the last line of a file that was run before an error, or that cannot be read."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]
    return lines[-1] if lines else None


def _find(name: str) -> ModuleSpec | None:
    found = sys.modules.get(name)
    return importlib.util.find_spec(name) if found is None else found.__spec__

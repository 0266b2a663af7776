"""The name of a user's function in a study: with a digest, so that a changed one is noticed.

The digest is of the source without comments, of the defaults, and of the values that the function
uses from outside. Of other functions that it uses it has their source, but not what those use.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from tokenize import TokenError
from types import FunctionType, ModuleType
from typing import Any

from lightsearch.errors import ArgumentError

DIGITS = 12  # of the digest
PLAIN = (bool, int, float, str, type(None))


def name_function(argument: str, function: Callable[..., Any], takes: str) -> str:
    """Return the name of a function that is given as `argument`, with its digest.

    Raises `ArgumentError` for what is no `def` (of `takes`), and for values that no text tells.
    """
    inner, given = function, []
    while isinstance(inner, partial):
        given.append(_text(argument, "arguments", [*inner.args, dict(inner.keywords)]))
        inner = inner.func
    if not isinstance(inner, FunctionType) or inner.__name__ == "<lambda>":
        raise ArgumentError(
            f"`{argument}` must be a function of {takes} that is written with `def`, so that the "
            f"study can name it, but got {function!r:.100}"
        )
    return f"{inner.__qualname__}:{_digest([*given, *_describe(argument, inner)])}"


def digest_source(value: Any) -> str:
    """Return a digest of a function or a class, or "" if its source cannot be read.

    If it uses values that no text tells, the digest is of its source alone.
    """
    try:
        source = _source("function", value)
    except ArgumentError:
        return ""
    try:
        parts = list(_describe("function", value)) if isinstance(value, FunctionType) else [source]
    except ArgumentError:
        parts = [source]
    return _digest(parts)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:DIGITS]


def _describe(argument: str, function: FunctionType) -> Iterator[str]:
    yield _source(argument, function)
    defaults = [*(function.__defaults__ or ()), function.__kwdefaults__ or {}]
    yield _text(argument, "defaults", defaults)
    outside = inspect.getclosurevars(function)
    for name, value in sorted({**outside.globals, **outside.nonlocals}.items()):
        own = isinstance(value, type) and value.__module__ == function.__module__
        text = _class_text(value) if own else _text(argument, name, value)
        yield f"{name}={text}"


def _source(argument: str, value: Any) -> str:
    """The source of a function or a class, without comments."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    except (OSError, TypeError, SyntaxError, TokenError, IndexError):
        tree = ast.Module([], [])
    found = tree.body[0] if tree.body else None
    name = getattr(value, "__name__", repr(value))
    if not isinstance(found, ast.FunctionDef | ast.ClassDef) or found.name != name:
        raise ArgumentError(
            f"`{argument}` must have its source in a file or a notebook, so that the study can "
            f"name it, but that of {getattr(value, '__qualname__', name)} cannot be read"
        )
    return ast.unparse(tree)


def _text(argument: str, name: str, value: Any) -> str:
    """A value as text that tells it from others."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        texts = ", ".join(_text(argument, name, one) for one in value)
        return f"{type(value).__name__}({texts})"
    if isinstance(value, Mapping):
        return _text(argument, name, [item for item in sorted(value.items())])
    if isinstance(value, FunctionType):
        return _source(argument, value)
    if isinstance(value, ModuleType | type) or inspect.isbuiltin(value):
        return str(value.__name__)
    raise ArgumentError(
        f"`{argument}` must depend on numbers, texts and functions alone, so that the study can "
        f"name it, but it uses {name}={value!r:.100}"
    )


def _class_text(value: type) -> str:
    """A class of the user's own by its source, or by its name if that cannot be read."""
    try:
        return _source("function", value)
    except ArgumentError:
        return value.__name__

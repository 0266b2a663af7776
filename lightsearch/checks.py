"""Checks of arguments. Each raises `ArgumentError` with the rule and the value."""

from __future__ import annotations

import errno
import os
import stat
from numbers import Integral
from pathlib import Path
from typing import Any

from lightsearch.errors import ArgumentError


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value`, perhaps a NumPy integer, as an `int` from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise ArgumentError(
            f"`{name}` must be an integer from {low} to {high}, but got {name}={value!r}"
        )
    return int(value)


def check_number(name: str, value: Any, above: float, high: float) -> None:
    """Raise `ArgumentError` unless `value` is a number with `above < value <= high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= high:
        raise ArgumentError(
            f"`{name}` must be a number above {above:g} and at most {high:g}, "
            f"but got {name}={value!r}"
        )


def check_kind(name: str, value: Any, types: Any, noun: str) -> None:
    """Raise `ArgumentError` unless `value` has one of the `types`; `noun` names them in words."""
    if not isinstance(value, types):
        raise ArgumentError(f"`{name}` must be {noun}, but got {name}={value!r}")


def check_path(name: str, value: Any) -> Path:
    """Return `value` as a `Path`. Raises `ArgumentError` if it is not a path."""
    if (
        not isinstance(value, str | os.PathLike)
        or not str(value)
        or "\0" in str(value)
        or isinstance(os.fspath(value), bytes)
    ):
        raise ArgumentError(f"`{name}` must be a path, but got {name}={value!r}")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # of a user who is not there
        raise ArgumentError(
            f"`{name}` must be a path, but got {name}={value!r}: {error}"
        ) from None


def check_free(name: str, path: Path, *, force: bool) -> None:
    """Raise `ArgumentError` if something stands at `path` and is not to be replaced by `force`."""
    if not force and (path.exists() or path.is_symlink()):
        raise ArgumentError(
            f"`{name}` must be a new file, but {path} is there: move it, give another, or replace "
            "it with --force (force=True in Python)"
        )


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file. Raises `OSError` for any other: a pipe would wait."""
    with open(path, "rb", opener=_open_without_wait) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read()


def _open_without_wait(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

"""Checks of arguments: each raises `ArgumentError` with the rule and the value."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any

from lightsearch.errors import ArgumentError


def integer(name: str, value: Any, low: int, high: int) -> int:
    """`value`, NumPy's too, as an integer. Raises `ArgumentError` unless from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral) \
            or not low <= int(value) <= high:
        raise ArgumentError(f"`{name}` must be an integer from {low} to {high}, "
                            f"but got {name}={value!r}")
    return int(value)


def number(name: str, value: Any, above: float, high: float) -> None:
    """Raise `ArgumentError` unless `value` is a number above `above`, at most `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= high:
        raise ArgumentError(f"`{name}` must be a number above {above:g} and at most {high:g}, "
                            f"but got {name}={value!r}")


def kind(name: str, value: Any, kinds: Any, said: str) -> None:
    """Raise `ArgumentError` unless `value` is of one of the `kinds`, in words: `said`."""
    if not isinstance(value, kinds):
        raise ArgumentError(f"`{name}` must be {said}, but got {name}={value!r}")


def path(name: str, value: Any) -> Path:
    """`value` as a path. Raises `ArgumentError` for what is none."""
    if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value) \
            or isinstance(os.fspath(value), bytes):
        raise ArgumentError(f"`{name}` must be a path, but got {name}={value!r}")
    return Path(value)

"""Checks of arguments. Each raises `ArgumentError` with the rule and the value."""

from __future__ import annotations

import codecs
import contextlib
import errno
import math
import os
import re
import stat
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lightsearch.errors import CONTROL, ArgumentError, quote

_DIGITS = 40  # of a whole number that is taken as it is: no argument is larger
_COUNT = re.compile(
    # 8,000, 8'000, 8 000 (also with a space that does not break), 8000 or 1.5
    r"(\d{1,3}(?:[,_'\u2019 \u00a0\u202f]\d{3})+|\d{1,18}(?:\.\d{1,9})?)"
    r"(?:\s?([kKmM])|[eE]\+?(\d))?"
)


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value`, perhaps of NumPy or a whole float, as an `int` from `low` to `high`."""
    whole = None if isinstance(value, str) else to_count(value)
    if isinstance(whole, bool) or not isinstance(whole, int) or not low <= whole <= high:
        raise ArgumentError(
            f"`{name}` must be an integer from {low} to {high}, but got {name}={quote(value)}"
        )
    return whole


def check_number(name: str, value: Any, above: float, high: float) -> float:
    """Return `value`, perhaps of NumPy, as a Python number with `above < value <= high`."""
    number = to_number(value)
    if number is None or not above < number <= high:
        hint = suggest_share(value) if above == 0 and high == 1 else ""
        raise ArgumentError(
            f"`{name}` must be a number above {above:g} and at most {high:g}, "
            f"but got {name}={quote(value)}{hint}"
        )
    return number


def suggest_share(value: Any) -> str:
    """Return the end of a message about a share in per cent or as text; "" for others."""
    number = to_number(value)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            number = float(value.strip().rstrip("% ").replace(",", "."))
    if number is None or not (0 < number <= 1 or 2 <= number <= 100):  # 1.01 is no per cent
        return ""
    exact = Decimal(str(number))  # as floats, 99.4 / 100 is not 0.994
    share = exact if number <= 1 else exact / 100
    return f": {share.normalize():f}?"


def unwrap(value: Any) -> Any:
    """Return the number in an array or a tensor without dimensions; anything else as it is.

    A bool of NumPy is returned as Python's, a `Decimal` as an integer or a float.
    """
    if isinstance(value, Decimal):
        return _read_decimal(value)
    if getattr(value, "ndim", None) != 0 or isinstance(value, Real):
        return value
    import numpy as np  # it is loaded: an array or a tensor is there

    try:
        one = np.asarray(value)[()]
    except (TypeError, RuntimeError, ValueError):  # of another device, or one that trains
        return value
    return bool(one) if isinstance(one, np.bool_) else one


def _read_decimal(value: Decimal) -> int | float:
    if value.is_nan():  # one that signals cannot be a float
        return math.nan
    is_whole = value.is_finite() and value == value.to_integral_value()
    return int(value) if is_whole and value.adjusted() < _DIGITS else float(value)


def to_number(value: Any) -> int | float | None:
    """Return a number, perhaps of NumPy, as an `int` or `float` of Python; None if it is none.

    Of a float32 it is the decimal number that it shows: 0.994, not 0.9940000176.
    """
    if isinstance(value, int | float) and type(value) in (int, float):
        return value
    value = unwrap(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, Integral):
        return int(value)
    try:
        return float(str(value))
    except ValueError:  # a fraction
        return float(value)


def to_count(value: Any) -> Any:
    """Return what stands for a count as an `int`: 8e3, "8k", "8,000"; anything else as it is.

    >>> [to_count(one) for one in (8e3, "8k", "8,000", "8_000", "1.5M", "8e3", "8000.0")]
    [8000, 8000, 8000, 8000, 1500000, 8000, 8000]
    >>> to_count("8.000"), to_count("many")
    ('8.000', 'many')
    """
    if isinstance(value, str):
        found = _COUNT.fullmatch(value.strip())
        if found is None:
            return value
        digits, unit, power = found.groups()
        count = Decimal(re.sub(r"[^\d.]", "", digits))
        count *= {"": 1, "k": 1000, "m": 10**6}[(unit or "").lower()]
        count *= 10 ** int(power or 0)
        decimals = len(digits.partition(".")[2])  # 8.000 may be meant as 8,000
        is_whole = count == int(count) and (decimals < 3 or bool(unit or power))
        return int(count) if is_whole else value
    number = None if isinstance(value, bool) else to_number(value)
    return (
        int(number)
        if isinstance(number, float) and number.is_integer()
        else (value if number is None else number)
    )


def check_flag(name: str, value: Any) -> bool:
    """Return `value`, perhaps of NumPy, as True or False."""
    flag = unwrap(value)
    if not isinstance(flag, bool):
        raise ArgumentError(f"`{name}` must be True or False, but got {name}={quote(value)}")
    return flag


def check_kind(name: str, value: Any, types: Any, noun: str) -> None:
    """Raise `ArgumentError` unless `value` has one of the `types`; `noun` names them in words."""
    if not isinstance(value, types):
        raise ArgumentError(f"`{name}` must be {noun}, but got {name}={quote(value)}")


def check_path(name: str, value: Any) -> Path:
    """Return `value` as a `Path`. Raises `ArgumentError` if it is not a path."""
    if (
        not isinstance(value, str | os.PathLike)
        or not str(value)
        or "\0" in str(value)
        or isinstance(os.fspath(value), bytes)
    ):
        raise ArgumentError(f"`{name}` must be a path, but got {name}={quote(value)}")
    try:
        path = Path(value).expanduser()
        os.lstat(path)
        return path
    except (UnicodeEncodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            return path
        raise ArgumentError(
            f"`{name}` must be a path that can be, but got {name}={quote(value)}: {error}"
        ) from None
    except RuntimeError:  # of ~somebody who is no user here
        raise ArgumentError(
            f"`{name}` must be a path in a home that exists, but got {name}={quote(value)}"
        ) from None


def names_path(text: str) -> bool:
    """Whether a text is the path of something that is there."""
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, of ~nobody
        return False


def check_free(name: str, path: Path, *, force: bool) -> None:
    """Raise `ArgumentError` if something stands at `path` and is not to be replaced by `force`."""
    if not force and (path.exists() or path.is_symlink()):
        raise ArgumentError(
            f"`{name}` must be a new file, but {path} is there: move it, give another, or replace "
            "it with --force (force=True in Python)"
        )


def has_controls(text: str) -> bool:
    """Whether a text has characters that move a terminal's cursor, or turn what it shows.

    Line feeds and tabs are not among them.
    """
    return CONTROL.search(text) is not None


def check_regular(path: Path) -> None:
    """Raise `OSError` if a path is there and no regular file: to open a pipe would wait."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_text_file(path: Path) -> str:
    """Return the text of a file in UTF-8 or UTF-16, without a byte-order mark.

    Raises `OSError` if it cannot be read, and `ValueError` for another encoding.
    """
    data = read_regular(path)
    # UTF-32's mark begins with UTF-16's. Without a mark, noughts stand beside Latin letters.
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or b"\0\0\0" in data[:4]:
        raise ValueError("it must be in UTF-8 or UTF-16, but is in UTF-32")
    if len(data) > 1 and data[:2].count(0) == 1:
        raise ValueError(
            "it must be in UTF-8 or UTF-16, but seems to be UTF-16 without its byte-order mark"
        )
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be in UTF-8 or UTF-16, but {error.reason}") from None


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file. Raises `OSError` for any other: a pipe would wait."""
    with open(path, "rb", opener=_open_without_wait) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read()


def _open_without_wait(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

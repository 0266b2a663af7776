"""The size that images are brought to: a side of a square, or (height, width). Needs no torch."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from lightsearch.checks import check_integer
from lightsearch.errors import ArgumentError, quote

Size: TypeAlias = int | tuple[int, int]
LEAST, MOST = 4, 96  # pixels of a side
DEFAULT_SIZE = 32


def check_size(value: Any) -> tuple[int, int]:
    """Return a size as (height, width).

    >>> check_size(28), check_size((60, 80))
    ((28, 28), (60, 80))

    Raises `ArgumentError` for anything but an integer or two, each from 4 to 96.
    """
    sides = value if isinstance(value, tuple | list) else (value, value)
    try:
        height, width = (check_integer("size", side, LEAST, MOST) for side in sides)
    except (ArgumentError, ValueError):  # the latter for another number of sides
        raise ArgumentError(
            f"`size` must be an integer from {LEAST} to {MOST}, or two of them, (height, width), "
            f"but got size={quote(value)}"
        ) from None
    return height, width


def format_size(size: tuple[int, int]) -> str:
    """Return a size as people write it: one number for a square.

    >>> format_size((28, 28)), format_size((60, 80))
    ('28', '60x80')
    """
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def parse_size(text: str) -> Size:
    """Return the size that `format_size` wrote, of any range. Raises `ValueError` for others.

    >>> parse_size("28"), parse_size("60x80")
    (28, (60, 80))
    """
    found = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text)
    if found is None:
        raise ValueError(f"it must be like 28 or 60x80, height x width, but got {text}")
    return int(found[1]) if found[2] is None else (int(found[1]), int(found[2]))

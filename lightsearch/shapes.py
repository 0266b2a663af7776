"""Shapes of images and features: (channels, height, width)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

from lightsearch.checks import to_count
from lightsearch.errors import ArgumentError, quote

Shape: TypeAlias = tuple[int, int, int]
Sides: TypeAlias = int | tuple[int, int]
"""A number of pixels in height and width alike, or one for each. Equal ones are one number."""


def elements(shape: Shape) -> int:
    """Return the number of values of a shape."""
    return shape[0] * shape[1] * shape[2]


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it.

    >>> format_shape((3, 32, 32))
    '3x32x32'
    """
    return "x".join(map(str, shape))


def both(value: Sides) -> tuple[int, int]:
    """Return a number of pixels for (height, width).

    >>> both(3), both((3, 1))
    ((3, 3), (3, 1))
    """
    return value if isinstance(value, tuple) else (value, value)


def join_sides(height: int, width: int) -> Sides:
    """Return what is one number if height and width agree: the inverse of `both`."""
    return height if height == width else (height, width)


def slide(size: tuple[int, int], kernel: Sides, stride: Sides, padding: Sides) -> tuple[int, int]:
    """Return the output size, (height, width), of a window that slides over an image of `size`.

    >>> slide((28, 28), kernel=3, stride=2, padding=1)
    (14, 14)
    >>> slide((28, 28), kernel=(3, 1), stride=1, padding=0)
    (26, 28)
    """
    (tall, wide), (high, broad) = both(kernel), both(padding)
    down, across = both(stride)
    return (size[0] + 2 * high - tall) // down + 1, (size[1] + 2 * broad - wide) // across + 1


def check_shape(shape: Any) -> Shape:
    """Return the shape of an image, perhaps of NumPy's integers, as (channels, height, width).

    Raises `ArgumentError` for anything else, and for a shape that has its channels last.
    """
    first, second, last = check_features(shape)
    if has_channels_last((first, second, last)):
        raise ArgumentError(
            "`shape` must be (channels, height, width), here "
            f"shape={(last, first, second)}, but got shape={(first, second, last)}"
        )
    return first, second, last


def check_features(shape: Any) -> Shape:
    """Return the shape of a layer's output, which may have any number of channels.

    Raises `ArgumentError` unless it is three integers from 1, in a tuple, a list or an array.
    """
    given = shape.tolist() if hasattr(shape, "tolist") else shape  # an array
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    sides: list[Any] = (
        [None if isinstance(n, str) else to_count(n) for n in given] if is_list else []
    )
    if len(sides) != 3 or not all(type(side) is int and side >= 1 for side in sides):
        raise ArgumentError(
            "`shape` must be three integers >= 1, (channels, height, width), "
            f"but got shape={quote(shape)}"
        )
    channels, height, width = sides
    return channels, height, width


def has_channels_last(shape: tuple[int, int, int]) -> bool:
    """Whether a shape can only be meant as (height, width, channels).

    >>> has_channels_last((28, 28, 1)), has_channels_last((60, 80, 3))
    (True, True)
    >>> has_channels_last((3, 32, 32)), has_channels_last((16, 1, 1))
    (False, False)
    """
    return min(shape[:2]) > 4 and shape[2] in (1, 3)


def nearest(index: int, before: int, after: int) -> int:
    """Return the source of pixel `index` if nearest neighbour resizes `before` pixels to `after`.

    PyTorch multiplies in single precision, so a few pixels come out one lower: 26 to 22.
    """
    return min(int(_round_to_float32(index * _round_to_float32(before / after))), before - 1)


def _round_to_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])

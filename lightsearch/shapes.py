"""Shapes of images and features: (channels, height, width)."""

from __future__ import annotations

from typing import Any, TypeAlias

from lightsearch.errors import ArgumentError

Shape: TypeAlias = tuple[int, int, int]


def elements(shape: Shape) -> int:
    """Return the number of values of a shape."""
    return shape[0] * shape[1] * shape[2]


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it.

    >>> format_shape((3, 32, 32))
    '3x32x32'
    """
    return "x".join(map(str, shape))


def slide(size: tuple[int, int], kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Return the output size, (height, width), of a window that slides over an image of `size`.

    >>> slide((28, 28), kernel=3, stride=2, padding=1)
    (14, 14)
    """
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    return height, width


def check_shape(shape: Any) -> None:
    """Raise `ArgumentError` unless `shape` is (channels, height, width)."""
    if not (
        isinstance(shape, tuple)
        and len(shape) == 3
        and all(type(n) is int and n >= 1 for n in shape)
    ):
        raise ArgumentError(
            "`shape` must be three integers >= 1, (channels, height, width), "
            f"but got shape={shape!r}"
        )

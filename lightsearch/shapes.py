"""Shapes of images and features: (channels, height, width)."""

from __future__ import annotations

from typing import Any, TypeAlias

from lightsearch.errors import ArgumentError

Shape: TypeAlias = tuple[int, int, int]


def elements(shape: Shape) -> int:
    """The number of values of a shape."""
    return shape[0] * shape[1] * shape[2]


def check_shape(shape: Any) -> None:
    """Raise `ArgumentError` unless `shape` is (channels, height, width)."""
    if not (isinstance(shape, tuple) and len(shape) == 3
            and all(type(n) is int and n >= 1 for n in shape)):
        raise ArgumentError("`shape` must be three integers >= 1, (channels, height, width), "
                            f"but got shape={shape!r}")

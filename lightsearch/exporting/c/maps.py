"""Which row or column of an image each one of another image comes from. No torch."""

from __future__ import annotations

from lightsearch.shapes import nearest


def list_nearest(before: int, after: int) -> list[int]:
    """Return the sources of an image that is resized by the nearest neighbour."""
    return [nearest(index, before, after) for index in range(after)]


def list_border(low: int, size: int, high: int, mode: str) -> list[int]:
    """Return the sources of an image with a border of `low` before it and `high` after it.

    A source of -1 is a zero.

    >>> from lightsearch.exporting.c.maps import list_border
    >>> [list_border(2, 3, 1, mode) for mode in ("zeros", "reflect", "replicate", "circular")]
    [[-1, -1, 0, 1, 2, -1], [2, 1, 0, 1, 2, 1], [0, 0, 0, 1, 2, 2], [1, 2, 0, 1, 2, 0]]
    """
    places = range(-low, size + high)
    if mode == "zeros":
        return [place if 0 <= place < size else -1 for place in places]
    if mode == "reflect":
        return [size - 1 - abs(size - 1 - abs(place)) for place in places]
    if mode == "circular":
        return [place % size for place in places]
    return [min(max(place, 0), size - 1) for place in places]

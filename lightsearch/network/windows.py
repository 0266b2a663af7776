"""Windows that slide over an image, along its height and along its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from lightsearch.shapes import Sides, both, join_sides


class Span(NamedTuple):
    """What neighbouring outputs see along one side, in pixels of the input.

    One output sees `extent` pixels, the next one begins `stride` pixels later, and the first one
    begins `padding` pixels before the input.
    """

    extent: int = 1
    stride: int = 1
    padding: int = 0


Spans: TypeAlias = tuple[Span, Span]
"""Those along the height and along the width."""

PIXEL: Spans = (Span(),) * 2


def make_spans(extent: Sides = 1, stride: Sides = 1, padding: Sides = 0) -> Spans:
    """Return the spans of a window of one number for each side, or two."""
    if extent == stride == 1 and padding == 0:
        return PIXEL
    if isinstance(extent, int) and isinstance(stride, int) and isinstance(padding, int):
        span = Span(extent, stride, padding)
        return span, span
    height, width = zip(both(extent), both(stride), both(padding), strict=True)
    return Span(*height), Span(*width)


def chain(first: Spans, after: Spans) -> Spans:
    """Return the spans of one layer after another."""
    if after is PIXEL:  # norms and activations: nothing to do
        return first
    height = _chain(first[0], after[0])
    if first[0] is first[1] and after[0] is after[1]:  # square, as most are: half the work
        return height, height
    return height, _chain(first[1], after[1])


def _chain(first: Span, after: Span) -> Span:
    return Span(
        first.extent + (after.extent - 1) * first.stride,
        first.stride * after.stride,
        first.padding + after.padding * first.stride,
    )


def are_square(*spans: Spans) -> bool:
    """Whether windows are alike in height and width."""
    return all(height == width for height, width in spans)


@dataclass(frozen=True, slots=True)
class Slide:
    """How a window slides along one side, in pixels: of how many taps it is, and how far apart."""

    kernel: int
    stride: int
    padding: int
    dilation: int = 1

    @property
    def extent(self) -> int:
        return self.dilation * (self.kernel - 1) + 1


def make_slides(
    kernel: Sides, stride: Sides, padding: Sides, dilation: Sides = 1
) -> tuple[Slide, Slide | None]:
    """Return how a window slides along the height, and along the width if it differs there."""
    sides = zip(both(kernel), both(stride), both(padding), both(dilation), strict=True)
    height, width = (Slide(*side) for side in sides)
    return height, None if width == height else width


def list_windows(before: int, after: int) -> list[tuple[int, int]]:
    """Return where each window of adaptive pooling begins, and where it ends, along one side.

    >>> list_windows(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [(n * before // after, -(-(n + 1) * before // after)) for n in range(after)]


Slides: TypeAlias = tuple[Slide, Slide]
"""Those along the height and along the width."""


def window_of(slides: Slides) -> tuple[Sides, Sides, Sides]:
    """Return extent, stride and padding of a sliding window: one number or two."""
    height, width = slides
    if height is width:
        return height.extent, height.stride, height.padding
    return (
        join_sides(height.extent, width.extent),
        join_sides(height.stride, width.stride),
        join_sides(height.padding, width.padding),
    )


def join_slides(slides: Slides) -> tuple[Sides, Sides, Sides, Sides]:
    """Return kernel, stride, padding and dilation as PyTorch takes them: one number or two."""
    height, width = slides
    return (
        join_sides(height.kernel, width.kernel),
        join_sides(height.stride, width.stride),
        join_sides(height.padding, width.padding),
        join_sides(height.dilation, width.dilation),
    )

"""The space that a search draws from unless it is given one."""

from __future__ import annotations

from typing import Any

from lightsearch.design.layers import conv, gap, linear, maxpool, separable
from lightsearch.design.parts import Space, maybe, oneof, seq
from lightsearch.ops import Shape

WIDTHS = (8, 10, 12, 16, 20, 24, 32, 40)


def default_space(shape: Shape = (1, 28, 28), classes: int = 10) -> Space:
    """A space of small CNNs for images of `shape` (channels, height, width)."""
    return seq(
        conv(oneof(8, 10, 12, 16), padding=oneof("same", 0)),
        _block(), maybe(_block()), maxpool(),
        _block(), _block(), maybe(_block()), maybe(_block()), maybe(_block()),
        gap(), linear(classes),
    )


def _block() -> Any:
    return oneof(separable(oneof(*WIDTHS)), conv(oneof(*WIDTHS[:5]), padding=oneof("same", 0)))

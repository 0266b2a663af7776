"""The space that a search uses by default."""

from __future__ import annotations

from typing import Any

from lightsearch.checks import check_integer
from lightsearch.design.layers import conv, gap, gate, linear, maxpool, residual, separable
from lightsearch.design.parts import Space, maybe, oneof, seq
from lightsearch.shapes import Shape, check_shape

STEM = (8, 10, 12, 16)
WIDTHS = (8, 10, 12, 16, 20, 24, 32, 40)
PLAIN = (8, 10, 12, 14, 16, 20)  # a 3x3 convolution costs nine times a 1x1 one
SMALL = 40  # pixels; larger images get more than one pooling


def default_space(shape: Shape = (1, 28, 28), classes: int = 10) -> Space:
    """Make a space of small CNNs for images of `shape` (channels, height, width).

    >>> from lightsearch import default_space, survey
    >>> survey(default_space(), (1, 28, 28), 10).smallest_params < 1000
    True

    A design has a stem, one or two blocks at full resolution, a pooling, two to five blocks, an
    optional gate, a global average and a linear layer. A block is a separable convolution, a plain
    3x3 one (the source documents' stacks), a 1x1 transition, or a residual addition with
    projection (document 004). Batch norm and ReLU come in one of the two orders throughout.
    Images of more than 40 pixels get one more pooling after the stem for each halving they need.
    """
    check_shape(shape)
    check_integer("classes", classes, 1, 10**6)
    order = oneof("norm-act", "act-norm", name="order")
    extra, side = 0, max(shape[1:])
    while side > SMALL:
        extra, side = extra + 1, side // 2
    return seq(
        conv(oneof(*STEM), padding=oneof("same", 0), order=order),
        [maxpool()] * extra,
        _block(order),
        maybe(_block(order)),
        maxpool(),
        _block(order),
        _block(order),
        [maybe(_block(order)) for _ in range(3)],
        maybe(gate()),
        gap(),
        linear(classes),
    )


def _block(order: Any) -> Any:
    return oneof(
        separable(oneof(*WIDTHS), order=order),
        conv(oneof(*PLAIN), padding=oneof("same", 0), order=order),
        conv(oneof(*PLAIN[:4]), kernel=1, order=order),
        residual([conv(oneof(8, 12, 16), order=order)], shortcut="project"),
    )

"""The output shape and the cost of an operation that holds no others."""

from __future__ import annotations

from dataclasses import replace

from lightsearch.errors import DesignError
from lightsearch.network.operations import (
    AdaptivePool,
    BatchNorm,
    Border,
    Conv2d,
    Dense,
    Extend,
    GroupNorm,
    Local,
    PerPass,
    Pool,
    ShuffleChannels,
    Slice,
    Squeeze,
)
from lightsearch.network.windows import Span, list_windows, window_of
from lightsearch.shapes import Shape, Sides, elements, join_sides, slide

_NORM_VALUES = {"both": 2, "shift": 1, "none": 0}  # parameters a channel


def cost_convolution(op: Conv2d, source: Shape) -> Local:
    height, width = slides = op.slides
    extent, stride, padding = window_of(slides)
    shape = (op.outputs, *slide(source[1:], extent, stride, padding))
    taps = op.inputs // op.groups * height.kernel * width.kernel
    peak = elements(source) + elements(shape)
    return Local(
        shape,
        op.outputs * (taps + op.bias),
        elements(shape) * taps,
        extent,
        stride,
        peak=peak,
        padding=padding,
        kept=peak,
    )


def cost_projection(op: Conv2d | PerPass, source: Shape) -> Local:
    """Return the cost of a residual's projection, in a loop of one for each pass."""
    if isinstance(op, Conv2d):
        return cost_convolution(op, source)
    assert isinstance(op.op, Conv2d | PerPass)
    one = cost_projection(op.op, source)
    return replace(one, params=op.passes * one.params)


def cost_in_place(source: Shape, params: int = 0) -> Local:
    """Return the cost of an operation whose output takes the place of its input."""
    return Local(source, params, kept=2 * elements(source))


def cost_norm(op: BatchNorm | GroupNorm, source: Shape) -> Local:
    """Raise `DesignError` if a norm has one value a group: its output is always its shift.

    PyTorch refuses it for one image, and passes over it for several.
    """
    if isinstance(op, GroupNorm) and elements(source) == op.groups:
        raise DesignError(
            "each group of a norm must have more than one value, but got "
            f"groups={op.groups} on an input of {'x'.join(map(str, source))}"
        )
    return cost_in_place(source, _NORM_VALUES[op.affine] * op.channels)


def cost_pool(op: Pool, source: Shape) -> Local:
    extent, stride, padding = window_of(op.slides)
    shape = (source[0], *slide(source[1:], extent, stride, padding))
    peak = elements(source) + elements(shape)
    return Local(shape, extent=extent, stride=stride, peak=peak, padding=padding, kept=peak)


def cost_adaptive_pool(op: AdaptivePool, source: Shape) -> Local:
    """Return the cost with the widest of the windows, and their distance rounded down."""
    shape = (source[0], op.height, op.width)
    sides = list(zip(source[1:], shape[1:], strict=True))
    height, width = (
        Span(max(stop - start for start, stop in list_windows(*side)), max(1, side[0] // side[1]))
        for side in sides
    )
    peak = elements(source) + elements(shape)
    return Local(shape, peak=peak, kept=peak).with_spans((height, width))


def cost_global_pool(source: Shape) -> Local:
    channels, height, width = source
    peak = elements(source) + channels
    return Local((channels, 1, 1), extent=max(height, width), peak=peak, kept=peak)


def cost_dense(op: Dense, source: Shape) -> Local:
    macs, peak = op.inputs * op.outputs, elements(source) + op.outputs
    return Local(
        (op.outputs, 1, 1),
        macs + op.bias * op.outputs,
        macs,
        extent=max(source[1:]),
        peak=peak,
        kept=peak,
    )


def cost_gate(source: Shape) -> Local:
    size = elements(source)
    peak = size + source[0]
    return Local(source, whole=True, peak=peak, kept=size + peak)


def cost_squeeze(op: Squeeze, source: Shape) -> Local:
    size, macs = elements(source), 2 * op.channels * op.hidden
    peak = size + source[0] + op.hidden
    return Local(
        source, macs + op.channels + op.hidden, macs, whole=True, peak=peak, kept=size + peak
    )


def cost_move(op: Slice | Extend | ShuffleChannels | Border, source: Shape) -> Local:
    """Return the cost of an operation that copies values without computing."""
    channels, height, width = source
    padding: Sides = 0
    if isinstance(op, Slice):
        channels = op.stop - op.start
    elif isinstance(op, Extend):
        channels += op.before + op.after
    elif isinstance(op, Border):
        height, width = height + op.top + op.bottom, width + op.left + op.right
        padding = join_sides(op.top, op.left)
    peak = elements(source) + channels * height * width
    return Local((channels, height, width), peak=peak, padding=padding, kept=peak)

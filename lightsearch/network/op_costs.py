"""What each operation does to a shape, and what it costs."""

from __future__ import annotations

import struct

from lightsearch.design.parts import Layer
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    GlobalPool,
    Local,
    Op,
    Ops,
    Pool,
    Squeeze,
    Step,
)
from lightsearch.shapes import Shape, elements, slide


def summed(layer: Layer, ops: Ops, source: Shape) -> Step:
    """The layer at its place, with what its operations cost together."""
    shape, params, macs, extent, stride, whole, padding = source, 0, 0, 1, 1, False, 0
    held = peak = kept = elements(source)
    for index, (_, op) in enumerate(ops):
        local = _local(op, shape)
        kept = max(kept, held + (local.peak or elements(shape)) if index else local.kept)
        extent += (local.extent - 1) * stride
        padding += local.padding * stride
        stride *= local.stride
        params += local.params
        macs += local.macs
        whole = whole or local.whole
        peak = max(peak, local.peak)
        shape = local.shape
    return Step(layer, ops, source, shape, params, macs, extent, stride, whole, peak, padding,
                kept)


def _local(op: Op, source: Shape) -> Local:
    channels, height, width = source
    size = elements(source)
    if isinstance(op, Conv2d):
        shape = (op.outputs, *_output_size(op, (height, width)))
        taps, peak = op.inputs // op.groups * op.kernel**2, size + elements(shape)
        return Local(shape, op.outputs * (taps + op.bias), elements(shape) * taps, op.kernel,
                     op.stride, peak=peak, padding=op.padding, kept=peak)
    if isinstance(op, BatchNorm):
        return Local(source, 2 * op.channels, kept=2 * size)
    if isinstance(op, Activation | Drop):
        return Local(source, kept=2 * size)
    if isinstance(op, Pool):
        shape = (channels, *_output_size(op, (height, width)))
        peak = size + elements(shape)
        return Local(shape, extent=op.kernel, stride=op.stride, peak=peak, padding=op.padding,
                     kept=peak)
    if isinstance(op, GlobalPool):
        peak = size + channels
        return Local((channels, 1, 1), extent=max(height, width), peak=peak, kept=peak)
    if isinstance(op, Dense):
        macs, peak = op.inputs * op.outputs, size + op.outputs
        return Local((op.outputs, 1, 1), macs + op.bias * op.outputs, macs,
                     extent=max(height, width), peak=peak, kept=peak)
    if isinstance(op, ChannelGate):
        peak = size + channels
        return Local(source, whole=True, peak=peak, kept=size + peak)
    if isinstance(op, Squeeze):
        macs, peak = 2 * op.channels * op.hidden, size + channels + op.hidden
        return Local(source, macs + op.channels + op.hidden, macs, whole=True, peak=peak,
                     kept=size + peak)
    assert isinstance(op, Add)
    return _added(op, source)


def _output_size(op: Conv2d | Pool, size: tuple[int, int]) -> tuple[int, int]:
    return slide(size, op.kernel, op.stride, op.padding)


def _added(op: Add, source: Shape) -> Local:
    """A residual addition: the input stays alive, and as it is, while the body runs."""
    held, extent, stride, padding, peak, fresh = elements(source), 1, 1, 0, 0, False
    for step in op.body:
        peak = max(peak, held + step.peak if fresh else step.kept)
        fresh = fresh or bool(step.ops)
        extent += (step.extent - 1) * stride
        padding += step.padding * stride
        stride *= step.stride
    shape = op.body[-1].shape
    size = elements(shape)
    resized = source[0] * shape[1] * shape[2] if op.size else 0
    peak = max(peak, held + size + resized)
    kept = max(peak, held + size + resized + (size if op.project else 0))
    if op.project:
        peak = max(peak, 2 * size + (resized or held))
    params = sum(step.params for step in op.body)
    macs = sum(step.macs for step in op.body)
    if op.project:
        added = _local(op.project, (source[0], shape[1], shape[2]))
        params, macs = params + added.params, macs + added.macs
    whole = any(step.whole for step in op.body)
    low, high = _joined(source, shape, extent, stride, padding)
    return Local(shape, params, macs, high - low + 1, stride, whole, peak, padding - low, kept)


def _joined(source: Shape, shape: Shape, extent: int, stride: int,
            padding: int) -> tuple[int, int]:
    """The ends of the body's window, widened where the resized input lies outside of it.

    Both move evenly over the image, so they are farthest apart at its first or last pixel.
    """
    low, high = 0, extent - 1
    for before, after in zip(source[1:], shape[1:], strict=True):
        for index in (0, after - 1):
            seen = nearest(index, before, after) - index * stride + padding
            low, high = min(low, seen), max(high, seen)
    return low, high


def nearest(index: int, before: int, after: int) -> int:
    """The pixel, of `before`, that nearest-neighbour resizing takes pixel `index` of `after` from.

    PyTorch multiplies in single precision, which is one pixel less here and there: 26 to 22.
    """
    return min(int(_single(index * _single(before / after))), before - 1)


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])

"""The output shape and the cost of each operation."""

from __future__ import annotations

import struct
from dataclasses import replace

from lightsearch.design.parts import Layer
from lightsearch.errors import DesignError
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    Border,
    Branches,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    Extend,
    GlobalPool,
    GroupNorm,
    Iterate,
    Local,
    Op,
    Ops,
    PerPass,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
    Squeeze,
    Step,
)
from lightsearch.shapes import Shape, elements, slide

_NORM_VALUES = {"both": 2, "shift": 1, "none": 0}  # parameters a channel


def sum_costs(layer: Layer, ops: Ops, source: Shape) -> Step:
    """Return the layer with its operations and their total cost on an input of `source`."""
    shape, params, macs, extent, stride, whole, padding = source, 0, 0, 1, 1, False, 0
    input_size = peak = kept = elements(source)
    for index, (_, op) in enumerate(ops):
        local = _cost_operation(op, shape)
        kept = max(kept, input_size + (local.peak or elements(shape)) if index else local.kept)
        extent += (local.extent - 1) * stride
        padding += local.padding * stride
        stride *= local.stride
        params += local.params
        macs += local.macs
        whole = whole or local.whole
        peak = max(peak, local.peak)
        shape = local.shape
    return Step(
        layer, ops, source, shape, params, macs, extent, stride, whole, peak, padding, kept
    )


def _check_group(op: GroupNorm, source: Shape) -> None:
    """Raise `DesignError` if a norm has one value a group: its output is always its shift.

    PyTorch refuses it for one image, and passes over it for several.
    """
    if elements(source) == op.groups:
        raise DesignError(
            "each group of a norm must have more than one value, but got "
            f"groups={op.groups} on an input of {'x'.join(map(str, source))}"
        )


def _cost_operation(op: Op, source: Shape) -> Local:
    channels, height, width = source
    size = elements(source)
    if isinstance(op, Conv2d):
        shape = (op.outputs, *_output_size(op, (height, width)))
        taps, peak = op.inputs // op.groups * op.kernel**2, size + elements(shape)
        return Local(
            shape,
            op.outputs * (taps + op.bias),
            elements(shape) * taps,
            op.extent,
            op.stride,
            peak=peak,
            padding=op.padding,
            kept=peak,
        )
    if isinstance(op, BatchNorm | GroupNorm):
        if isinstance(op, GroupNorm):
            _check_group(op, source)
        return Local(source, _NORM_VALUES[op.affine] * op.channels, kept=2 * size)
    if isinstance(op, PRelu):
        return Local(source, op.channels, kept=2 * size)
    if isinstance(op, Activation | Drop):
        return Local(source, kept=2 * size)
    if isinstance(op, Pool):
        shape = (channels, *_output_size(op, (height, width)))
        peak = size + elements(shape)
        return Local(
            shape, extent=op.kernel, stride=op.stride, peak=peak, padding=op.padding, kept=peak
        )
    if isinstance(op, GlobalPool):
        peak = size + channels
        return Local((channels, 1, 1), extent=max(height, width), peak=peak, kept=peak)
    if isinstance(op, Dense):
        macs, peak = op.inputs * op.outputs, size + op.outputs
        return Local(
            (op.outputs, 1, 1),
            macs + op.bias * op.outputs,
            macs,
            extent=max(height, width),
            peak=peak,
            kept=peak,
        )
    if isinstance(op, ChannelGate):
        peak = size + channels
        return Local(source, whole=True, peak=peak, kept=size + peak)
    if isinstance(op, Squeeze):
        macs, peak = 2 * op.channels * op.hidden, size + channels + op.hidden
        return Local(
            source, macs + op.channels + op.hidden, macs, whole=True, peak=peak, kept=size + peak
        )
    if isinstance(op, PerPass):
        one = _cost_operation(op.op, source)
        return replace(one, params=op.passes * one.params)
    if isinstance(op, Slice | Extend | ShuffleChannels | Border):
        return _cost_move(op, source)
    if isinstance(op, Branches):
        return _cost_branches(op, source)
    if isinstance(op, Iterate):
        return _cost_loop(op, source)
    assert isinstance(op, Add)
    return _cost_residual(op, source)


def shape_after(op: Op, source: Shape) -> Shape:
    """Return the shape of an operation's output."""
    return _cost_operation(op, source).shape


def _cost_move(op: Slice | Extend | ShuffleChannels | Border, source: Shape) -> Local:
    """Return the cost of an operation that copies values without computing."""
    channels, height, width = source
    padding = 0
    if isinstance(op, Slice):
        channels = op.stop - op.start
    elif isinstance(op, Extend):
        channels += op.before + op.after
    elif isinstance(op, Border):
        height, width = height + op.top + op.bottom, width + op.left + op.right
        padding = max(op.top, op.left)
    peak = elements(source) + channels * height * width
    return Local((channels, height, width), peak=peak, padding=padding, kept=peak)


def _output_size(op: Conv2d | Pool, size: tuple[int, int]) -> tuple[int, int]:
    extent = op.extent if isinstance(op, Conv2d) else op.kernel
    return slide(size, extent, op.stride, op.padding)


def _cost_body(body: tuple[Step, ...], source: Shape) -> Local:
    """Return the cost of the layers of a block, one after the other."""
    extent, stride, padding, peak, kept, past_input = 1, 1, 0, 0, 0, False
    for step in body:
        peak = max(peak, step.peak)
        kept = max(kept, elements(source) + step.peak if past_input else step.kept)
        past_input = past_input or bool(step.ops)
        extent += (step.extent - 1) * stride
        padding += step.padding * stride
        stride *= step.stride
    return Local(
        body[-1].shape,
        sum(step.params for step in body),
        sum(step.macs for step in body),
        extent,
        stride,
        any(step.whole for step in body),
        peak,
        padding,
        kept,
    )


def _cost_branches(op: Branches, source: Shape) -> Local:
    """Return the cost of two branches. The input stays alive while the first one runs."""
    empty = Local(source)
    first, second = (_cost_body(body, source) if body else empty for body in (op.first, op.second))
    channels, height, width = first.shape
    if op.by == "concat":
        channels += second.shape[0]
    low, high = _join_branches(first, second, max(height, width))
    return Local(
        (channels, height, width),
        first.params + second.params,
        first.macs + second.macs,
        high - low + 1,
        max(first.stride, second.stride),
        first.whole or second.whole,
        _peak_of_branches(op, source, first, second, keep=False),
        -low,
        _peak_of_branches(op, source, first, second, keep=True),
    )


def _peak_of_branches(
    op: Branches, source: Shape, first: Local, second: Local, *, keep: bool
) -> int:
    """Return the most values alive at once; with `keep`, somebody else needs the input after.

    A branch without operations makes nothing: its output is the input, which stays.
    """
    makes = [any(step.ops for step in body) for body in (op.first, op.second)]
    outputs = [
        elements(one.shape) * made for one, made in zip((first, second), makes, strict=True)
    ]
    stays = keep or not all(makes)
    before = first.kept if makes[0] else elements(source)
    needs_input = keep or not makes[0]
    during = outputs[0] + (second.kept if needs_input else second.peak) * makes[1]
    after = sum(outputs) + elements(source) * stays
    if op.by == "concat":
        after += elements(first.shape) + elements(second.shape)
    elif not any(makes):
        after += elements(source)
    return max(before, during, after)


def _join_branches(first: Local, second: Local, size: int) -> tuple[int, int]:
    """Return the ends of the window of both branches, the widest over an output of `size`."""
    jump = max(first.stride, second.stride)
    starts = [
        (pixel * (one.stride - jump) - one.padding, one.extent)
        for one in (first, second)
        for pixel in (0, size - 1)
    ]
    return min(start for start, _ in starts), max(start + extent - 1 for start, extent in starts)


def _cost_loop(op: Iterate, source: Shape) -> Local:
    """Return the cost of a loop: parameters once, everything else for each pass."""
    one = _cost_body(op.body, source)
    extent, stride, padding = 1, 1, 0
    for _ in range(op.passes):
        extent += (one.extent - 1) * stride
        padding += one.padding * stride
        stride *= one.stride
    later = op.passes > 1 and any(step.ops for step in op.body)
    return replace(
        one,
        macs=op.passes * one.macs,
        extent=extent,
        stride=stride,
        padding=padding,
        kept=max(one.kept, elements(source) + one.peak if later else 0),
    )


def _cost_residual(op: Add, source: Shape) -> Local:
    """Return the cost of a residual addition. Its input stays alive while the body runs."""
    body = _cost_body(op.body, source)
    shape, params, macs, input_size = body.shape, body.params, body.macs, elements(source)
    size = elements(shape)
    resized = source[0] * shape[1] * shape[2] if op.size else 0
    peak = max(body.kept, input_size + size + resized)
    kept = max(peak, input_size + size + resized + (size if op.project else 0))
    if op.project:
        peak = max(peak, 2 * size + (resized or input_size))
        added = _cost_operation(op.project, (source[0], shape[1], shape[2]))
        params, macs = params + added.params, macs + added.macs
    low, high = _join_windows(source, shape, body.extent, body.stride, body.padding)
    return Local(
        shape,
        params,
        macs,
        high - low + 1,
        body.stride,
        body.whole,
        peak,
        body.padding - low,
        kept,
    )


def _join_windows(
    source: Shape, shape: Shape, extent: int, stride: int, padding: int
) -> tuple[int, int]:
    """Return the ends of the body's window, widened if the resized input lies outside of it.

    Both move evenly over the image, so they are farthest apart at its first or last pixel.
    """
    low, high = 0, extent - 1
    for before, after in zip(source[1:], shape[1:], strict=True):
        for index in (0, after - 1):
            position = nearest(index, before, after) - index * stride + padding
            low, high = min(low, position), max(high, position)
    return low, high


def nearest(index: int, before: int, after: int) -> int:
    """Return the source of pixel `index` if nearest neighbour resizes `before` pixels to `after`.

    PyTorch multiplies in single precision, so a few pixels come out one lower: 26 to 22.
    """
    return min(int(_round_to_float32(index * _round_to_float32(before / after))), before - 1)


def _round_to_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])

"""Run an int8 program in PyTorch, in integers: the reference of its C file, bit for bit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lightsearch.exporting.c.float_run import apply_weights, move, pool_parts, resize
from lightsearch.exporting.c.program import (
    AddShortcut,
    Buffer,
    Copy,
    Instruction,
    Join,
    Multiply,
    ScaleChannels,
)
from lightsearch.exporting.c.quantising import (
    LEAST,
    MOST,
    Integers,
    QuantisedProgram,
    count_pixels,
)
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Border,
    Conv2d,
    Dense,
    Extend,
    GlobalPool,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
)
from lightsearch.network.windows import join_slides


def run_int8(net: QuantisedProgram, images: Tensor) -> Tensor:
    """Return the int8 scores of uint8 images, of (N, C, H, W).

    Sums are taken in float64, which holds them exactly.
    """
    program = net.program
    memory = torch.zeros(len(images), program.memory, dtype=torch.int64)
    channels = [net.pixels[c].long()[images[:, c].long()] for c in range(images.shape[1])]
    _view(memory, program.input).copy_(torch.stack(channels, 1))
    for one, integers in zip(program.instructions, net.integers, strict=True):
        _view(memory, one.target).copy_(_compute(one, integers, memory))
    return _view(memory, program.output).flatten(1).to(torch.int8)


def _view(memory: Tensor, buffer: Buffer) -> Tensor:
    return memory[:, buffer.offset : buffer.end].view(-1, *buffer.shape)


def _compute(one: Instruction, integers: Integers, memory: Tensor) -> Tensor:
    op, values = one.op, _view(memory, one.source)
    if isinstance(op, Activation):
        return integers.table.long()[values - LEAST]
    if isinstance(op, Pool) and op.by == "max":
        sides, stride, padding, _ = join_slides(op.slides)
        return functional.max_pool2d(values.double(), sides, stride, padding).long()
    if isinstance(op, AdaptivePool) and op.by == "max":
        return pool_parts(op, values.double()).long()
    zeroed = (values - integers.source.zero).double()
    zero = integers.target.zero
    if isinstance(op, Copy | Slice | Extend | ShuffleChannels | Border):
        return move(op, zeroed).long() + zero
    if isinstance(op, Join):
        return _clamp(_join(one, integers, zeroed, memory) + zero)
    if isinstance(op, AddShortcut):
        return _clamp(_add(one, op, integers, zeroed, memory) + zero)
    if isinstance(op, Conv2d | Dense | ScaleChannels):
        kernel = integers.kernel.double()
        if isinstance(op, Conv2d):
            kernel = kernel.view(op.outputs, -1, *(side.kernel for side in op.slides))
        elif isinstance(op, ScaleChannels):
            kernel = kernel.view(-1, 1, 1, 1)
        bias = integers.bias.double() if integers.bias.numel() else None
        sums = apply_weights(op, zeroed, kernel, bias)
    elif isinstance(op, Pool):
        sides, stride, padding, _ = join_slides(op.slides)
        sums = functional.avg_pool2d(zeroed, sides, stride, padding, divisor_override=1)
    elif isinstance(op, AdaptivePool):
        sums = (pool_parts(op, zeroed) * count_pixels(op, one.source.shape)).round()
    elif isinstance(op, GlobalPool):
        sums = zeroed.sum((2, 3), keepdim=True)
    elif isinstance(op, PRelu):
        return _clamp(_lean(integers, zeroed.long()) + zero)
    else:
        assert isinstance(op, Multiply) and one.second is not None
        sums = zeroed * (_view(memory, one.second) - LEAST)
    shape = (op.height, op.width) if isinstance(op, AdaptivePool) else (-1, 1, 1)
    multipliers, shifts = integers.multipliers.view(shape), integers.shifts.view(shape)
    return _clamp(rescale(sums.long(), multipliers, shifts) + zero)


def _lean(integers: Integers, zeroed: Tensor) -> Tensor:
    """Return values above zero by the first multiplier, the others by their channel's."""
    multipliers, shifts = integers.multipliers.view(-1, 1, 1), integers.shifts.view(-1, 1, 1)
    above = rescale(zeroed, multipliers[:1], shifts[:1])
    return torch.where(zeroed > 0, above, rescale(zeroed, multipliers[1:], shifts[1:]))


def _join(one: Instruction, integers: Integers, zeroed: Tensor, memory: Tensor) -> Tensor:
    assert one.second is not None and integers.second is not None
    parts = zeroed.long(), _view(memory, one.second) - integers.second.zero
    pairs = zip(parts, integers.multipliers, integers.shifts, strict=True)
    return torch.cat([rescale(*values) for values in pairs], 1)


def _add(
    one: Instruction, op: AddShortcut, integers: Integers, zeroed: Tensor, memory: Tensor
) -> Tensor:
    assert one.second is not None and integers.second is not None
    assert integers.second_multipliers is not None
    second = resize((_view(memory, one.second) - integers.second.zero).double(), op.size)
    if op.project is not None:
        kernel = integers.kernel.double()[:, :, None, None]
        second = apply_weights(op.project, second, kernel, None)
    other = second.long() * integers.second_multipliers.view(-1, 1, 1)
    sums = zeroed.long() * integers.multipliers + other
    return rescale(sums, torch.ones_like(integers.shifts), integers.shifts)


def rescale(sums: Tensor, multipliers: Tensor, shifts: Tensor) -> Tensor:
    """Return `sums * multipliers / 2**shifts`, rounded, halves away from zero."""
    products = sums * multipliers
    half = torch.ones_like(shifts) << (shifts - 1)
    return products.sign() * ((products.abs() + half) >> shifts)


def _clamp(values: Tensor) -> Tensor:
    return values.clamp(LEAST, MOST)

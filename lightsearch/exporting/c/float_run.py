"""Run a program in PyTorch, in float32: what its C file computes, and the values in between."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lightsearch.engines.engine import State
from lightsearch.exporting.c.maps import list_nearest
from lightsearch.exporting.c.program import (
    AddShortcut,
    Buffer,
    Copy,
    Instruction,
    Join,
    Move,
    Multiply,
    Program,
    ScaleChannels,
)
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Border,
    Conv2d,
    Dense,
    Extend,
    GlobalPool,
    GroupNorm,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
)
from lightsearch.network.windows import join_slides

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "hardswish": functional.hardswish,
    "relu6": functional.relu6,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": functional.hardsigmoid,
}


def run_float(
    program: Program,
    weights: State,
    images: Tensor,
    watch: Callable[[int, Tensor], None] = lambda index, values: None,
) -> Tensor:
    """Return the scores of normalised images, in the program's own memory, one row an image.

    `watch` is called with each instruction's number and output.
    """
    memory = torch.zeros(len(images), program.memory)
    _view(memory, program.input).copy_(images)
    for index, one in enumerate(program.instructions):
        values = _compute(one, weights, memory)
        watch(index, values)
        _view(memory, one.target).copy_(values)
    return _view(memory, program.output).flatten(1)


def _view(memory: Tensor, buffer: Buffer) -> Tensor:
    return memory[:, buffer.offset : buffer.end].view(-1, *buffer.shape)


def _compute(one: Instruction, weights: State, memory: Tensor) -> Tensor:
    op, images = one.op, _view(memory, one.source)
    if isinstance(op, Conv2d | Dense | ScaleChannels):
        kernel = weights[f"{one.weights}weight"]
        bias = weights.get(f"{one.weights}bias")
        return apply_weights(op, images, kernel, bias)
    if isinstance(op, Pool):
        pool = functional.max_pool2d if op.by == "max" else functional.avg_pool2d
        sides, stride, padding, _ = join_slides(op.slides)
        return pool(images, sides, stride, padding)
    if isinstance(op, AdaptivePool):
        return pool_parts(op, images)
    if isinstance(op, GlobalPool):
        return images.mean((2, 3), keepdim=True)
    if isinstance(op, GroupNorm):
        gains, shifts = (weights.get(f"{one.weights}{name}") for name in ("weight", "bias"))
        return functional.group_norm(images, op.groups, gains, shifts)
    if isinstance(op, Activation):
        return activate(op, images)
    if isinstance(op, PRelu):
        return functional.prelu(images, weights[f"{one.weights}weight"])
    if isinstance(op, Copy | Slice | Extend | ShuffleChannels | Border):
        return move(op, images)
    assert one.second is not None
    second = _view(memory, one.second)
    if isinstance(op, Multiply):
        return images * second
    if isinstance(op, Join):
        return torch.cat((images, second), 1)
    assert isinstance(op, AddShortcut)
    second = resize(second, op.size)
    if op.project is not None:
        second = apply_weights(op.project, second, weights[f"{one.weights}weight"], None)
    return images + second


def activate(op: Activation, values: Tensor) -> Tensor:
    """Return the values after an activation."""
    if op.name == "leakyrelu":
        return functional.leaky_relu(values, op.slope)
    return ACTIVATIONS[op.name](values)


def move(op: Move, images: Tensor) -> Tensor:
    """Return the output of an operation that computes nothing."""
    if isinstance(op, Slice):
        return images[:, op.start : op.stop]
    if isinstance(op, Extend):
        return functional.pad(images, (0, 0, 0, 0, op.before, op.after))
    if isinstance(op, ShuffleChannels):
        return functional.channel_shuffle(images, op.groups)
    if isinstance(op, Border):
        mode = "constant" if op.mode == "zeros" else op.mode
        return functional.pad(images, (op.left, op.right, op.top, op.bottom), mode)
    return images.clone()


def pool_parts(op: AdaptivePool, images: Tensor) -> Tensor:
    """Return the largest values, or the means, of the parts."""
    size = (op.height, op.width)
    if op.by == "max":
        return functional.adaptive_max_pool2d(images, size)
    return functional.adaptive_avg_pool2d(images, size)


def apply_weights(
    op: Conv2d | Dense | ScaleChannels, images: Tensor, kernel: Tensor, bias: Tensor | None
) -> Tensor:
    """Return the output of an operation that has weights."""
    if isinstance(op, Conv2d):
        _, stride, padding, dilation = join_slides(op.slides)
        return functional.conv2d(images, kernel, bias, stride, padding, dilation, op.groups)
    if isinstance(op, ScaleChannels):
        return functional.conv2d(images, kernel, bias, groups=op.channels)
    flat = functional.linear(images.flatten(1), kernel.flatten(1), bias)
    return flat[:, :, None, None]


def resize(images: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Return images resized by the nearest neighbour, as PyTorch does."""
    for axis, after in enumerate(size or (), start=2):
        places = torch.tensor(list_nearest(images.shape[axis], after))
        images = images.index_select(axis, places)
    return images

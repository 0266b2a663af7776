"""Lowering: what a layer is made of, once its input's shape is known. No torch in here.

A layer kind is a convenience; underneath there are a dozen primitive operations with explicit
channel counts. Cost is counted on them, modules are built from them, and two designs that lower
to the same operations are the same network, however they were written.

A shape is `(channels, height, width)`; what a linear layer gives is `(features, 1, 1)`.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from lightsearch.design.layers import (
    AvgPool,
    Conv,
    Depthwise,
    Dropout,
    Gap,
    Gate,
    Linear,
    MaxPool,
    Residual,
    Separable,
    SqueezeExcite,
)
from lightsearch.design.parts import Layer, Seq, is_decided, kind_of
from lightsearch.errors import DesignError

Shape: TypeAlias = tuple[int, int, int]
L = TypeVar("L", bound=Layer)


@dataclass(frozen=True, slots=True)
class Conv2d:
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    groups: int
    bias: bool


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer on the flattened input."""

    inputs: int
    outputs: int
    bias: bool


@dataclass(frozen=True, slots=True)
class BatchNorm:
    channels: int


@dataclass(frozen=True, slots=True)
class Activation:
    name: str


@dataclass(frozen=True, slots=True)
class Drop:
    rate: float
    per: str


@dataclass(frozen=True, slots=True)
class Pool:
    by: str  # "max" or "average"
    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class GlobalPool:
    pass


@dataclass(frozen=True, slots=True)
class ChannelGate:
    channels: int


@dataclass(frozen=True, slots=True)
class Squeeze:
    channels: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Add:
    """`body` plus its input, resized (nearest neighbour) to `size` and projected where given."""

    body: tuple[Step, ...]
    size: tuple[int, int] | None
    project: Conv2d | None


@dataclass(frozen=True, slots=True)
class Custom:
    """A layer of a kind that a user registered: its module is made by the kind itself."""

    layer: Layer
    shape: Shape


Ops: TypeAlias = "tuple[tuple[str, Op], ...]"
Op: TypeAlias = (
    Conv2d | Dense | BatchNorm | Activation | Drop | Pool | GlobalPool | ChannelGate | Squeeze
    | Add | Custom
)


@dataclass(frozen=True, slots=True)
class Local:
    """What one layer does to an input of a known shape, as a user's own kind states it.

    `extent` and `stride` are those of its window on its input, in pixels; `whole` says that it
    also depends on the whole image (a gate); `peak` is the largest number of values alive at once
    while it runs, input and output included (0: input plus output); `macs` counts one for each
    multiplication of a convolution or linear layer. `padding` is how far its first window begins
    before its input; `kept` is `peak` where the input must outlive it unchanged (0: `peak`).
    """

    shape: Shape
    params: int = 0
    macs: int = 0
    extent: int = 1
    stride: int = 1
    whole: bool = False
    peak: int = 0
    padding: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A layer lowered at its place: its operations, by name, and what they cost together."""

    layer: Layer = field(compare=False)
    ops: Ops
    source: Shape
    shape: Shape
    params: int
    macs: int
    extent: int
    stride: int
    whole: bool
    peak: int
    padding: int
    kept: int


Lowering: TypeAlias = Callable[[Any, Shape], Ops]
Costing: TypeAlias = Callable[[Any, Shape], Local]
_LOWERINGS: dict[type[Layer], Lowering] = {}
_COSTINGS: dict[type[Layer], Costing] = {}


def register_cost(cls: type[Layer], cost: Costing) -> None:
    """Say what a user's own layer kind costs: `cost(layer, shape) -> Local`."""
    _COSTINGS[cls] = cost


def elements(shape: Shape) -> int:
    """The number of values of a shape."""
    return shape[0] * shape[1] * shape[2]


@functools.lru_cache(maxsize=131072)
def lower(layer: Layer, source: Shape) -> Step:
    """The operations of `layer` on an input of shape `source`, with their cost.

    Raises `DesignError` for a layer that does not fit its input, or has choices left.
    """
    if not is_decided(layer):
        raise DesignError(f"a layer must have no choices left to be costed or built, "
                          f"but got {layer!r}")
    kind = type(layer)
    if kind in _COSTINGS:
        local = _COSTINGS[kind](layer, source)
        ops: Ops = ((kind_of(kind), Custom(layer, source)),)
        peak = local.peak or elements(source) + elements(local.shape)
        return Step(layer, ops, source, local.shape, local.params, local.macs, local.extent,
                    local.stride, local.whole, peak, local.padding, local.kept or peak)
    if kind not in _LOWERINGS:
        raise DesignError(f"the layer kind {kind_of(kind)!r} must be registered with its cost")
    return _summed(layer, _LOWERINGS[kind](layer, source), source)


def lower_all(design: Seq, source: Shape, path: str = "") -> tuple[Step, ...]:
    """Each layer of a design lowered at its place; errors name the place, such as `[3]`."""
    steps = []
    for index, layer in enumerate(design.parts):
        if not isinstance(layer, Layer):
            raise DesignError(f"a design must have no choices left, but got {layer!r} "
                              f"at {path}[{index}]")
        try:
            step = lower(layer, source)
        except DesignError as error:
            raise DesignError(f"{error} at {path}[{index}]") from None
        steps.append(step)
        source = step.shape
    return tuple(steps)


def made_of(step: Step, ops: Ops) -> Step:
    """The same layer, of other operations that give the same shape."""
    return _summed(step.layer, ops, step.source)


# What each operation does to a shape, and what it costs -----------------------------------------


def _summed(layer: Layer, ops: Ops, source: Shape) -> Step:
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
        shape = (op.outputs, *_slid(op, height, width))
        taps, peak = op.inputs // op.groups * op.kernel**2, size + elements(shape)
        return Local(shape, op.outputs * (taps + op.bias), elements(shape) * taps, op.kernel,
                     op.stride, peak=peak, padding=op.padding, kept=peak)
    if isinstance(op, BatchNorm):
        return Local(source, 2 * op.channels, kept=2 * size)
    if isinstance(op, Activation | Drop):
        return Local(source, kept=2 * size)
    if isinstance(op, Pool):
        shape = (channels, *_slid(op, height, width))
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


def _slid(op: Conv2d | Pool, height: int, width: int) -> tuple[int, int]:
    return tuple((n + 2 * op.padding - op.kernel) // op.stride + 1  # type: ignore[return-value]
                 for n in (height, width))


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


# The built-in kinds -----------------------------------------------------------------------------


def _lowers(kind: type[L]) -> Callable[[Callable[[L, Shape], Ops]], Lowering]:
    def keep(function: Callable[[L, Shape], Ops]) -> Lowering:
        _LOWERINGS[kind] = function
        return function

    return keep


def _fits(kernel: int, padding: int, source: Shape) -> None:
    if kernel > min(source[1:]) + 2 * padding:
        raise DesignError(f"`kernel` must fit its padded input, but got kernel={kernel} with "
                          f"padding={padding} on an input of {source[1]}x{source[2]}")


def _tail(layer: Conv | Depthwise | Separable, channels: int,
          suffix: str = "") -> Ops:
    norm = [(f"norm{suffix}", BatchNorm(channels))] if layer.norm == "batch" else []
    act = [(f"act{suffix}", Activation(layer.act))] if layer.act != "none" else []
    return (*norm, *act) if layer.order == "norm-act" else (*act, *norm)


def _dropped(layer: Conv | Depthwise | Separable) -> Ops:
    return (("drop", Drop(layer.dropout, layer.per)),) if layer.dropout else ()


def _pad(layer: Conv | Depthwise | Separable) -> int:
    assert isinstance(layer.padding, int)  # settled when the layer was made
    return layer.padding


@_lowers(Conv)
def _conv(layer: Conv, source: Shape) -> Ops:
    padding = _pad(layer)
    _fits(layer.kernel, padding, source)
    for name, channels in (("input", source[0]), ("output", layer.out)):
        if channels % layer.groups:
            raise DesignError(f"`groups` must divide the {name} channels, but got "
                              f"groups={layer.groups} with {channels} channels")
    op = Conv2d(source[0], layer.out, layer.kernel, layer.stride, padding, layer.groups,
                layer.bias)
    return (("conv", op), *_tail(layer, layer.out), *_dropped(layer))


@_lowers(Depthwise)
def _depthwise(layer: Depthwise, source: Shape) -> Ops:
    padding = _pad(layer)
    _fits(layer.kernel, padding, source)
    out = source[0] * layer.multiplier
    op = Conv2d(source[0], out, layer.kernel, layer.stride, padding, source[0], layer.bias)
    return (("conv", op), *_tail(layer, out), *_dropped(layer))


@_lowers(Separable)
def _separable(layer: Separable, source: Shape) -> Ops:
    padding, channels = _pad(layer), source[0]
    _fits(layer.kernel, padding, source)
    depthwise = Conv2d(channels, channels, layer.kernel, layer.stride, padding, channels,
                       layer.bias)
    inner = _tail(layer, channels, "1") if layer.inner else ()
    pointwise = Conv2d(channels, layer.out, 1, 1, 0, 1, layer.bias)
    return (("depthwise", depthwise), *inner, ("pointwise", pointwise),
            *_tail(layer, layer.out), *_dropped(layer))


@_lowers(MaxPool)
def _maxpool(layer: MaxPool, source: Shape) -> Ops:
    return _pooled("max", layer, source)


@_lowers(AvgPool)
def _avgpool(layer: AvgPool, source: Shape) -> Ops:
    return _pooled("average", layer, source)


def _pooled(by: str, layer: MaxPool | AvgPool, source: Shape) -> Ops:
    assert isinstance(layer.stride, int)  # settled when the layer was made
    _fits(layer.kernel, layer.padding, source)
    return (("pool", Pool(by, layer.kernel, layer.stride, layer.padding)),)


@_lowers(Gap)
def _gap(layer: Gap, source: Shape) -> Ops:
    return (("pool", GlobalPool()),)


@_lowers(Linear)
def _linear(layer: Linear, source: Shape) -> Ops:
    act = (("act", Activation(layer.act)),) if layer.act != "none" else ()
    return (("linear", Dense(elements(source), layer.out, layer.bias)), *act)


@_lowers(Dropout)
def _dropout(layer: Dropout, source: Shape) -> Ops:
    return (("drop", Drop(layer.rate, layer.per)),) if layer.rate else ()


@_lowers(Gate)
def _gate(layer: Gate, source: Shape) -> Ops:
    return (("gate", ChannelGate(source[0])),)


@_lowers(SqueezeExcite)
def _se(layer: SqueezeExcite, source: Shape) -> Ops:
    return (("se", Squeeze(source[0], max(1, source[0] // layer.reduction))),)


@_lowers(Residual)
def _residual(layer: Residual, source: Shape) -> Ops:
    body = lower_all(layer.body, source, "body")
    shape = body[-1].shape
    project = None
    if layer.shortcut == "project":
        project = Conv2d(source[0], shape[0], 1, 1, 0, 1, False)
    elif source[0] != shape[0]:
        raise DesignError("`shortcut` must be 'project' where the channels differ, but got "
                          f"'identity' from {source[0]} to {shape[0]} channels")
    size = (shape[1], shape[2]) if source[1:] != shape[1:] else None
    act = (("act", Activation(layer.act)),) if layer.act != "none" else ()
    return (("add", Add(body, size, project)), *act)

"""Lowering: from a layer and its input's shape to primitive operations. No torch is needed.

There are a dozen primitive operations, with explicit channel counts. `cost` counts them and
`build` makes modules of them. Two designs that lower to the same operations are the same network.

A shape is `(channels, height, width)`. The output of a linear layer is `(features, 1, 1)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from lightsearch.design.decoding import layers_of
from lightsearch.design.layers import (
    AvgPool,
    Conv,
    Depthwise,
    Dropout,
    Gap,
    Gate,
    Linear,
    Loop,
    MaxPool,
    Residual,
    Separable,
    SqueezeExcite,
)
from lightsearch.design.parts import Layer, Seq, Space, is_decided, kind_of
from lightsearch.errors import DesignError
from lightsearch.network.op_costs import sum_costs
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    ChannelGate,
    Conv2d,
    Custom,
    Dense,
    Drop,
    GlobalPool,
    Iterate,
    Local,
    Ops,
    Pool,
    Squeeze,
    Step,
)
from lightsearch.network.passes import split_passes
from lightsearch.shapes import Shape, elements, format_shape

L = TypeVar("L", bound=Layer)

Lowering: TypeAlias = Callable[[Any, Shape], Ops]
Costing: TypeAlias = Callable[[Any, Shape], Local]
_LOWERINGS: dict[type[Layer], Lowering] = {}
_COSTINGS: dict[type[Layer], Costing] = {}


def has_own_layers(space: Space) -> bool:
    """Whether a design of `space` may have a layer of a user's own."""
    return any(type(layer) in _COSTINGS for layer in layers_of(space))


def register_cost(cls: type[Layer], cost: Costing) -> None:
    """Set the cost of a user's own layer kind: `cost(layer, shape) -> Local`."""
    _COSTINGS[cls] = cost


@functools.lru_cache(maxsize=131072)
def lower(layer: Layer, source: Shape) -> Step:
    """Return the operations of `layer` on an input of shape `source`, with their cost.

    Raises `DesignError` for a layer that does not fit its input or still has choices.
    """
    if not is_decided(layer):
        raise DesignError(
            f"a layer must have no choices left to be costed or built, but got {layer!r}"
        )
    kind = type(layer)
    if kind in _COSTINGS:
        local = _COSTINGS[kind](layer, source)
        ops: Ops = ((kind_of(kind), Custom(layer, source)),)
        peak = local.peak or elements(source) + elements(local.shape)
        return Step(
            layer,
            ops,
            source,
            local.shape,
            local.params,
            local.macs,
            local.extent,
            local.stride,
            local.whole,
            peak,
            local.padding,
            local.kept or peak,
        )
    if kind not in _LOWERINGS:
        raise DesignError(f"the layer kind {kind_of(kind)!r} must be registered with its cost")
    return sum_costs(layer, _LOWERINGS[kind](layer, source), source)


def lower_all(design: Seq, source: Shape, path: str = "") -> tuple[Step, ...]:
    """Lower each layer of a design. A `DesignError` names the layer's place, such as `[3]`."""
    steps = []
    for index, layer in enumerate(design.parts):
        if not isinstance(layer, Layer):
            raise DesignError(
                f"a design must have no choices left, but got {layer!r} at {path}[{index}]"
            )
        try:
            step = lower(layer, source)
        except DesignError as error:
            raise DesignError(f"{error} at {path}[{index}]") from None
        steps.append(step)
        source = step.shape
    return tuple(steps)


def made_of(step: Step, ops: Ops) -> Step:
    """Return the same layer with other operations, whose output has the same shape."""
    return sum_costs(step.layer, ops, step.source)


# The built-in kinds -----------------------------------------------------------------------------


def _register_lowering(kind: type[L]) -> Callable[[Callable[[L, Shape], Ops]], Lowering]:
    def decorate(function: Callable[[L, Shape], Ops]) -> Lowering:
        _LOWERINGS[kind] = function
        return function

    return decorate


def _check_kernel(kernel: int, padding: int, source: Shape) -> None:
    if kernel > min(source[1:]) + 2 * padding:
        raise DesignError(
            f"`kernel` must fit its padded input, but got kernel={kernel} with "
            f"padding={padding} on an input of {source[1]}x{source[2]}"
        )


def _norm_and_activation(
    layer: Conv | Depthwise | Separable, channels: int, suffix: str = ""
) -> Ops:
    norm = [(f"norm{suffix}", BatchNorm(channels))] if layer.norm == "batch" else []
    act = [(f"act{suffix}", Activation(layer.act))] if layer.act != "none" else []
    return (*norm, *act) if layer.order == "norm-act" else (*act, *norm)


def _dropout_after(layer: Conv | Depthwise | Separable) -> Ops:
    return (("drop", Drop(layer.dropout, layer.per)),) if layer.dropout else ()


def _int_padding(layer: Conv | Depthwise | Separable) -> int:
    assert isinstance(layer.padding, int)  # settled when the layer was made
    return layer.padding


@_register_lowering(Conv)
def _lower_conv(layer: Conv, source: Shape) -> Ops:
    padding = _int_padding(layer)
    _check_kernel(layer.kernel, padding, source)
    for name, channels in (("input", source[0]), ("output", layer.out)):
        if channels % layer.groups:
            raise DesignError(
                f"`groups` must divide the {name} channels, but got "
                f"groups={layer.groups} with {channels} channels"
            )
    op = Conv2d(
        source[0], layer.out, layer.kernel, layer.stride, padding, layer.groups, layer.bias
    )
    return (("conv", op), *_norm_and_activation(layer, layer.out), *_dropout_after(layer))


@_register_lowering(Depthwise)
def _lower_depthwise(layer: Depthwise, source: Shape) -> Ops:
    padding = _int_padding(layer)
    _check_kernel(layer.kernel, padding, source)
    out = source[0] * layer.multiplier
    op = Conv2d(source[0], out, layer.kernel, layer.stride, padding, source[0], layer.bias)
    return (("conv", op), *_norm_and_activation(layer, out), *_dropout_after(layer))


@_register_lowering(Separable)
def _lower_separable(layer: Separable, source: Shape) -> Ops:
    padding, channels = _int_padding(layer), source[0]
    _check_kernel(layer.kernel, padding, source)
    depthwise = Conv2d(
        channels, channels, layer.kernel, layer.stride, padding, channels, layer.bias
    )
    inner = _norm_and_activation(layer, channels, "1") if layer.inner else ()
    pointwise = Conv2d(channels, layer.out, 1, 1, 0, 1, layer.bias)
    return (
        ("depthwise", depthwise),
        *inner,
        ("pointwise", pointwise),
        *_norm_and_activation(layer, layer.out),
        *_dropout_after(layer),
    )


@_register_lowering(MaxPool)
def _lower_maxpool(layer: MaxPool, source: Shape) -> Ops:
    return _lower_pool("max", layer, source)


@_register_lowering(AvgPool)
def _lower_avgpool(layer: AvgPool, source: Shape) -> Ops:
    return _lower_pool("average", layer, source)


def _lower_pool(by: str, layer: MaxPool | AvgPool, source: Shape) -> Ops:
    assert isinstance(layer.stride, int)  # settled when the layer was made
    _check_kernel(layer.kernel, layer.padding, source)
    return (("pool", Pool(by, layer.kernel, layer.stride, layer.padding)),)


@_register_lowering(Gap)
def _lower_gap(layer: Gap, source: Shape) -> Ops:
    return (("pool", GlobalPool()),)


@_register_lowering(Linear)
def _lower_linear(layer: Linear, source: Shape) -> Ops:
    act = (("act", Activation(layer.act)),) if layer.act != "none" else ()
    return (("linear", Dense(elements(source), layer.out, layer.bias)), *act)


@_register_lowering(Dropout)
def _lower_dropout(layer: Dropout, source: Shape) -> Ops:
    return (("drop", Drop(layer.rate, layer.per)),) if layer.rate else ()


@_register_lowering(Gate)
def _lower_gate(layer: Gate, source: Shape) -> Ops:
    return (("gate", ChannelGate(source[0])),)


@_register_lowering(SqueezeExcite)
def _lower_se(layer: SqueezeExcite, source: Shape) -> Ops:
    return (("se", Squeeze(source[0], max(1, source[0] // layer.reduction))),)


@_register_lowering(Residual)
def _lower_residual(layer: Residual, source: Shape) -> Ops:
    body = lower_all(layer.body, source, "body")
    shape = body[-1].shape
    project = None
    if layer.shortcut == "project":
        project = Conv2d(source[0], shape[0], 1, 1, 0, 1, False)
    elif source[0] != shape[0]:
        raise DesignError(
            "`shortcut` must be 'project' where the channels differ, but got "
            f"'identity' from {source[0]} to {shape[0]} channels"
        )
    size = (shape[1], shape[2]) if source[1:] != shape[1:] else None
    act = (("act", Activation(layer.act)),) if layer.act != "none" else ()
    return (("add", Add(body, size, project)), *act)


@_register_lowering(Loop)
def _lower_loop(layer: Loop, source: Shape) -> Ops:
    body = lower_all(layer.body, source, "body")
    shape = body[-1].shape
    check_loop(layer.passes, source, shape)
    return (("loop", Iterate(split_passes(body, layer.passes, layer.share), layer.passes)),)


def check_loop(passes: int, source: Shape, shape: Shape) -> None:
    """Raise `DesignError` unless a body that makes `shape` from `source` can be repeated."""
    if passes > 1 and shape != source:
        raise DesignError(
            "`body` of a loop must keep the shape of its input, but it makes "
            f"{format_shape(shape)} of {format_shape(source)}"
        )

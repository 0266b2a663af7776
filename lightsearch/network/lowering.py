"""Lowering: from a layer and its input's shape to primitive operations. No torch is needed.

There are a dozen primitive operations, with explicit channel counts. `cost` counts them and
`build` makes modules of them. Two designs that lower to the same operations are the same network.

A shape is `(channels, height, width)`. The output of a linear layer is `(features, 1, 1)`.
"""

from __future__ import annotations

from lightsearch.design.layers import (
    Conv,
    Depthwise,
    Dropout,
    Gate,
    Linear,
    Separable,
    SqueezeExcite,
)
from lightsearch.design.pointwise import Act, Norm
from lightsearch.design.pooling import Adaptive, AvgPool, Gap, MaxPool
from lightsearch.errors import DesignError
from lightsearch.network import block_lowering, composed_lowering, moving_lowering
from lightsearch.network.operation_parts import check_border, make_activation, make_norm
from lightsearch.network.operations import (
    AdaptivePool,
    Border,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    GlobalPool,
    Ops,
    Pool,
    Squeeze,
)
from lightsearch.network.registry import (
    _COSTINGS,
    Costing,
    Lowering,
    has_own_layers,
    lower,
    lower_all,
    made_of,
    register_cost,
    register_lowering,
)
from lightsearch.network.windows import make_slides
from lightsearch.shapes import Shape, Sides, both, elements

check_loop = block_lowering.check_loop
_REGISTERED = (block_lowering, composed_lowering, moving_lowering)  # by being imported


def _check_kernel(kernel: Sides, padding: Sides, source: Shape, dilation: Sides = 1) -> None:
    if kernel == 1:
        return
    sides = zip(source[1:], *map(both, (kernel, padding, dilation)), strict=True)
    if any(step * (taps - 1) >= side + 2 * pad for side, taps, pad, step in sides):
        spread = f" and dilation={dilation}" if dilation != 1 else ""
        raise DesignError(
            f"`kernel` must fit its padded input, but got kernel={kernel} with "
            f"padding={padding}{spread} on an input of {source[1]}x{source[2]}"
        )


def _norm_and_activation(
    layer: Conv | Depthwise | Separable, channels: int, suffix: str = ""
) -> Ops:
    norm = make_norm(layer.norm, channels, layer.norm_groups, layer.affine, f"norm{suffix}")
    act = make_activation(layer.act, channels, f"act{suffix}")
    return (*norm, *act) if layer.order == "norm-act" else (*act, *norm)


def _dropout_after(layer: Conv | Depthwise | Separable) -> Ops:
    return (("drop", Drop(layer.dropout, layer.per)),) if layer.dropout else ()


def _make_convolution(
    layer: Conv | Depthwise | Separable, source: Shape, outputs: int, groups: int, name: str
) -> Ops:
    """Return the convolution with the layer's window, behind its border if that is not zeros."""
    assert layer.padding != "same"  # settled when the layer was made
    _check_kernel(layer.kernel, layer.padding, source, layer.dilation)
    padding = layer.padding if layer.border == "zeros" else 0
    down, across = make_slides(layer.kernel, layer.stride, padding, layer.dilation)
    window = down.kernel, down.stride, down.padding
    op = Conv2d(source[0], outputs, *window, groups, layer.bias, down.dilation, across)
    if layer.border == "zeros":
        return ((name, op),)
    height, width = both(layer.padding)
    border = Border(height, height, width, width, layer.border)
    check_border(border, source)
    return (("pad", border), (name, op))


@register_lowering(Conv)
def _lower_conv(layer: Conv, source: Shape) -> Ops:
    ops = _make_convolution(layer, source, layer.out, layer.groups, "conv")
    for name, channels in (("input", source[0]), ("output", layer.out)):
        if channels % layer.groups:
            raise DesignError(
                f"`groups` must divide the {name} channels, but got "
                f"groups={layer.groups} with {channels} channels"
            )
    return (*ops, *_norm_and_activation(layer, layer.out), *_dropout_after(layer))


@register_lowering(Depthwise)
def _lower_depthwise(layer: Depthwise, source: Shape) -> Ops:
    channels, out = source[0], source[0] * layer.multiplier
    ops = _make_convolution(layer, source, out, channels, "conv")
    return (*ops, *_norm_and_activation(layer, out), *_dropout_after(layer))


@register_lowering(Separable)
def _lower_separable(layer: Separable, source: Shape) -> Ops:
    channels = source[0]
    depthwise = _make_convolution(layer, source, channels, channels, "depthwise")
    inner = _norm_and_activation(layer, channels, "1") if layer.inner else ()
    pointwise = Conv2d(channels, layer.out, 1, 1, 0, 1, layer.bias or layer.last_bias)
    return (
        *depthwise,
        *inner,
        ("pointwise", pointwise),
        *_norm_and_activation(layer, layer.out),
        *_dropout_after(layer),
    )


@register_lowering(MaxPool)
def _lower_maxpool(layer: MaxPool, source: Shape) -> Ops:
    return _lower_pool("max", layer, source)


@register_lowering(AvgPool)
def _lower_avgpool(layer: AvgPool, source: Shape) -> Ops:
    return _lower_pool("average", layer, source)


def _lower_pool(by: str, layer: MaxPool | AvgPool, source: Shape) -> Ops:
    assert layer.stride != "kernel"  # settled when the layer was made
    _check_kernel(layer.kernel, layer.padding, source)
    down, across = make_slides(layer.kernel, layer.stride, layer.padding)
    return (("pool", Pool(by, down.kernel, down.stride, down.padding, across)),)


@register_lowering(Adaptive)
def _lower_adaptive(layer: Adaptive, source: Shape) -> Ops:
    """Lower to a plain pool where the windows are alike, so that whatever has pools has it."""
    size, before = both(layer.size), source[1:]
    if size == before:
        return ()
    if layer.by == "average" and size == (1, 1):
        return (("pool", GlobalPool()),)
    if any(side % parts for side, parts in zip(before, size, strict=True)):
        return (("pool", AdaptivePool(layer.by, *size)),)
    kernel = before[0] // size[0], before[1] // size[1]
    down, across = make_slides(kernel, kernel, 0)
    return (("pool", Pool(layer.by, down.kernel, down.stride, 0, across)),)


@register_lowering(Gap)
def _lower_gap(layer: Gap, source: Shape) -> Ops:
    return (("pool", GlobalPool()),)


@register_lowering(Linear)
def _lower_linear(layer: Linear, source: Shape) -> Ops:
    act = make_activation(layer.act, layer.out)
    return (("linear", Dense(elements(source), layer.out, layer.bias)), *act)


@register_lowering(Dropout)
def _lower_dropout(layer: Dropout, source: Shape) -> Ops:
    return (("drop", Drop(layer.rate, layer.per)),) if layer.rate else ()


@register_lowering(Gate)
def _lower_gate(layer: Gate, source: Shape) -> Ops:
    return (("gate", ChannelGate(source[0])),)


@register_lowering(SqueezeExcite)
def _lower_se(layer: SqueezeExcite, source: Shape) -> Ops:
    return (("se", Squeeze(source[0], max(1, source[0] // layer.reduction))),)


@register_lowering(Norm)
def _lower_norm(layer: Norm, source: Shape) -> Ops:
    return make_norm(layer.by, source[0], layer.groups, layer.affine, "norm")


@register_lowering(Act)
def _lower_act(layer: Act, source: Shape) -> Ops:
    return make_activation(layer.function, source[0], slope=layer.slope)


__all__ = [
    "_COSTINGS",
    "Costing",
    "Lowering",
    "check_loop",
    "has_own_layers",
    "lower",
    "lower_all",
    "made_of",
    "register_cost",
]

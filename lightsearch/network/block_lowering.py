"""Lowerings of the layers that have bodies."""

from __future__ import annotations

from lightsearch.design.layers import Loop, Residual
from lightsearch.errors import DesignError
from lightsearch.network.operation_parts import make_activation
from lightsearch.network.operations import Add, Conv2d, Iterate, Ops
from lightsearch.network.passes import split_passes
from lightsearch.network.registry import lower_all, register_lowering
from lightsearch.shapes import Shape, format_shape


@register_lowering(Residual)
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
    act = make_activation(layer.act, shape[0])
    return (("add", Add(body, size, project)), *act)


@register_lowering(Loop)
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

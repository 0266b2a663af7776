"""Lowerings of the layers that have bodies."""

from __future__ import annotations

from lightsearch.design.branches import AddBranches, Branching, Concat
from lightsearch.design.layers import Loop, Residual
from lightsearch.errors import DesignError
from lightsearch.network.operation_parts import make_activation
from lightsearch.network.operations import Add, Branches, Conv2d, Iterate, Ops, Step
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


@register_lowering(AddBranches)
def _lower_add(layer: AddBranches, source: Shape) -> Ops:
    first, second = _lower_branches(layer, source)
    shapes = [body[-1].shape if body else source for body in (first, second)]
    if shapes[0] != shapes[1]:
        raise DesignError(
            "the branches of a sum must have the same shape, but got "
            f"{format_shape(shapes[0])} and {format_shape(shapes[1])}"
        )
    act = make_activation(layer.act, shapes[0][0])
    if first and second:
        return (("add", Branches("add", first, second)), *act)
    return (("add", Add(first or second, None, None)), *act)  # a residual


@register_lowering(Concat)
def _lower_concat(layer: Concat, source: Shape) -> Ops:
    first, second = _lower_branches(layer, source)
    shapes = [body[-1].shape if body else source for body in (first, second)]
    if shapes[0][1:] != shapes[1][1:]:
        raise DesignError(
            "the branches of `concat` must have the same height and width, but got "
            f"{format_shape(shapes[0])} and {format_shape(shapes[1])}"
        )
    return (("concat", Branches("concat", first, second)),)


def _lower_branches(layer: Branching, source: Shape) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    first, second = (lower_all(getattr(layer, name), source, name) for name in ("first", "second"))
    return first, second

"""Lowerings of the blocks that stand for sequences of other layers."""

from __future__ import annotations

from lightsearch.design.branches import Concat
from lightsearch.design.composed import Ghost, Inverted
from lightsearch.design.layers import Conv, Depthwise
from lightsearch.design.parts import seq
from lightsearch.errors import DesignError
from lightsearch.network.operations import Add, Ops
from lightsearch.network.registry import lower_all, register_lowering
from lightsearch.shapes import Shape


@register_lowering(Inverted)
def _lower_inverted(layer: Inverted, source: Shape) -> Ops:
    wide = layer.expand * source[0]
    layers = [
        Depthwise(layer.kernel, layer.stride, act=layer.act),
        Conv(layer.out, 1, act="none"),
    ]
    if layer.expand > 1:
        layers.insert(0, Conv(wide, 1, act=layer.act))
    steps = lower_all(seq(layers), source)
    if steps[-1].shape == source:
        return (("add", Add(steps, None, None)),)
    names = ("expand", "depthwise", "project")[-len(steps) :]
    return tuple(
        (part if name == "conv" else f"{part}_{name}", op)
        for part, step in zip(names, steps, strict=True)
        for name, op in step.ops
    )


@register_lowering(Ghost)
def _lower_ghost(layer: Ghost, source: Shape) -> Ops:
    if layer.out % 2:
        raise DesignError(f"`out` of a ghost must be even, but got out={layer.out}")
    copy = Concat(seq(), Depthwise(layer.kernel, act=layer.act))
    steps = lower_all(seq(Conv(layer.out // 2, 1, act=layer.act), copy), source)
    return tuple(pair for step in steps for pair in step.ops)

"""Lowerings of the layers that move values without weights."""

from __future__ import annotations

from lightsearch.design.moving import Pad, Shuffle, Split, Widen
from lightsearch.errors import DesignError
from lightsearch.network.operation_parts import check_border
from lightsearch.network.operations import Border, Extend, Ops, ShuffleChannels, Slice
from lightsearch.network.registry import register_lowering
from lightsearch.shapes import Shape, both


@register_lowering(Split)
def _lower_split(layer: Split, source: Shape) -> Ops:
    if source[0] % layer.of:
        raise DesignError(
            f"`of` must divide the channels, but got of={layer.of} with {source[0]} channels"
        )
    if layer.part >= layer.of:
        raise DesignError(f"`part` must be below of={layer.of}, but got part={layer.part}")
    size = source[0] // layer.of
    return (("split", Slice(layer.part * size, (layer.part + 1) * size)),) if layer.of > 1 else ()


@register_lowering(Shuffle)
def _lower_shuffle(layer: Shuffle, source: Shape) -> Ops:
    if source[0] % layer.groups:
        raise DesignError(
            "`groups` must divide the channels, but got "
            f"groups={layer.groups} with {source[0]} channels"
        )
    moves = 1 < layer.groups < source[0]
    return (("shuffle", ShuffleChannels(layer.groups)),) if moves else ()


@register_lowering(Widen)
def _lower_widen(layer: Widen, source: Shape) -> Ops:
    more = layer.out - source[0]
    if more < 0:
        raise DesignError(
            f"`out` must be at least the channels, but got out={layer.out} with {source[0]}"
        )
    return (("widen", Extend(more // 2, more - more // 2)),) if more else ()


@register_lowering(Pad)
def _lower_pad(layer: Pad, source: Shape) -> Ops:
    assert layer.after != "before"  # settled when the layer was made
    if layer.before == layer.after == 0:
        return ()
    (top, left), (bottom, right) = both(layer.before), both(layer.after)
    border = Border(top, bottom, left, right, layer.mode)
    check_border(border, source)
    return (("pad", border),)

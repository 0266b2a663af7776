"""The output shape and the cost of each operation."""

from __future__ import annotations

from dataclasses import replace

from lightsearch.design.parts import Layer
from lightsearch.network import block_costs, leaf_costs
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Add,
    BatchNorm,
    Border,
    Branches,
    ChannelGate,
    Conv2d,
    Custom,
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
from lightsearch.network.windows import PIXEL, chain
from lightsearch.shapes import Shape, elements


def sum_costs(layer: Layer, ops: Ops, source: Shape) -> Step:
    """Return the layer with its operations and their total cost on an input of `source`."""
    shape, params, macs, spans, whole = source, 0, 0, PIXEL, False
    input_size = peak = kept = elements(source)
    for index, (_, op) in enumerate(ops):
        local = _cost_operation(op, shape)
        kept = max(kept, input_size + (local.peak or elements(shape)) if index else local.kept)
        spans = chain(spans, local.spans)
        params += local.params
        macs += local.macs
        whole = whole or local.whole
        peak = max(peak, local.peak)
        shape = local.shape
    return Step(layer, ops, source, shape, params, macs, spans, whole, peak, kept)


def _cost_operation(op: Op, source: Shape) -> Local:
    match op:
        case Conv2d():
            return leaf_costs.cost_convolution(op, source)
        case BatchNorm() | GroupNorm():
            return leaf_costs.cost_norm(op, source)
        case PRelu():
            return leaf_costs.cost_in_place(source, op.channels)
        case Activation() | Drop():
            return leaf_costs.cost_in_place(source)
        case Pool():
            return leaf_costs.cost_pool(op, source)
        case AdaptivePool():
            return leaf_costs.cost_adaptive_pool(op, source)
        case GlobalPool():
            return leaf_costs.cost_global_pool(source)
        case Dense():
            return leaf_costs.cost_dense(op, source)
        case ChannelGate():
            return leaf_costs.cost_gate(source)
        case Squeeze():
            return leaf_costs.cost_squeeze(op, source)
        case Slice() | Extend() | ShuffleChannels() | Border():
            return leaf_costs.cost_move(op, source)
        case PerPass():
            one = _cost_operation(op.op, source)
            return replace(one, params=op.passes * one.params)
        case Branches():
            return block_costs.cost_branches(op, source)
        case Iterate():
            return block_costs.cost_loop(op, source)
        case Add():
            return block_costs.cost_residual(op, source)
        case Custom():
            raise AssertionError("a registered layer states its own cost")


def shape_after(op: Op, source: Shape) -> Shape:
    """Return the shape of an operation's output."""
    return _cost_operation(op, source).shape

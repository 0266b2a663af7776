"""What a loop shares between its passes, and what each pass has of its own."""

from __future__ import annotations

from dataclasses import replace

from lightsearch.network.op_costs import sum_costs
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    ChannelGate,
    Conv2d,
    Custom,
    Drop,
    GlobalPool,
    Iterate,
    Op,
    PerPass,
    Pool,
    Step,
)

_STATELESS = (Activation, Pool, GlobalPool, ChannelGate)


def split_passes(steps: tuple[Step, ...], passes: int, share: str) -> tuple[Step, ...]:
    """Return the body of a loop, in which each pass has some operations of its own.

    Those are batch norm, whose statistics differ, and dropout, which draws a mask each time. With
    `share="depthwise"` they are all but depthwise convolutions.
    """
    if passes == 1:
        return steps
    return tuple(_split_step(step, passes, share) for step in steps)


def _split_step(step: Step, passes: int, share: str) -> Step:
    ops = tuple((name, _split(op, passes, share)) for name, op in step.ops)
    if ops == step.ops:
        return step
    if any(isinstance(op, PerPass) and isinstance(op.op, Custom) for _, op in ops):
        return replace(step, ops=ops, params=passes * step.params)  # only the kind knows its cost
    return sum_costs(step.layer, ops, step.source)


def _split(op: Op, passes: int, share: str) -> Op:
    if isinstance(op, _STATELESS):
        return op
    if isinstance(op, PerPass):
        return PerPass(op.op, op.passes * passes)
    if isinstance(op, Iterate):
        return replace(op, body=split_passes(op.body, passes, share))
    if isinstance(op, Add):
        project = op.project
        if project is not None:
            assert isinstance(project, Conv2d | PerPass)
            split = _split(project, passes, share)
            assert isinstance(split, Conv2d | PerPass)
            project = split
        return replace(op, body=split_passes(op.body, passes, share), project=project)
    if isinstance(op, BatchNorm | Drop) or (share == "depthwise" and not is_depthwise(op)):
        return PerPass(op, passes)
    return op


def is_depthwise(op: Op) -> bool:
    """Whether an operation is a depthwise convolution: each input channel has its own kernels."""
    return isinstance(op, Conv2d) and op.groups == op.inputs

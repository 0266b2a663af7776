"""What a loop shares between its passes, and what each pass has of its own."""

from __future__ import annotations

from dataclasses import replace

from lightsearch.network.op_costs import sum_costs
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
    Drop,
    Extend,
    GlobalPool,
    GroupNorm,
    Iterate,
    Op,
    PerPass,
    Pool,
    ShuffleChannels,
    Slice,
    Step,
)

_STATELESS = (
    Activation,
    Pool,
    GlobalPool,
    AdaptivePool,
    ChannelGate,
    Slice,
    Extend,
    ShuffleChannels,
    Border,
)


def split_passes(
    steps: tuple[Step, ...], passes: int, share: str, each: int = 1
) -> tuple[Step, ...]:
    """Return the body of a loop, in which each pass has some operations of its own.

    Those are norms, whose statistics differ, and dropout, which draws a mask each time. With
    `share="depthwise"` they are all but depthwise convolutions. `each` is the number of times that
    loops inside of this one apply the steps.
    """
    if passes == 1:
        return steps
    return tuple(_split_step(step, passes, share, each) for step in steps)


def _split_step(step: Step, passes: int, share: str, each: int) -> Step:
    ops = tuple((name, _split(op, passes, share, each)) for name, op in step.ops)
    if ops == step.ops:
        return step
    if any(isinstance(op, PerPass) and isinstance(op.core, Custom) for _, op in ops):
        return replace(step, ops=ops, params=passes * step.params)  # only the kind knows its cost
    return sum_costs(step.layer, ops, step.source)


def _split(op: Op, passes: int, share: str, each: int) -> Op:
    if isinstance(op, Iterate):
        return replace(op, body=split_passes(op.body, passes, share, each * op.passes))
    if isinstance(op, Branches):
        first, second = (split_passes(body, passes, share, each) for body in (op.first, op.second))
        return replace(op, first=first, second=second)
    if isinstance(op, Add):
        project = None if op.project is None else _split(op.project, passes, share, each)
        assert project is None or isinstance(project, Conv2d | PerPass)
        return replace(op, body=split_passes(op.body, passes, share, each), project=project)
    core = op.core if isinstance(op, PerPass) else op
    if isinstance(core, _STATELESS) or (isinstance(core, GroupNorm) and core.affine == "none"):
        return op
    is_own = isinstance(core, BatchNorm | GroupNorm | Drop)
    if not is_own and (share == "all" or is_depthwise(core)):
        return op
    if isinstance(op, PerPass) and op.each * op.passes == each:  # one list for both loops
        return replace(op, passes=op.passes * passes)
    return PerPass(op, passes, each)


def is_depthwise(op: Op) -> bool:
    """Whether an operation is a depthwise convolution: each input channel has its own kernels."""
    return isinstance(op, Conv2d) and op.groups == op.inputs

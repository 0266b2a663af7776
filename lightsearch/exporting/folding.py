"""Fold batch norm into weights for inference: fewer stored values, the same scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lightsearch.engines.engine import State, below
from lightsearch.network.cost import Cost
from lightsearch.network.lowering import made_of
from lightsearch.network.operations import (
    Add,
    BatchNorm,
    Branches,
    Conv2d,
    Custom,
    Drop,
    Iterate,
    Op,
    PerPass,
    Step,
    list_bodies,
)

EPSILON = 1e-5  # of nn.BatchNorm2d


def fold(costed: Cost, weights: State) -> tuple[Cost, State]:
    """Return the same network without batch norm and dropout, for inference.

    A batch norm after a convolution is folded into its weights and a bias. One after the
    activation (`order=act-norm`) becomes a depthwise 1x1 convolution with a bias: two values a
    channel instead of four. So does one in a loop, after weights that its passes share: they stay
    one copy, and each pass takes a multiplication more a value. Layers of users' own kinds stay as
    they are.
    """
    folded: State = {}
    steps = _fold_steps(costed.steps, weights, "", folded)
    changed = {name: sum(getattr(step, name) for step in steps) for name in ("params", "macs")}
    return replace(costed, steps=steps, **changed), folded


def count_values(weights: State) -> int:
    """Count the numbers a network stores: weights, biases, batch norm's running statistics."""
    return sum(tensor.numel() for tensor in weights.values() if tensor.is_floating_point())


def _fold_steps(
    steps: tuple[Step, ...],
    weights: State,
    prefix: str,
    folded: State,
) -> tuple[Step, ...]:
    """Return the steps of a sequence folded. Adds their weights to `found`."""
    return tuple(
        _fold_step(step, weights, f"{prefix}{index}.", folded) for index, step in enumerate(steps)
    )


def _fold_step(step: Step, weights: State, prefix: str, folded: State) -> Step:
    ops: list[tuple[str, Op]] = []
    for name, op in step.ops:
        own = below(weights, f"{prefix}{name}.")
        if isinstance(op, Custom) or (isinstance(op, PerPass) and isinstance(op.core, Custom)):
            folded |= {f"{prefix}{name}.{k}": v for k, v in own.items()}
            return step  # only the kind itself knows its cost
        core = op.core if isinstance(op, PerPass) else op
        if isinstance(core, Drop):
            continue
        if isinstance(core, BatchNorm):
            passes = op.passes if isinstance(op, PerPass) else None
            ops.append(_fold_norm(ops, name, core, passes, prefix, own, folded))
            continue
        if isinstance(op, Add | Iterate | Branches):
            bodies: dict[str, Any] = {
                body: _fold_steps(steps, weights, f"{prefix}{name}.{body}.", folded)
                for body, steps in list_bodies(op)
            }
            op = replace(op, **bodies)
            own = {k: v for k, v in own.items() if k.startswith("project.")}
        folded |= {f"{prefix}{name}.{k}": v for k, v in own.items()}
        ops.append((name, op))
    return made_of(step, tuple(ops))


def _fold_norm(
    ops: list[tuple[str, Op]],
    name: str,
    norm: BatchNorm,
    passes: int | None,
    prefix: str,
    own: State,
    folded: State,
) -> tuple[str, Op]:
    """Return the convolution that replaces a batch norm, or one for each of `passes`: the one
    before it, which is taken off `ops`, or a new one."""
    before = ops[-1][1] if ops else None
    if passes is not None:  # a convolution that is as often there, or several passes share it
        is_own = isinstance(before, PerPass) and before.passes == passes
        before = before.op if isinstance(before, PerPass) and is_own else None
    if isinstance(before, Conv2d):
        name, _ = ops.pop()
        op = replace(before, bias=True)
    else:
        op, before = Conv2d(norm.channels, norm.channels, 1, 1, 0, norm.channels, True), None
    for number in [""] if passes is None else [f".{n}" for n in range(passes)]:
        place = f"{prefix}{name}{number}"
        kernel, bias = folded.get(f"{place}.weight"), folded.get(f"{place}.bias")
        if before is None:
            kernel, bias = torch.ones(norm.channels, 1, 1, 1), None
        assert kernel is not None
        fused = _fuse(kernel, bias, below(own, f"{number[1:]}.") if number else own)
        folded[f"{place}.weight"], folded[f"{place}.bias"] = fused
    return name, op if passes is None else PerPass(op, passes)


def _fuse(kernel: Tensor, bias: Tensor | None, norm: State) -> tuple[Tensor, Tensor]:
    weight, shift = fuse_conv_bn_weights(
        kernel,
        bias,
        norm["running_mean"],
        norm["running_var"],
        EPSILON,
        norm.get("weight"),
        norm.get("bias"),
    )
    return weight.detach(), shift.detach()

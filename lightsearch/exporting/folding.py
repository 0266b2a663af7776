"""Fold batch norm into weights for inference: fewer stored values, the same scores."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lightsearch.engines.engine import State, below
from lightsearch.network.cost import Cost
from lightsearch.network.lowering import made_of
from lightsearch.network.operations import Add, BatchNorm, Conv2d, Custom, Drop, Op, Step

EPSILON = 1e-5  # of nn.BatchNorm2d


def fold(costed: Cost, weights: State) -> tuple[Cost, State]:
    """Return the same network without batch norm and dropout, for inference.

    A batch norm after a convolution is folded into its weights and a bias. One after the
    activation (`order=act-norm`) becomes a depthwise 1x1 convolution with a bias: two values a
    channel instead of four. Layers of users' own kinds stay as they are.
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
        if isinstance(op, Custom):
            folded |= {f"{prefix}{name}.{k}": v for k, v in own.items()}
            return step  # only the kind itself knows its cost
        if isinstance(op, Drop):
            continue
        if isinstance(op, BatchNorm):
            ops.append(_fold_norm(ops, name, op, prefix, own, folded))
            continue
        if isinstance(op, Add):
            op = replace(op, body=_fold_steps(op.body, weights, f"{prefix}{name}.body.", folded))
            own = {k: v for k, v in own.items() if k.startswith("project.")}
        folded |= {f"{prefix}{name}.{k}": v for k, v in own.items()}
        ops.append((name, op))
    return made_of(step, tuple(ops))


def _fold_norm(
    ops: list[tuple[str, Op]], name: str, norm: BatchNorm, prefix: str, own: State, folded: State
) -> tuple[str, Op]:
    """Return the convolution that replaces a batch norm: the one before it, which is taken off
    `ops`, or a new one."""
    before = ops[-1][1] if ops else None
    if isinstance(before, Conv2d):
        name, _ = ops.pop()
        op = replace(before, bias=True)
        kernel, bias = folded[f"{prefix}{name}.weight"], folded.get(f"{prefix}{name}.bias")
    else:
        op = Conv2d(norm.channels, norm.channels, 1, 1, 0, norm.channels, True)
        kernel, bias = torch.ones(norm.channels, 1, 1, 1), None
    folded[f"{prefix}{name}.weight"], folded[f"{prefix}{name}.bias"] = _fuse(kernel, bias, own)
    return name, op


def _fuse(kernel: Tensor, bias: Tensor | None, norm: State) -> tuple[Tensor, Tensor]:
    weight, shift = fuse_conv_bn_weights(
        kernel,
        bias,
        norm["running_mean"],
        norm["running_var"],
        EPSILON,
        norm["weight"],
        norm["bias"],
    )
    return weight.detach(), shift.detach()

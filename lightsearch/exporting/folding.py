"""Batch norm folded into weights, as inference needs it: fewer stored values, the same scores."""

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
    """The same network without batch norm and dropout, for inference.

    A batch norm that follows its convolution goes into its weights and a bias. One that follows
    the activation (`order=act-norm`) becomes a 1x1 convolution of each channel by itself, with a
    bias: two values a channel instead of four. Layers of users' own kinds stay as they are.
    """
    found: State = {}
    steps = _folded(costed.steps, weights, "", found)
    changed = {name: sum(getattr(step, name) for step in steps) for name in ("params", "macs")}
    return replace(costed, steps=steps, **changed), found


def stored(weights: State) -> int:
    """How many numbers a network stores: weights, biases, batch norm's running statistics."""
    return sum(tensor.numel() for tensor in weights.values() if tensor.is_floating_point())


def _folded(steps: tuple[Step, ...], weights: State, prefix: str, found: State,
            ) -> tuple[Step, ...]:
    """The steps of a sequence folded; their weights are put into `found`."""
    return tuple(_folded_step(step, weights, f"{prefix}{index}.", found)
                 for index, step in enumerate(steps))


def _folded_step(step: Step, weights: State, prefix: str, found: State) -> Step:
    ops: list[tuple[str, Op]] = []
    for name, op in step.ops:
        mine = below(weights, f"{prefix}{name}.")
        if isinstance(op, Custom):
            found |= {f"{prefix}{name}.{k}": v for k, v in mine.items()}
            return step  # its cost is the kind's own to say
        if isinstance(op, Drop):
            continue
        if isinstance(op, BatchNorm):
            ops.append(_fold_norm(ops, name, op, prefix, mine, found))
            continue
        if isinstance(op, Add):
            op = replace(op, body=_folded(op.body, weights, f"{prefix}{name}.body.", found))
            mine = {k: v for k, v in mine.items() if k.startswith("project.")}
        found |= {f"{prefix}{name}.{k}": v for k, v in mine.items()}
        ops.append((name, op))
    return made_of(step, tuple(ops))


def _fold_norm(ops: list[tuple[str, Op]], name: str, norm: BatchNorm, prefix: str, mine: State,
               found: State) -> tuple[str, Op]:
    """What stands in for a batch norm: the convolution before it, which is taken off `ops`, or
    one of its own."""
    before = ops[-1][1] if ops else None
    if isinstance(before, Conv2d):
        name, _ = ops.pop()
        op = replace(before, bias=True)
        kernel, bias = found[f"{prefix}{name}.weight"], found.get(f"{prefix}{name}.bias")
    else:
        op = Conv2d(norm.channels, norm.channels, 1, 1, 0, norm.channels, True)
        kernel, bias = torch.ones(norm.channels, 1, 1, 1), None
    found[f"{prefix}{name}.weight"], found[f"{prefix}{name}.bias"] = _fused(kernel, bias, mine)
    return name, op


def _fused(kernel: Tensor, bias: Tensor | None, norm: State) -> tuple[Tensor, Tensor]:
    weight, shift = fuse_conv_bn_weights(
        kernel, bias, norm["running_mean"], norm["running_var"], EPSILON, norm["weight"],
        norm["bias"])
    return weight.detach(), shift.detach()

"""Fingerprints: which designs are the same network."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import replace

from lightsearch.design.parts import Design
from lightsearch.network.cost import check_arguments
from lightsearch.network.lowering import lower_all
from lightsearch.network.op_costs import shape_after
from lightsearch.network.operations import (
    Add,
    Branches,
    Conv2d,
    Custom,
    Dense,
    Drop,
    GlobalPool,
    Iterate,
    Op,
    PerPass,
    Pool,
    Step,
)
from lightsearch.notation.reading import read_design
from lightsearch.shapes import Shape


def fingerprint(design: Design | str, shape: Shape) -> str:
    """Return a key that two designs share if they are the same network on inputs of `shape`.

    The key has 16 hexadecimal digits of a SHA-256. It depends on the operations, not on the text:
    a global average over 6x6 is an average pool of 6, `depthwise` followed by a 1x1 `conv` is
    `separable`, and so on. Equal networks draw equal initial weights, so equal keys mean equal
    training too.
    """
    design = read_design(design)
    shape = check_arguments(design, shape)
    text = ";".join(_format_operations(lower_all(design, shape), shape))
    return hashlib.sha256(f"{shape}:{text}".encode()).hexdigest()[:16]


def _format_operations(steps: tuple[Step, ...], shape: Shape) -> Iterator[str]:
    for step in steps:
        for _, op in step.ops:
            text = _format_operation(op, shape)
            if text:
                yield text
            core = op.core if isinstance(op, PerPass) else op
            if not isinstance(core, Custom):
                shape = shape_after(core, shape)
        shape = step.shape


def _simplify(op: Conv2d | Pool, shape: Shape) -> Conv2d | Pool:
    """Return `op` with the fields that make no difference here set to one form."""
    if isinstance(op, Pool) and _kernels(op) == (1, 1):
        op = replace(op, by="max")
    if shape_after(op, shape)[1:] == (1, 1):  # all strides that leave one window are equal
        sides = zip(shape[1:], op.slides, strict=True)
        stride = max(side + 2 * one.padding - one.extent + 1 for side, one in sides)
        across = op.across and replace(op.across, stride=stride)
        op = replace(op, stride=stride, across=across)
    height, width = op.slides
    return replace(op, across=None) if height == width else op


def _kernels(op: Conv2d | Pool) -> tuple[int, int]:
    height, width = op.slides
    return height.kernel, width.kernel


def _is_plain(op: Conv2d | Pool) -> bool:
    """Whether a window has no padding, and no gaps between its taps."""
    return all(one.padding == 0 and one.dilation == 1 for one in op.slides)


def _format_operation(op: Op, shape: Shape) -> str:
    """Return a text that equal operations share; "" for one that does nothing."""
    is_pixel = shape[1:] == (1, 1)
    if isinstance(op, Conv2d | Pool):
        op = _simplify(op, shape)
    if op == Pool("max", 1, 1, 0):
        return ""
    if isinstance(op, GlobalPool) and is_pixel:
        return ""
    if isinstance(op, Pool) and op.by == "average" and _is_plain(op) and shape[1:] == _kernels(op):
        return repr(GlobalPool())
    if isinstance(op, Conv2d) and op.groups == 1 and _is_plain(op) and shape[1:] == _kernels(op):
        return repr(Dense(op.inputs * math.prod(_kernels(op)), op.outputs, op.bias))
    if isinstance(op, Drop) and is_pixel:
        return repr(Drop(op.rate, "element"))
    if isinstance(op, Add):
        project = op.project and repr(op.project)
        return f"Add({';'.join(_format_operations(op.body, shape))},{op.size},{project})"
    if isinstance(op, Branches):
        texts = (";".join(_format_operations(body, shape)) for body in (op.first, op.second))
        return f"Branches({op.by},[{'],['.join(texts)}])"
    if isinstance(op, PerPass):
        return f"PerPass({_format_operation(op.op, shape)},{op.passes},{op.each})"
    if isinstance(op, Iterate):
        return _format_loop(op, shape)
    return repr(op)


def _format_loop(op: Iterate, shape: Shape) -> str:
    """Return the text of a loop: that of one loop for a loop of a loop, that of its passes in a
    row for a loop without weights."""
    inner = [one for step in op.body for _, one in step.ops]
    if len(inner) == 1 and isinstance(inner[0], Iterate):
        return _format_loop(replace(inner[0], passes=op.passes * inner[0].passes), shape)
    body = ";".join(_format_operations(op.body, shape))
    if not any(step.params for step in op.body) and not re.search("Drop|Custom", body):
        return ";".join([body] * op.passes if body else [])
    return f"Loop({body},{op.passes})"

"""Which designs are the same network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from lightsearch.design.parts import Design
from lightsearch.network.cost import check_arguments
from lightsearch.network.lowering import lower_all
from lightsearch.network.operations import Add, Conv2d, Dense, Drop, GlobalPool, Op, Pool, Step
from lightsearch.shapes import Shape, slide


def fingerprint(design: Design, shape: Shape) -> str:
    """A key that two designs share when they are the same network on inputs of `shape`.

    It is taken from the operations, not from the text: a global average over 6x6 is an average
    pool of 6, `depthwise` followed by a 1x1 `conv` is `separable`, and so on. Initial weights are
    drawn alike, so equal keys mean equal training too. 16 hexadecimal digits of SHA-256.
    """
    check_arguments(design, shape)
    text = ";".join(_canonical(lower_all(design, shape), shape))
    return hashlib.sha256(f"{shape}:{text}".encode()).hexdigest()[:16]


def _canonical(steps: tuple[Step, ...], shape: Shape) -> Iterator[str]:
    for step in steps:
        for _, op in step.ops:
            said = _said(op, shape)
            if said:
                yield said
            if isinstance(op, Conv2d | Dense):
                shape = (op.outputs, *(1, 1)) if isinstance(op, Dense) else _after(op, shape)
            elif isinstance(op, Pool | GlobalPool):
                shape = _after(op, shape)
        shape = step.shape


def _after(op: Conv2d | Pool | GlobalPool, shape: Shape) -> Shape:
    if isinstance(op, GlobalPool):
        return (shape[0], 1, 1)
    channels = op.outputs if isinstance(op, Conv2d) else shape[0]
    return (channels, *slide(shape[1:], op.kernel, op.stride, op.padding))


def _plain(op: Conv2d | Pool, shape: Shape) -> Conv2d | Pool:
    """`op` with what makes no difference brought to one form."""
    if isinstance(op, Pool) and op.kernel == 1:
        op = replace(op, by="max")
    if _after(op, shape)[1:] == (1, 1):  # any stride that takes the window out of the image
        op = replace(op, stride=max(shape[1:]) + 2 * op.padding - op.kernel + 1)
    return op


def _said(op: Op, shape: Shape) -> str:
    pixel = shape[1:] == (1, 1)
    if isinstance(op, Conv2d | Pool):
        op = _plain(op, shape)
    if isinstance(op, Pool) and op.padding == 0 and op.kernel == 1 and op.stride == 1:
        return ""
    if isinstance(op, GlobalPool) and pixel:
        return ""
    if isinstance(op, Pool) and op.by == "average" and op.padding == 0 \
            and shape[1:] == (op.kernel, op.kernel):
        return repr(GlobalPool())
    if isinstance(op, Conv2d) and op.groups == 1 and op.padding == 0 \
            and shape[1:] == (op.kernel, op.kernel):
        return repr(Dense(op.inputs * op.kernel**2, op.outputs, op.bias))
    if isinstance(op, Drop) and pixel:
        return repr(Drop(op.rate, "element"))
    if isinstance(op, Add):
        project = op.project and repr(op.project)
        return f"Add({';'.join(_canonical(op.body, shape))},{op.size},{project})"
    return repr(op)

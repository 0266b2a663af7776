"""How long each tensor of a plan lives, and which memory its gradient takes.

The engine runs a plan in segments: from one batch normalisation, which needs every block of the
batch, to the next. A tensor that a later segment reads is kept for the whole batch. So is the
output of a convolution, and what any other batch norm normalises. The rest is computed again in
the backward pass.

Gradients that live longer than one segment take as few shared buffers as possible. Such a gradient
may overwrite the gradient that it was computed from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lightsearch.engines.native.interface import Gradient, Kind, Op, Value


def settle(values: Sequence[Value], ops: Sequence[Op], start: int, scores: int) -> None:
    """Fill in the fields of `values` and `ops` that follow from the order of the ops.

    `start` is the index of the network's input, `scores` that of its output.
    """
    segments = _segments(ops)
    _keep_values(values, ops, segments, {start, scores})
    learns = _order_gradients(values, ops, start)
    _share_buffers(values, ops, segments, scores, learns)


def _segments(ops: Sequence[Op]) -> list[int]:
    """The number of the segment that each op belongs to."""
    segments, segment = [], 0
    for op in ops:
        segments.append(segment)
        segment += op.barrier
    return segments


def _keep_values(
    values: Sequence[Value], ops: Sequence[Op], segments: Sequence[int], ends: set[int]
) -> None:
    """Set `halo`, and `batch` for what is kept for the whole batch."""
    segment_of = {op.target: segment for op, segment in zip(ops, segments, strict=True)}
    kept = {op.target for op in ops if op.kind in (Kind.CONV, Kind.MEASURE)} | ends
    for op, segment in zip(ops, segments, strict=True):
        for index in _sources(op):
            value = values[index]
            if op.kind == Kind.CONV:
                value.halo = max(value.halo, op.padding)
            if segment_of.get(index, 0) < segment or value.height * value.width == 1:
                kept.add(index)
    for index in kept:
        values[index].batch = 1


def _order_gradients(values: Sequence[Value], ops: Sequence[Op], start: int) -> dict[int, bool]:
    """Set which gradients are wanted, which add to an earlier one, and which ops run again.

    Returns for each value whether its gradient is wanted.
    """
    learns = {start: False}
    for op in ops:
        op.wanted = learns[op.source]
        op.wanted_other = op.other >= 0 and learns[op.other]
        learns[op.target] = bool(op.wanted or op.wanted_other) or any(
            offset >= 0
            for one in (op, ops[op.tail] if op.tail >= 0 else op)
            for offset in (one.weight, one.bias, one.gamma, one.beta)
        )
    needed: set[int] = set()
    written: set[int] = set()
    for op in reversed(ops):
        if op.kind == Kind.MAX_POOL:
            needed.add(op.target)
        op.again = op.target in needed and not values[op.target].batch
        if op.again or op.kind in (
            Kind.CONV,
            Kind.MAX_POOL,
            Kind.POINTWISE,
            Kind.GATE,
            Kind.SQUEEZE,
            Kind.PRELU,
            Kind.GROUP_NORM,
        ):
            needed |= set(_sources(op))
        for value, wanted, adds in (
            (op.source, op.wanted, "adds"),
            (op.other, op.wanted_other, "adds_other"),
        ):
            if wanted:
                setattr(op, adds, value in written)
                written.add(value)
    return learns


def _share_buffers(
    values: Sequence[Value],
    ops: Sequence[Op],
    segments: Sequence[int],
    scores: int,
    learns: dict[int, bool],
) -> None:
    """Set where each gradient lies."""
    lives = _gradient_lives(ops, segments, scores)
    absent = {op.target for op in ops if op.tail >= 0}  # the tail's gradient serves for both
    early = {ops[op.tail].target for op in ops if op.barrier}
    buffers: list[list[tuple[float, int]]] = []
    for value in sorted(lives, key=lambda v: (-max(lives[v]), min(lives[v]))):
        first, last = min(lives[value]), max(lives[value])
        if value in absent or not (learns[value] or value == scores):
            continue
        if first == last:
            values[value].gradient = Gradient.OWN_BLOCK
            continue
        # The gradient behind a segment's last convolution is read before the segment's others
        # are written.
        begin = first + 0.5 if value in early else first
        free = next(
            (
                index
                for index, taken in enumerate(buffers)
                if all(last < a or b < begin for a, b in taken)
            ),
            len(buffers),
        )
        if free == len(buffers):
            buffers.append([])
        buffers[free].append((begin, last))
        values[value].gradient = free


def _gradient_lives(
    ops: Sequence[Op], segments: Sequence[int], scores: int
) -> dict[int, list[int]]:
    """The segments in which the gradient of each value is read or written."""
    lives: dict[int, list[int]] = defaultdict(list)
    for op, segment in zip(ops, segments, strict=True):
        lives[op.target].append(segment)
        for value in _sources(op):
            lives[value].append(segment)
        if op.tail >= 0:
            lives[ops[op.tail].target].append(segment)
    lives[scores].append(segments[-1] + 1)  # the loss comes after all blocks
    return lives


def _sources(op: Op) -> tuple[int, ...]:
    return (op.source, op.other) if op.other >= 0 else (op.source,)

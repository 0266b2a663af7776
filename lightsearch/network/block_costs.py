"""The output shape and the cost of blocks: branches, loops and residual additions."""

from __future__ import annotations

from dataclasses import replace

from lightsearch.network.leaf_costs import cost_projection
from lightsearch.network.operations import Add, Branches, Iterate, Local, Step
from lightsearch.network.windows import PIXEL, Span, Spans, are_square, chain
from lightsearch.shapes import Shape, elements, nearest


def _cost_body(body: tuple[Step, ...], source: Shape) -> Local:
    """Return the cost of the layers of a block, one after the other."""
    spans, peak, kept, past_input = PIXEL, 0, 0, False
    for step in body:
        peak = max(peak, step.peak)
        kept = max(kept, elements(source) + step.peak if past_input else step.kept)
        past_input = past_input or bool(step.ops)
        spans = chain(spans, step.spans)
    local = Local(
        body[-1].shape,
        sum(step.params for step in body),
        sum(step.macs for step in body),
        whole=any(step.whole for step in body),
        peak=peak,
        kept=kept,
    )
    return local.with_spans(spans)


def cost_branches(op: Branches, source: Shape) -> Local:
    """Return the cost of two branches. The input stays alive while the first one runs."""
    empty = Local(source)
    first, second = (_cost_body(body, source) if body else empty for body in (op.first, op.second))
    channels, height, width = first.shape
    if op.by == "concat":
        channels += second.shape[0]
    local = Local(
        (channels, height, width),
        first.params + second.params,
        first.macs + second.macs,
        whole=first.whole or second.whole,
        peak=_peak_of_branches(op, source, first, second, keep=False),
        kept=_peak_of_branches(op, source, first, second, keep=True),
    )
    return local.with_spans(_join_branches(first.spans, second.spans, (height, width)))


def _peak_of_branches(
    op: Branches, source: Shape, first: Local, second: Local, *, keep: bool
) -> int:
    """Return the most values alive at once; with `keep`, somebody else needs the input after.

    A branch without operations makes nothing: its output is the input, which stays.
    """
    makes = [any(step.ops for step in body) for body in (op.first, op.second)]
    outputs = [
        elements(one.shape) * made for one, made in zip((first, second), makes, strict=True)
    ]
    stays = keep or not all(makes)
    before = first.kept if makes[0] else elements(source)
    needs_input = keep or not makes[0]
    during = outputs[0] + (second.kept if needs_input else second.peak) * makes[1]
    after = sum(outputs) + elements(source) * stays
    if op.by == "concat":
        after += elements(first.shape) + elements(second.shape)
    elif not any(makes):
        after += elements(source)
    return max(before, during, after)


def _join_branches(first: Spans, second: Spans, size: tuple[int, int]) -> Spans:
    """Return the window of both branches, the widest over an output of `size`.

    That of square ones is square: the widest along either side.
    """
    if are_square(first, second):
        size = max(size), max(size)
    height, width = map(_join_spans, first, second, size)
    return height, width


def _join_spans(first: Span, second: Span, size: int) -> Span:
    jump = max(first.stride, second.stride)
    starts = [
        (pixel * (one.stride - jump) - one.padding, one.extent)
        for one in (first, second)
        for pixel in (0, size - 1)
    ]
    low = min(start for start, _ in starts)
    return Span(max(start + extent for start, extent in starts) - low, jump, -low)


def cost_loop(op: Iterate, source: Shape) -> Local:
    """Return the cost of a loop: parameters once, everything else for each pass."""
    one = _cost_body(op.body, source)
    spans = PIXEL
    for _ in range(op.passes):
        spans = chain(spans, one.spans)
    later = op.passes > 1 and any(step.ops for step in op.body)
    kept = max(one.kept, elements(source) + one.peak if later else 0)
    return replace(one, macs=op.passes * one.macs, kept=kept).with_spans(spans)


def cost_residual(op: Add, source: Shape) -> Local:
    """Return the cost of a residual addition. Its input stays alive while the body runs."""
    body = _cost_body(op.body, source)
    shape, params, macs, input_size = body.shape, body.params, body.macs, elements(source)
    size = elements(shape)
    resized = source[0] * shape[1] * shape[2] if op.size else 0
    peak = max(body.kept, input_size + size + resized)
    kept = max(peak, input_size + size + resized + (size if op.project else 0))
    if op.project:
        peak = max(peak, 2 * size + (resized or input_size))
        added = cost_projection(op.project, (source[0], shape[1], shape[2]))
        params, macs = params + added.params, macs + added.macs
    local = Local(shape, params, macs, whole=body.whole, peak=peak, kept=kept)
    return local.with_spans(_join_shortcut(body.spans, source, shape))


def _join_shortcut(body: Spans, source: Shape, shape: Shape) -> Spans:
    """Return the body's window, widened if the resized input lies outside of it.

    That of a square one is square: the widest along either side.
    """
    sides = list(zip(source[1:], shape[1:], strict=True))
    if are_square(body):
        span = _widen(body[0], sides)
        return span, span
    return _widen(body[0], sides[:1]), _widen(body[1], sides[1:])


def _widen(span: Span, sides: list[tuple[int, int]]) -> Span:
    """Widen a span over sides of some pixels before the body, and some after it.

    Window and resized input move evenly over the image, so they are farthest apart at its first
    or last pixel.
    """
    low, high = 0, span.extent - 1
    for before, after in sides:
        for index in (0, after - 1):
            position = nearest(index, before, after) - index * span.stride + span.padding
            low, high = min(low, position), max(high, position)
    return Span(high - low + 1, span.stride, span.padding - low)
